// werift: WebRTC in TypeScript. Its user gives and gets RTP; the codec is elsewhere. Trickles.

import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from "werift";
import { main, writeHeardPackets } from "./common.mjs";
import { Microphone } from "./rtp.mjs";

await main("werift", async (call) => {
  const opus = new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48_000, channels: 2 });
  const iceServers = [{ urls: "stun:127.0.0.1:9" }]; // nobody is there; with none named it would ask one of Google's
  const pc = new RTCPeerConnection({ codecs: { audio: [opus] }, iceServers, bundlePolicy: "max-bundle" });
  const track = new MediaStreamTrack({ kind: "audio" });
  const heard = [];
  pc.addTransceiver(track, { direction: "sendrecv" });
  pc.onTrack.subscribe((theirs) => {
    theirs.onReceiveRtp.subscribe(({ header, payload }) => {
      heard.push({ seq: header.sequenceNumber, timestamp: header.timestamp, payload: payload.toString("base64") });
    });
  });
  const channel = pc.createDataChannel("voxrtc");
  channel.stateChanged.subscribe((state) => state === "open" && call.opened());
  channel.onMessage.subscribe((data) => call.message(data));
  pc.onIceCandidate.subscribe((c) => call.candidate(c?.candidate ?? "", c?.sdpMid, c?.sdpMLineIndex));
  const offer = await pc.createOffer();
  pc.setLocalDescription(offer); // done once all candidates are found, which nobody need wait for
  await pc.setRemoteDescription({ type: "answer", sdp: await call.offer(offer.sdp) });
  const microphone = new Microphone(({ sequence, timestamp, marker, payload }) => {
    const header = new RtpHeader({ sequenceNumber: sequence, timestamp, marker, payloadType: 96, ssrc: 1 });
    track.writeRtp(new RtpPacket(header, payload)); // payload type and SSRC become those of the offer
  });
  return {
    send: (text) => channel.send(Buffer.from(text).toString()),
    speak: () => microphone.start(),
    keep: () => writeHeardPackets(heard),
    close: () => {
      microphone.stop();
      return pc.close();
    },
  };
});
