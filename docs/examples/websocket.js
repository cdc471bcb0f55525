// Say a WAV file (mono, 16 bit) to voxrtc, and save what it answers. Node before 22 has no WebSocket: npm install ws
//   node websocket.js ws://127.0.0.1:8000/ws question.wav reply.wav (ask() is all of it, and runs in a page as it is)
function ask(url, sound, rate, WebSocket = globalThis.WebSocket) {
  return new Promise((resolve, reject) => {
    const [socket, reply, tenth] = [new WebSocket(url), [], Math.floor(rate / 10) * 2];
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "config", sample_rate: rate }));
      for (let at = 0; at < sound.length; at += tenth) socket.send(sound.slice(at, at + tenth));
    };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "audio") reply.push(Uint8Array.from(atob(event.data), (c) => c.charCodeAt(0)));
      else if (event.type === "transcription" && event.final) console.log("you:", event.text);
      else if (event.type === "response") console.log("assistant:", event.text);
      else if (event.type === "error") console.error(event.message);
      else if (event.type === "reply_ended") socket.send(JSON.stringify({ type: "hangup" }));
    };
    socket.onerror = () => reject(new Error(`no connection to ${url}`));
    socket.onclose = ({ code, reason }) => (code === 1000 ? resolve(reply) : reject(new Error(`${code} ${reason}`)));
  });
}
if (typeof require !== "undefined") {
  process.on("uncaughtException", ({ message }) => process.exit(console.error("failed:", message.split("\n")[0]) ?? 1));
  const [fs, [url, question, answer]] = [require("node:fs"), process.argv.slice(2)];
  const wav = fs.readFileSync(question);
  ask(url, wav.subarray(44), wav.readUInt32LE(24), globalThis.WebSocket ?? require("ws")).then((reply) => {
    const [header, size] = [wav.subarray(0, 44), reply.reduce((sum, part) => sum + part.length, 0)];
    [[36 + size, 4], [24000, 24], [48000, 28], [size, 40]].forEach((at) => header.writeUInt32LE(...at));
    fs.writeFileSync(answer, Buffer.concat([header, ...reply]));
  });
}
