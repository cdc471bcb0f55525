// node-datachannel: libdatachannel (libjuice, usrsctp). Its user gives and gets RTP; the codec is elsewhere. Trickles.

import lib from "node-datachannel";
import { main, writeHeardPackets } from "./common.mjs";
import { Microphone, read, write } from "./rtp.mjs";

const PAYLOAD_TYPE = 111;
const SSRC = 0x766f78;

await main("node-datachannel", async (call) => {
  const pc = new lib.PeerConnection("caller", { iceServers: [] });
  const audio = new lib.Audio("audio", "SendRecv");
  audio.addOpusCodec(PAYLOAD_TYPE);
  audio.addSSRC(SSRC, "caller", "caller", "microphone");
  const heard = [];
  const described = new Promise((resolve) => pc.onLocalDescription((sdp) => resolve(sdp)));
  pc.onLocalCandidate((candidate, mid) => call.candidate(candidate, mid));
  const track = pc.addTrack(audio);
  track.setMediaHandler(new lib.RtcpReceivingSession());
  track.onMessage((bytes) => {
    const packet = read(bytes);
    if (packet?.type === PAYLOAD_TYPE) heard.push(packet);
  });
  const channel = pc.createDataChannel("voxrtc");
  channel.onOpen(() => call.opened());
  channel.onMessage((data) => call.message(data));
  pc.setLocalDescription();
  pc.setRemoteDescription(await call.offer(await described), "answer");
  const microphone = new Microphone((packet) => track.sendMessageBinary(write(packet, PAYLOAD_TYPE, SSRC)));
  return {
    send: (text) => channel.sendMessage(text),
    speak: () => microphone.start(),
    keep: () => writeHeardPackets(heard),
    close: () => {
      microphone.stop();
      pc.close();
    },
  };
});
