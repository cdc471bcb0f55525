// What every caller in node does alike: offer, candidates, events, sound in time, and the report at the end.
//
// Usage of each: node NAME.mjs URL FOLDER. FOLDER holds clip.wav (48 kHz, mono, 16 bit) and packets.json (the same as
// Opus, made by tests/interop/sound.py); into it go report.json and heard.wav, or heard.json where only RTP is had.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const [, , URL_, FOLDER] = process.argv;
const RATE = 48_000;

export const file = (name) => join(FOLDER, name);
export const packets = () => JSON.parse(readFileSync(file("packets.json"), "utf8"));

/** Version of an installed package. */
export function version(name) {
  const path = fileURLToPath(new URL(`node_modules/${name}/package.json`, import.meta.url));
  return JSON.parse(readFileSync(path, "utf8")).version;
}

/** The samples of clip.wav, behind its header of 44 bytes. */
export function clip() {
  const bytes = readFileSync(file("clip.wav")).subarray(44);
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~1)));
}

/** Call `tick(n)` for n = 0, 1, 2 ... every `ms`, by the clock and not by the last call. Returns what stops it. */
export function pace(ms, tick) {
  const began = performance.now();
  let n = 0;
  let timer;
  const step = () => {
    while (performance.now() - began >= n * ms) tick(n++);
    timer = setTimeout(step, Math.max(1, began + n * ms - performance.now()));
  };
  step();
  return () => clearTimeout(timer);
}

/** Write `heard.wav`, mono, of pieces Int16Array. */
export function writeHeard(pieces, rate) {
  const data = Buffer.concat(pieces.map((piece) => Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)));
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  writeFileSync(file("heard.wav"), Buffer.concat([head, data]));
}

/** Write `heard.json`: received RTP packets, each {seq, timestamp, payload (base64)}. */
export function writeHeardPackets(received) {
  writeFileSync(file("heard.json"), JSON.stringify(received));
}

/** One call over HTTP and a data channel; the media is the library's business. */
export class Call {
  #session = null;
  #found = [];
  #telling = Promise.resolve();
  #events = [];
  #woken = () => {};
  #offeredAt = 0;
  report = { events: this.#events, trickled: [] };

  /** The answer's SDP. */
  async offer(sdp) {
    this.#offeredAt = performance.now();
    const answer = await this.#ask("POST", "/offer", { sdp, type: "offer" });
    Object.assign(this.report, { offer: sdp, answer: answer.sdp, answer_ms: performance.now() - this.#offeredAt });
    this.#session = answer.session;
    this.#tell();
    return answer.sdp;
  }

  /** A candidate that was found; it goes up by PATCH, as soon as there is a session to name. */
  candidate(candidate, mid, index) {
    this.#found.push({ candidate, sdp_mid: mid ?? null, sdp_mline_index: index ?? null });
    if (this.#session) this.#tell();
  }

  #tell() {
    this.#telling = this.#telling.then(async () => {
      const candidates = this.#found.splice(0);
      if (!candidates.length) return;
      await this.#ask("PATCH", `/offer/${this.#session}`, { candidates });
      this.report.trickled.push(...candidates.map((one) => one.candidate).filter(Boolean));
    });
  }

  /** The data channel is open. */
  opened() {
    this.report.connected_ms ??= performance.now() - this.#offeredAt;
  }

  message(text) {
    this.#events.push(JSON.parse(text.toString()));
    this.#woken();
  }

  async until(type) {
    for (;;) {
      const event = this.#events.find((one) => one.type === type);
      if (event) return event;
      await new Promise((resolve) => (this.#woken = resolve));
    }
  }

  async hangUp() {
    await this.#telling;
    await this.#ask("DELETE", `/offer/${this.#session}`);
  }

  async #ask(method, path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const answer = await fetch(URL_ + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }
}

/**
 * One call from the first word to the last. `place(call)` connects and returns {send(text), speak(), keep(), close()}:
 * speak begins the clip, keep writes what was heard.
 */
export async function main(name, place) {
  const call = new Call();
  call.report.version = version(name);
  call.report.runs_on = `Node ${process.versions.node}`;
  const line = await place(call);
  await call.until("call_started");
  line.speak();
  await call.until("reply_ended");
  line.send(JSON.stringify({ type: "export_memory" }));
  await call.until("memory_exported");
  line.keep();
  await call.hangUp();
  await line.close();
  writeFileSync(file("report.json"), JSON.stringify(call.report));
  process.exit(0); // native threads of some of these libraries would keep the process
}

export { RATE };
