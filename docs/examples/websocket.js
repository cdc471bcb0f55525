// Say a WAV file (mono, 16 bit) to voxrtc, and save what it answers:
//   node websocket.js ws://127.0.0.1:8000/ws question.wav reply.wav
// ask() is all of it, and runs in a page as it stands. Node has a WebSocket from 22 on; before: npm install ws

function ask(url, sound, rate, WebSocket = globalThis.WebSocket) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const reply = [];
    const tenth = Math.floor(rate / 10) * 2;
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
    socket.onclose = ({ code, reason }) => (code === 1000 ? resolve(reply) : reject(new Error(`${code} ${reason}`)));
  });
}

if (typeof require !== "undefined") {
  const { readFileSync, writeFileSync } = require("node:fs");
  const [url, question, answer] = process.argv.slice(2);
  const wav = readFileSync(question);
  ask(url, wav.subarray(44), wav.readUInt32LE(24), globalThis.WebSocket ?? require("ws")).then((reply) => {
    const sound = Buffer.concat(reply);
    const header = Buffer.from(wav.subarray(0, 44)); // of the same form, but for these
    [[36 + sound.length, 4], [24000, 24], [48000, 28], [sound.length, 40]].forEach((at) => header.writeUInt32LE(...at));
    writeFileSync(answer, Buffer.concat([header, sound]));
  });
}
