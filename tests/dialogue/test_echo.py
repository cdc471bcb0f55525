"""The echo guard with recorded speech: one clip is what the assistant plays, another what the caller says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.endpointing.sounds import silence, spoken
from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, Block, Samples, level_dbfs, resample
from voxrtc.dialogue.echo import EchoGuard

MS = HEARD_RATE // 1000


def marked(played: Samples, microphone: Samples) -> list[tuple[bool, bool]]:
    """Of each block of ``microphone``: whether there is sound in it, and whether the guard calls it an echo."""
    guard = EchoGuard()
    out = resample(played, HEARD_RATE, SPOKEN_RATE)
    found = []
    for n, at in enumerate(range(0, microphone.size - BLOCK + 1, BLOCK)):
        packet = out[n * SPOKEN_BLOCK : (n + 1) * SPOKEN_BLOCK]
        if packet.size == SPOKEN_BLOCK:
            guard.played(packet, at)
        block = microphone[at : at + BLOCK]
        found.append((level_dbfs(block) > -50, guard.guard(Block(at, block)).echo))
    return found


def share(found: list[tuple[bool, bool]]) -> float:
    loud = [echo for sounds, echo in found if sounds]
    return sum(loud) / len(loud)


@pytest.mark.parametrize("delay_ms", [50, 170, 300])
@pytest.mark.parametrize("db", [-10, -15])
def test_what_comes_back_is_an_echo(db: int, delay_ms: int) -> None:
    played = spoken("austen-0920")
    microphone = silence(7000, -75)
    at = delay_ms * MS
    microphone[at : at + played.size] += played * np.float32(10 ** (db / 20))
    assert share(marked(played, microphone)) > 0.8


def test_a_caller_is_none_whatever_is_played() -> None:
    played, said = spoken("austen-0920"), spoken("austen-0870")
    microphone = silence(8000, -75)
    microphone[: said.size] += said
    assert share(marked(played, microphone)) < 0.05


def test_a_caller_over_an_echo_is_heard() -> None:
    played, said = spoken("austen-0920"), spoken("jfk")[: 3 * HEARD_RATE]
    microphone = silence(7000, -75)
    microphone[170 * MS : 170 * MS + played.size] += played * np.float32(10 ** (-20 / 20))
    start = 2 * HEARD_RATE
    microphone[start : start + said.size] += said
    found = marked(played, microphone)
    over = [echo for sounds, echo in found[start // BLOCK : (start + said.size) // BLOCK] if sounds]
    assert sum(over) / len(over) < 0.5
