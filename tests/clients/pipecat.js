// A page that calls with pipecat's stock client, as its documentation has it; tests/clients/test_pipecat.py drives it.
import { PipecatClient, RTVIEvent } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";

/** Everything that the client told of, in order: {event, data}. */
const told = [];
const speaker = document.querySelector("audio");

// The transport's default media manager fetches its code from the web; this one is in the package.
const transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager() });
const client = new PipecatClient({
  transport,
  enableMic: true,
  callbacks: {
    onTrackStarted: (track, participant) => {
      if (track.kind === "audio" && !participant?.local) speaker.srcObject = new MediaStream([track]);
    },
  },
});
for (const event of Object.values(RTVIEvent)) {
  if (/audioLevel|track/i.test(event)) continue;
  client.on(event, (data) => told.push({ event, data: JSON.parse(JSON.stringify(data ?? null)) }));
}

Object.assign(window, { client, transport, told, RTVIEvent });
