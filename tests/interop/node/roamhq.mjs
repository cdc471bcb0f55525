// @roamhq/wrtc: libwebrtc as in the phone SDKs, with sound in and out as samples. Trickles.

import wrtc from "@roamhq/wrtc";
import { clip, main, pace, RATE, writeHeard } from "./common.mjs";

const BLOCK = RATE / 100; // it takes 10 ms at a time

await main("@roamhq/wrtc", async (call) => {
  const pc = new wrtc.RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
  const source = new wrtc.nonstandard.RTCAudioSource();
  const heard = [];
  let rate = RATE;
  let sink = null;
  let samples = new Int16Array(0);
  let at = 0;
  pc.addTrack(source.createTrack(), new wrtc.MediaStream());
  pc.ontrack = ({ track }) => {
    sink = new wrtc.nonstandard.RTCAudioSink(track);
    sink.ondata = (data) => {
      rate = data.sampleRate;
      const block = new Int16Array(data.samples.length / data.channelCount);
      for (let i = 0; i < block.length; i++) block[i] = data.samples[i * data.channelCount];
      heard.push(block);
    };
  };
  const channel = pc.createDataChannel("voxrtc");
  channel.onopen = () => call.opened();
  channel.onmessage = ({ data }) => call.message(data);
  pc.onicecandidate = ({ candidate: c }) => call.candidate(c?.candidate ?? "", c?.sdpMid, c?.sdpMLineIndex);
  await pc.setLocalDescription(await pc.createOffer());
  await pc.setRemoteDescription({ type: "answer", sdp: await call.offer(pc.localDescription.sdp) });
  const stop = pace(10, () => {
    const block = new Int16Array(BLOCK);
    block.set(samples.subarray(at, at + BLOCK));
    at += BLOCK;
    source.onData({ samples: block, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: BLOCK });
  });
  return {
    send: (text) => channel.send(text),
    speak: () => {
      samples = clip();
      at = 0;
    },
    keep: () => writeHeard(heard, rate),
    close: () => {
      stop();
      sink?.stop();
      pc.close();
    },
  };
});
