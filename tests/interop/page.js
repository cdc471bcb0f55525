// Runs before the real page's own scripts, in every browser: gives it a microphone that says the clip when told to,
// and keeps what is offered, told and heard. CLIP stands for a WAV file in base64, SPEECH_AT for the second of it at
// which the speech begins; before and after is silence.
(() => {
  const report = { events: [], trickled: [], complaints: [] };
  const pieces = [];
  let woken = () => {};
  let offeredAt = 0;
  let channel, recorder, microphone;
  let hungUp;
  const over = new Promise((resolve) => (hungUp = resolve));

  addEventListener("error", (event) => report.complaints.push(event.message));
  addEventListener("unhandledrejection", (event) => report.complaints.push(String(event.reason)));

  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

  // An element's captured sound, and not an AudioContext: without a sound card Firefox lets none of those run.
  navigator.mediaDevices.getUserMedia = async () => {
    microphone = new Audio(URL.createObjectURL(new Blob([bytes("CLIP")], { type: "audio/wav" })));
    await microphone.play(); // it begins with a long silence
    return microphone.captureStream?.() ?? microphone.mozCaptureStream();
  };

  const ask = window.fetch;
  window.fetch = async (url, options = {}) => {
    const body = typeof options.body === "string" ? JSON.parse(options.body) : null;
    if (body?.type === "offer") offeredAt = performance.now();
    const answer = await ask(url, options);
    if (body?.type === "offer") {
      report.answer_ms = performance.now() - offeredAt;
      report.offer = body.sdp;
      report.answer = (await answer.clone().json()).sdp;
    }
    if (body?.candidates && answer.ok) {
      report.trickled.push(...body.candidates.map((one) => one.candidate).filter(Boolean));
    }
    if (options.method === "DELETE") hungUp(answer.status);
    return answer;
  };

  const make = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...args) {
    channel = make.apply(this, args);
    channel.addEventListener("open", () => (report.connected_ms = performance.now() - offeredAt));
    channel.addEventListener("message", (event) => {
      report.events.push(JSON.parse(event.data));
      woken();
    });
    this.addEventListener("track", (event) => {
      recorder = new MediaRecorder(new MediaStream([event.track]));
      recorder.addEventListener("dataavailable", (piece) => pieces.push(piece.data));
      recorder.start();
    });
    return channel;
  };

  async function until(type) {
    while (!report.events.some((event) => event.type === type)) await new Promise((resolve) => (woken = resolve));
  }

  async function pressable(id) {
    const button = document.getElementById(id);
    const off = () => button.getAttribute("aria-disabled") === "true" || button.closest("[hidden]");
    while (off()) {
      await new Promise((resolve) => {
        const seen = new MutationObserver(resolve);
        seen.observe(document, { attributes: true, subtree: true });
      });
    }
    return button;
  }

  async function recorded() {
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
    recorder.stop();
    await stopped;
    const told = new FileReader();
    const read = new Promise((resolve) => told.addEventListener("load", resolve, { once: true }));
    told.readAsDataURL(new Blob(pieces));
    await read;
    return told.result.split(",")[1];
  }

  /** One call on the real page, from the press on its button to the hang-up: the report, as JSON. */
  window.interop = async () => {
    (await pressable("orb")).click();
    await until("call_started");
    microphone.currentTime = SPEECH_AT;
    await until("reply_ended");
    channel.send(JSON.stringify({ type: "export_memory" }));
    await until("memory_exported");
    report.heard = await recorded();
    (await pressable("hang-up")).click();
    report.hung_up = await over;
    return JSON.stringify(report);
  };
})();
