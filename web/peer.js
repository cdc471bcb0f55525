// One WebRTC connection: opened once, lost or closed once. A new network needs a new Peer (see call.js).

import * as server from "./server.js";
import { Pulse } from "./pulse.js";
import { Problem } from "./problems.js";

const CONNECT_MS = 12_000; // the server gives an offer 10 s
const MEND_MS = 2_500; // "disconnected" often mends itself; longer than this it seldom does
const SILENT_MS = 600;
const TAIL_MS = 500; // what has come and was not heard yet

/**
 * Events: `message` (detail: the object), `sound` (detail: MediaStream, once it can sound), and after it was open:
 * `quiet` (nothing comes any more), `back` (it does again), `lost` (it will not, and is closed).
 */
export class Peer extends EventTarget {
  session = null;
  resume = null;
  #pc;
  #channel;
  #sender;
  #abort = new AbortController();
  #found = []; // candidates that the server has not been told of yet
  #telling = false;
  #mend = 0;
  #pulse;
  #open = false;
  #stream = null;

  constructor(iceServers) {
    super();
    this.#pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#pulse = new Pulse(this.#pc, (state) => (state === "dead" ? this.lose() : this.#emit(state)));
    this.#channel = this.#pc.createDataChannel("voxrtc", { ordered: true });
    this.#channel.addEventListener("message", (e) => this.#emit("message", JSON.parse(e.data)));
    this.#channel.addEventListener("close", () => this.lose());
    this.#pc.addEventListener("connectionstatechange", () => this.#watch());
    this.#pc.addEventListener("icecandidate", (e) => this.#candidate(e.candidate));
    this.#pc.addEventListener("track", (e) => (this.#stream = e.streams[0] ?? new MediaStream([e.track])));
  }

  /** Offer, answer, candidates, until sound and data channel are up. Throws Problem, and has closed itself then.
   *  `silence`: ms for which nothing has come on the line before this one. */
  async open(track, resume, silence) {
    try {
      this.#sender = this.#pc.addTrack(track, new MediaStream([track]));
      await this.#pc.setLocalDescription();
      const answer = await server.offer(this.#pc.localDescription.sdp, { resume, silence }, this.#abort.signal);
      this.session = answer.session;
      this.resume = answer.resume;
      this.#tell();
      await this.#pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      await this.#connected();
      this.#open = true;
      this.#pulse.start();
      this.#watch(); // it may have been lost between being connected and here
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Send one object; false if the channel is not open. */
  send(message) {
    if (this.#channel.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  async replaceTrack(track) {
    if (this.#pc.signalingState !== "closed") await this.#sender?.replaceTrack(track);
  }

  get connected() {
    return this.#pc.connectionState === "connected";
  }

  get alive() {
    return this.#open && this.#pc.connectionState === "connected";
  }

  /** Whether nothing has come for a while. */
  get quiet() {
    return this.#pulse.quiet;
  }

  /** Milliseconds for which nothing has come, null while it does. */
  get silence() {
    return this.#pulse.silence > SILENT_MS ? Math.round(this.#pulse.silence) : null;
  }

  /** Find out now whether anything comes. */
  check() {
    return this.#pulse.check();
  }

  /** Another one carries the call: only what has come already is still heard. */
  retire() {
    clearTimeout(this.#mend);
    this.#pulse.stop();
    this.#open = false;
    setTimeout(() => this.close(), TAIL_MS);
  }

  close() {
    clearTimeout(this.#mend);
    this.#pulse.stop();
    this.#open = false;
    this.#abort.abort();
    this.#channel.close();
    this.#pc.close();
  }

  #connected() {
    return new Promise((resolve, reject) => {
      const signal = this.#abort.signal;
      const done = (settle, value) => {
        clearTimeout(timer);
        settle(value);
      };
      const fail = () => done(reject, new Problem("unreachable", { detail: this.#pc.iceConnectionState }));
      const timer = setTimeout(fail, CONNECT_MS);
      const look = () => {
        if (this.#pc.connectionState === "connected" && this.#channel.readyState === "open") done(resolve);
        else if (["failed", "closed"].includes(this.#pc.connectionState)) fail();
      };
      signal.addEventListener("abort", () => done(reject, signal.reason), { once: true });
      this.#pc.addEventListener("connectionstatechange", look, { signal });
      this.#channel.addEventListener("open", look, { signal });
      look();
    });
  }

  #watch() {
    clearTimeout(this.#mend);
    const state = this.#pc.connectionState;
    if (state === "connected" && this.#stream) {
      this.#emit("sound", this.#stream);
      this.#stream = null;
    }
    if (state === "failed" || state === "closed") this.lose();
    else if (state === "disconnected") this.#mend = setTimeout(() => this.lose(), MEND_MS);
  }

  /** Take it for lost, if it was open. */
  lose() {
    if (!this.#open) return;
    this.close();
    this.#emit("lost");
  }

  #candidate(candidate) {
    this.#found.push({
      candidate: candidate?.candidate ?? "",
      sdp_mid: candidate?.sdpMid ?? null,
      sdp_mline_index: candidate?.sdpMLineIndex ?? null,
    });
    this.#tell();
  }

  /** One PATCH at a time; what is found meanwhile goes with the next. */
  async #tell() {
    if (!this.session || this.#telling) return;
    this.#telling = true;
    try {
      while (this.#found.length && !this.#abort.signal.aborted) {
        await this.#take(await server.trickle(this.session, this.#found.splice(0), this.#abort.signal));
      }
    } catch (error) {
      // Without these candidates the connection may still come about; if it does not, #connected says so.
      if (error.name !== "AbortError") console.warn("voxrtc: candidates were not taken:", error.detail || error.message);
    } finally {
      this.#telling = false;
    }
  }

  /** Candidates of the server's that it found after its answer. */
  async #take(candidates) {
    for (const { candidate, sdp_mid, sdp_mline_index } of candidates) {
      if (this.#abort.signal.aborted) return;
      await this.#pc.addIceCandidate({ candidate, sdpMid: sdp_mid, sdpMLineIndex: sdp_mline_index });
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
