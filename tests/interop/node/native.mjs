// @roamhq/wrtc (libwebrtc) in the shape of react-native-webrtc, for the caller of docs/mobile.md. STAND-IN for a phone: its
// microphone is silent until `speak` gives it samples, and its loudspeaker counts how loud it is.

import wrtc from "@roamhq/wrtc";
import { pace, RATE } from "./common.mjs";

const BLOCK = RATE / 100; // it takes 10 ms at a time

const source = new wrtc.nonstandard.RTCAudioSource();
let samples = new Int16Array(0);
let at = 0;

export const loudspeaker = { blocks: 0 }; // of 10 ms, with sound

export function speak(clip) {
  samples = clip;
  at = 0;
}

pace(10, () => {
  const block = new Int16Array(BLOCK);
  block.set(samples.subarray(at, at + BLOCK));
  at += BLOCK;
  source.onData({ samples: block, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: BLOCK });
});

export const mediaDevices = {
  getUserMedia: async () => new wrtc.MediaStream([source.createTrack()]),
};

/** Plays what comes, as phones do without being asked. */
export class RTCPeerConnection extends wrtc.RTCPeerConnection {
  constructor(configuration) {
    super(configuration);
    this.ontrack = ({ track }) => {
      const sink = new wrtc.nonstandard.RTCAudioSink(track);
      sink.ondata = ({ samples: heard }) => (loudspeaker.blocks += heard.some((one) => Math.abs(one) > 500) ? 1 : 0);
    };
  }
}
