"""What the clients say, and what they heard: clips as samples and as Opus packets; every recording as samples."""

from __future__ import annotations

import base64
import json
import wave
from pathlib import Path

import av
import numpy as np
import opuslib_next

from tests.e2e.speech import read
from voxrtc.audio import HEARD_RATE, Samples, from_pcm16, level_dbfs, resample, to_pcm16
from voxrtc.media.opus import Decoder

RATE = 48_000
LEAD_S = 0.4
REST_S = 30.0
"""Seconds of a quiet room before and after what is said: the microphone stays open until the call is over."""

WINDOW = HEARD_RATE // 50
QUIET_DBFS = -50.0
LONGEST_PAUSE_S = 0.5


def prepare(folder: Path, clip: Path) -> Samples:
    """Write ``clip`` (a 16 kHz WAV) with silence around it as ``clip.wav`` at 48 kHz; its samples (n,)."""
    noise = np.random.default_rng(1)
    lead, rest = (noise.normal(0, 8 / 32768, int(s * HEARD_RATE)).astype(np.float32) for s in (LEAD_S, REST_S))
    samples = resample(np.concatenate([lead, from_pcm16(read(clip).tobytes()), rest]), HEARD_RATE, RATE)
    with wave.open(str(folder / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(to_pcm16(samples))
    return samples


def prepare_packets(folder: Path, samples: Samples, frame_ms: float, *, dtx: bool) -> None:
    """Write ``samples`` (n,) at 48 kHz as Opus packets to ``packets.json``, for who has no codec."""
    packets = {"frame_ms": frame_ms, "packets": encode(samples, frame_ms, dtx=dtx)}
    (folder / "packets.json").write_text(json.dumps(packets))


def encode(samples: Samples, frame_ms: float, *, dtx: bool) -> list[str | None]:
    """Opus packets of ``samples`` (n,) at 48 kHz, in base64; None where DTX sends nothing."""
    encoder = opuslib_next.Encoder(RATE, 1, opuslib_next.APPLICATION_VOIP)
    encoder.dtx = int(dtx)
    size = int(RATE * frame_ms / 1000)
    frames = (samples[at : at + size] for at in range(0, samples.size - size + 1, size))
    packets = (encoder.encode(to_pcm16(frame), size) for frame in frames)
    # libopus, opus_encode(): "If the return value is 2 bytes or less, then the packet does not need to be transmitted"
    return [base64.b64encode(packet).decode() if len(packet) > 2 else None for packet in packets]


def heard(folder: Path) -> Samples:
    """What a client recorded, (n,) at 16 kHz: ``heard.json`` (RTP), ``heard.wav`` or ``heard.webm``."""
    if (folder / "heard.json").exists():
        return _decode(json.loads((folder / "heard.json").read_text()))
    (path,) = folder.glob("heard.*")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=HEARD_RATE)
    with av.open(str(path)) as container:
        frames = [frame for decoded in container.decode(audio=0) for frame in resampler.resample(decoded)]
    return np.concatenate([frame.to_ndarray()[0] for frame in (*frames, *resampler.resample(None))])


def _decode(packets: list[dict]) -> Samples:
    """RTP packets that came in order, to samples; what is missing by the timestamps is silence."""
    decoder = Decoder()
    pieces: list[Samples] = []
    expected = packets[0]["timestamp"]
    for packet in packets:
        gap = (packet["timestamp"] - expected) % 2**32 * HEARD_RATE // RATE
        pieces.append(np.zeros(min(gap, HEARD_RATE), dtype=np.float32))
        pieces.append(decoder.decode(base64.b64decode(packet["payload"])))
        expected = packet["timestamp"] + pieces[-1].size * RATE // HEARD_RATE
    return np.concatenate(pieces)


def voiced(samples: Samples) -> Samples:
    """``samples`` (n,) at 16 kHz without the silence around the speech, and with no pause over LONGEST_PAUSE_S."""
    windows = samples[: samples.size // WINDOW * WINDOW].reshape(-1, WINDOW)
    loud = np.flatnonzero([level_dbfs(window) > QUIET_DBFS for window in windows])
    if not loud.size:
        return samples[:0]
    longest = int(LONGEST_PAUSE_S * HEARD_RATE / WINDOW)
    kept = np.zeros(len(windows), dtype=bool)
    for first, following in zip(loud, [*loud[1:], loud[-1] + 1], strict=True):
        kept[first : min(following, first + longest)] = True
    return windows[kept].reshape(-1)
