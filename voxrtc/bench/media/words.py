"""What the embedded recogniser still understands of a caller behind a bad network.

Recorded clips are encoded as a browser does (48 kHz, mono, 20 ms, in-band FEC), their packets lost and delayed in
virtual time on their way into the real receiver, and what comes out of it is heard by whisper. All is computed, so
that a run comes out the same anywhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import opuslib_next

from voxrtc.audio import HEARD_RATE, Block, Samples, resample, to_pcm16
from voxrtc.bench import virtual
from voxrtc.bench.impair import CLEAR, Impairment
from voxrtc.bench.turns.recordings import Recording, recordings
from voxrtc.bench.wer import Errors, count_errors
from voxrtc.client.packets import BITRATE, OPUS_FRAME, OPUS_RATE
from voxrtc.errors import VoxrtcError
from voxrtc.media.inbound import Inbound
from voxrtc.media.jitter import Packet
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.settings import Settings

STEP_S = 0.02
QUIET_S = 0.5
"""Of a quiet room, before and after the words: a caller's line is open all the time."""

EXPECTED_LOSS = 20
"""Percent that the encoder is told to expect: what libwebrtc sets by the loss it is told of, at the most."""

SEEDS = 4
"""Times that each clip goes through each network, each time another one's luck."""

Hear = Callable[[Samples], str]


def networks() -> dict[str, Impairment]:
    """The networks by name: the percentage of random loss, the same in bursts of 4 in the mean, or jitter besides."""
    random_loss = {str(percent): Impairment(loss=percent / 100) for percent in (5, 10, 20)}
    bursts = {f"{percent} in bursts": Impairment(loss=percent / 100, burst=4.0) for percent in (5, 10)}
    jitter = {"5, jitter": Impairment(loss=0.05, delay_ms=60.0, jitter_ms=30.0)}
    return {"clean": CLEAR} | random_loss | bursts | jitter


def understood(
    settings: Settings,
    folder: Path | None = None,
    *,
    seeds: int = SEEDS,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, float]:
    """Word error rate (errors a word, 0 and up) of the embedded recogniser by network, over all clips.

    ``folder``: clips with their words besides those of tests/data. Raises AudioError, StoreError.
    """
    models = settings.models
    whisper = Whisper(store.ensure(models.whisper, models.cache_path, lambda what, fraction: None), threads=1)
    return error_rates(
        recordings(folder), networks(), lambda samples: whisper.hear(samples, "en").text, seeds, progress, settings
    )


def error_rates(
    clips: Sequence[Recording],
    ways: dict[str, Impairment],
    hear: Hear,
    seeds: int,
    progress: Callable[[float], None],
    settings: Settings,
) -> dict[str, float]:
    """``understood`` with any clips, networks and recogniser. A network without luck in it is gone through once."""
    packets = {clip.name: encode(clip.samples) for clip in clips}
    trials = [
        (name, clip, seed)
        for name, way in ways.items()
        for seed in range(1 if way == CLEAR else seeds)
        for clip in clips
    ]
    errors = dict.fromkeys(ways, Errors(0, 0))
    for done, (name, clip, seed) in enumerate(trials):
        heard = virtual.run(receive(arrivals(packets[clip.name], ways[name], f"{seed} {clip.name}"), settings))
        errors[name] += count_errors(clip.words, hear(heard.samples))
        progress((done + 1) / len(trials))
    return {name: round(found.rate or 0.0, 4) for name, found in errors.items()}


def encode(samples: Samples) -> list[bytes]:
    """``samples`` (n,) at 16 kHz, QUIET_S before and after, as the packets of a browser that was told of loss."""
    encoder = opuslib_next.Encoder(OPUS_RATE, 1, opuslib_next.APPLICATION_VOIP)
    encoder.bitrate, encoder.inband_fec, encoder.packet_loss_perc = BITRATE, 1, EXPECTED_LOSS
    quiet = np.random.default_rng(20).standard_normal(round(QUIET_S * OPUS_RATE)).astype(np.float32) * np.float32(3e-4)
    pcm = to_pcm16(np.concatenate([quiet, resample(samples, HEARD_RATE, OPUS_RATE), quiet]))
    step = 2 * OPUS_FRAME
    return [encoder.encode(pcm[at : at + step], OPUS_FRAME) for at in range(0, len(pcm) - step + 1, step)]


def arrivals(payloads: Sequence[bytes], way: Impairment, seed: str) -> list[tuple[float, Packet]]:
    """When which packet comes, in seconds from the first one sent: Gilbert's losses, uniform delays (bench.impair)."""
    dice = random.Random(seed)
    enter, leave = _chances(way)
    bad, came = False, []
    for n, payload in enumerate(payloads):
        bad = dice.random() < (1 - leave if bad else enter)
        delay = max(0.0, way.delay_ms + dice.uniform(-way.jitter_ms, way.jitter_ms)) / 1000
        if not bad:
            came.append((n * STEP_S + delay, Packet(n & 0xFFFF, n * OPUS_FRAME & 0xFFFFFFFF, 1, payload)))
    return sorted(came, key=lambda arrival: arrival[0])


def _chances(way: Impairment) -> tuple[float, float]:
    """Of the next packet: to be lost after one that came, and to come after one that was lost."""
    leave = 1 / way.burst if way.burst else 1 - way.loss
    return way.loss * leave / (1 - way.loss), leave


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """What came out of the receiver, and how often it had to help itself."""

    samples: Samples
    concealed: int
    recovered: int


async def receive(packets: Sequence[tuple[float, Packet]], settings: Settings) -> Received:
    """What the receiver makes of ``packets``, in the running loop's time. Raises VoxrtcError where it fails."""
    faults: list[str] = []
    inbound = Inbound(settings.media.jitter_start_ms, settings.media.jitter_max_ms, faults.append)
    listening = asyncio.create_task(_blocks(inbound))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for at, packet in packets:
        await asyncio.sleep(began + at - loop.time())
        inbound.receive(packet)
    await asyncio.sleep(settings.media.jitter_max_ms / 1000)
    inbound.close()
    blocks = await listening
    if faults:
        raise VoxrtcError(faults[0])
    samples = np.concatenate([block.samples for block in blocks]) if blocks else np.zeros(0, np.float32)
    return Received(samples, inbound.concealed, inbound.recovered)


async def _blocks(inbound: Inbound) -> list[Block]:
    return [block async for block in inbound]
