"""Chatterbox's steps one by one: a token for so many, a chunk of sound for so many; and whether chunks add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.bench.tts import spoken
from voxrtc.bench.tts.clicks import clicks
from voxrtc.bench.voxtral.timing import Wait, median, spread, timed
from voxrtc.models.chatterbox.loop import CHUNKS, LOOK_AHEAD
from voxrtc.models.chatterbox.parts import CODES, Chunk, SoundModel, TokenModel, Voice

FIRST = CHUNKS[0] + LOOK_AHEAD
"""Tokens of a clause's first chunk."""
BEFORE = 50
"""Tokens that were said before those whose time is taken: the middle of a clause."""
WHOLE = CHUNKS[-1]
"""Tokens that are compared in chunks and at once: what one pass makes."""
WINDOW, HOP, BANDS = 1_024, 240, 64


def tokens(model: TokenModel, voice: Voice, vocabulary: int, counts: Sequence[int], wait: Wait, repeat: int) -> Any:
    """``t3_token_ms`` by rows, and ``t3_begin_ms``: a clause's text read. Random weights are to be Unstopped."""
    spreads: dict[str, dict[str, float]] = {}
    by_rows: dict[str, float] = {}
    asked = [spoken.utterance(voice, BEFORE + 3 + repeat + 1, vocabulary, row) for row in range(max(counts))]
    for count in counts:
        rows = list(range(count))
        for row in rows:
            model.begin(row, asked[row])
        for _ in range(BEFORE):
            model.step(rows)
        times = timed(lambda rows=rows: model.step(rows), wait, repeat)  # type: ignore[misc]
        by_rows[str(count)] = median(times)
        spreads[f"t3_token_ms_{count}"] = spread(times)
    begin = timed(lambda: model.begin(0, asked[0]), wait, repeat)
    return {"t3_token_ms": by_rows, "t3_begin_ms": median(begin), "spread": spreads | {"t3_begin_ms": spread(begin)}}


def chunks(model: SoundModel, voice: Voice, counts: Sequence[int], wait: Wait, repeat: int) -> Any:
    """``sound_chunk_ms`` of the largest chunks and ``sound_first_chunk_ms`` of first ones, by how many at once."""
    spreads: dict[str, dict[str, float]] = {}
    large: dict[str, float] = {}
    first: dict[str, float] = {}
    draws = np.random.default_rng(0)

    def codes(count: int) -> list[int]:
        return [int(code) for code in draws.integers(0, CODES, count)]

    for count in counts:
        streams = [model.open(voice, seed) for seed in range(count)]
        model.sound([Chunk(stream, codes(FIRST), False) for stream in streams])
        more = [codes(CHUNKS[-1]) for _ in streams]

        def next_chunk(streams: Any = streams, more: Any = more) -> None:
            model.sound([Chunk(stream, said, False) for stream, said in zip(streams, more, strict=True)])

        def first_chunk(count: int = count, said: Any = codes(FIRST)) -> None:  # noqa: B008 - once for each count
            model.sound([Chunk(model.open(voice, seed), said, False) for seed in range(count)])

        for name, times, work in (("sound_chunk_ms", large, next_chunk), ("sound_first_chunk_ms", first, first_chunk)):
            taken = timed(work, wait, repeat)
            times[str(count)] = median(taken)
            spreads[f"{name}_{count}"] = spread(taken)
    return {"sound_chunk_ms": large, "sound_first_chunk_ms": first, "spread": spreads}


def streamed(model: SoundModel, voice: Voice, seed: int) -> dict[str, Any]:
    """The same WHOLE tokens in chunks, and in one pass that sees them all: how far apart they are, and the clicks.

    ``distance_db``: see distance_db(). ``other_db``: that of other tokens."""
    draws = np.random.default_rng(seed)
    codes, others = ([int(code) for code in draws.integers(0, CODES, WHOLE)] for _ in range(2))
    parts = in_chunks(model, voice, codes, seed)
    sound = np.concatenate(parts)
    at_once, other = (model.sound([Chunk(model.open(voice, seed), said, True)])[0] for said in (codes, others))
    joints = [int(joint) for joint in np.cumsum([part.size for part in parts])[:-1]]
    return {
        "distance_db": round(distance_db(sound, at_once), 3),
        "other_db": round(distance_db(other, at_once), 3),
        "clicks": len(clicks(sound, joints)),
        "joints": len(joints),
        "seconds": round(sound.size / SPOKEN_RATE, 2),
    }


def in_chunks(model: SoundModel, voice: Voice, codes: Sequence[int], seed: int) -> list[Samples]:
    """The sound of ``codes``, chunked as the loop does."""
    stream, at = model.open(voice, seed), 0
    parts: list[Samples] = []
    sizes = [FIRST, *CHUNKS[1:]]
    while at < len(codes):
        size = sizes[min(len(parts), len(sizes) - 1)]
        parts.append(model.sound([Chunk(stream, codes[at : at + size], at + size >= len(codes))])[0])
        at += size
    return parts


def distance_db(one: Samples, other: Samples) -> float:
    """The mean difference of two sounds of one length in their log-mel spectrograms: 64 bands, windows of 43 ms."""
    return float(np.mean(np.abs(_log_mel(one) - _log_mel(other))))


def _log_mel(sound: Samples) -> NDArray[np.float64]:
    """(frames, BANDS) in dB; triangles on the mel scale 2595 log10(1 + f / 700)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    top = 2_595 * np.log10(1 + SPOKEN_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2_595) - 1)
    hz = np.linspace(0, SPOKEN_RATE / 2, power.shape[1])[:, None]
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(10 * np.log10(power @ bank + 1e-7))
