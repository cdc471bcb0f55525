// RTP for the libraries that leave it to their user (RFC 3550, 5.1): packets of ready Opus out, what came in kept.

import { pace, packets } from "./common.mjs";

const RATE = 48_000; // of Opus' RTP clock, RFC 7587, 4.1

/** Sends one packet after the other in time; where there is null the encoder had nothing to say (DTX). */
export class Microphone {
  #send;
  #ready = packets();
  #stop = () => {};

  /** `send({sequence, timestamp, marker, payload})` */
  constructor(send) {
    this.#send = send;
  }

  start() {
    const { frame_ms: ms, packets: ready } = this.#ready;
    let sequence = Math.floor(Math.random() * 0x10000);
    const first = Math.floor(Math.random() * 0x7fffffff);
    let silent = true;
    this.#stop = pace(ms, (n) => {
      const payload = ready[n];
      if (payload === undefined) this.stop();
      if (!payload) return void (silent = true);
      const timestamp = (first + (n * ms * RATE) / 1000) % 2 ** 32;
      this.#send({ sequence, timestamp, marker: silent, payload: Buffer.from(payload, "base64") });
      sequence = (sequence + 1) & 0xffff;
      silent = false;
    });
  }

  stop() {
    this.#stop();
  }
}

export function write({ sequence, timestamp, marker, payload }, payloadType, ssrc) {
  const head = Buffer.alloc(12);
  head[0] = 0x80;
  head[1] = (marker ? 0x80 : 0) | payloadType;
  head.writeUInt16BE(sequence, 2);
  head.writeUInt32BE(timestamp, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}

/** {type, seq, timestamp, payload} of a packet, or null for RTCP (RFC 5761, 4). */
export function read(bytes) {
  const type = bytes[1] & 0x7f;
  if (bytes.length < 12 || (type >= 64 && type < 96)) return null;
  let at = 12 + 4 * (bytes[0] & 0x0f);
  if (bytes[0] & 0x10) at += 4 + 4 * bytes.readUInt16BE(at + 2);
  const end = bytes.length - (bytes[0] & 0x20 ? bytes[bytes.length - 1] : 0);
  const payload = bytes.subarray(at, end).toString("base64");
  return { type, seq: bytes.readUInt16BE(2), timestamp: bytes.readUInt32BE(4), payload };
}
