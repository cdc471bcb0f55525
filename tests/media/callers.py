"""A stock aiortc caller over real sockets, and the recorded clips."""

import asyncio
import fractions
import wave
from pathlib import Path

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from voxrtc.audio import HEARD_RATE, Samples, from_pcm16, resample, to_pcm16

DATA = Path(__file__).parents[1] / "data"
RATE = 48_000


def clip(name: str) -> Samples:
    """A recorded clip, (n,) at 16 kHz."""
    with wave.open(str(DATA / f"{name}.wav")) as file:
        assert file.getframerate() == HEARD_RATE
        return from_pcm16(file.readframes(file.getnframes()))


def likeness(heard: Samples, said: Samples) -> float:
    """Normalised cross-correlation of two signals at the shift where it is largest, 0 to 1."""
    size = 1 << int(np.ceil(np.log2(heard.size + said.size)))
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return float(np.max(product) / (np.linalg.norm(heard) * np.linalg.norm(said) + 1e-9))


class Microphone(MediaStreamTrack):
    """Plays samples (n,) at 16 kHz into the call in real time, then silence."""

    kind = "audio"

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self.pcm = to_pcm16(resample(samples, HEARD_RATE, RATE))
        self.sent = 0
        self.started: float | None = None

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time
        self.started = self.started if self.started is not None else now()
        await asyncio.sleep(self.started + self.sent / RATE - now())
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(self.pcm[2 * self.sent : 2 * self.sent + 1920].ljust(1920, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += 960
        return frame


class Caller:
    """Somebody else's WebRTC: calls a Peer, speaks ``samples``, records what comes back."""

    def __init__(self, samples: Samples | None = None) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.pc.createDataChannel("voxrtc")
        self.microphone = Microphone(samples if samples is not None else np.zeros(0, np.float32))
        self.pc.addTrack(self.microphone)
        self.heard: list[Samples] = []
        self.heard_some = asyncio.Event()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.listening: asyncio.Task[None] | None = None
        self.channel.on("open", self.opened.set)
        self.channel.on("message", self.messages.put_nowait)
        self.pc.on("track", self._track)

    def _track(self, track: MediaStreamTrack) -> None:
        self.listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self.heard.append(frame.to_ndarray()[0, :: len(frame.layout.channels)].astype(np.float32) / 32768)
                self.heard_some.set()
        except MediaStreamError:
            return

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def take(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def vanish(self) -> None:
        """Cut the line without a word, as a killed browser or a lost network does."""
        for transceiver in self.pc.getTransceivers():
            for protocol in transceiver.receiver.transport.transport._connection._protocols:
                protocol.transport.abort()

    def deafen(self) -> None:
        """Take in nothing any more, and go on sending."""
        for transceiver in self.pc.getTransceivers():
            for protocol in transceiver.receiver.transport.transport._connection._protocols:
                protocol.datagram_received = lambda *_: None

    async def close(self) -> None:
        await self.pc.close()
        if self.listening is not None:
            await self.listening
