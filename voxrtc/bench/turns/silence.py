"""Ten minutes in which nobody speaks: silence, hiss, doors, coughs, a babble somewhere. Is a turn made of any of it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrtc.bench.turns.scene import Part, Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Take
from voxrtc.events import ReplyStarted, SpeechStarted, TurnDropped, TurnEnded

SECONDS, QUICK_S = 60.0, 15.0
"""Of each scene; there are ten, and four of them in a quick run."""
EVERY_S = 3.0
"""A burst about so often."""


def scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """A minute each of what a microphone hears when nobody talks to it."""
    random = np.random.default_rng([seed, 5])
    long = QUICK_S if quick else SECONDS

    def all_through(noise: str, dbfs: float) -> tuple[Part, ...]:
        return (Part(noise, 0.0, dbfs, long, seed=int(random.integers(1 << 30))),)

    def bursts(names: Sequence[str], quietest: float, loudest: float) -> tuple[Part, ...]:
        times = np.arange(1.0, long - 1.5, EVERY_S) + random.uniform(0, 1, len(np.arange(1.0, long - 1.5, EVERY_S)))
        levels = random.uniform(quietest, loudest, times.size)
        seeds = random.integers(1 << 30, size=times.size)
        kinds = [names[k % len(names)] for k in range(times.size)]
        return tuple(
            Part(name, float(at), float(dbfs), seed=int(n))
            for name, at, dbfs, n in zip(kinds, times, levels, seeds, strict=True)
        )

    gusts = tuple(Part("white", float(at), -38.0, 4.0, seed=int(at)) for at in np.arange(2.0, long - 5.0, 9.0))
    made = [
        Scene("bursts of all kinds in a hiss at -45 dBFS", long, ambient=all_through("white", -45.0),
              parts=bursts(("door", "cough", "keys", "knocks"), -32.0, -18.0)),
        Scene("coughs", long, parts=bursts(("cough",), -32.0, -20.0)),
        Scene("babble at -45 dBFS", long, ambient=all_through("babble", -45.0)),
        Scene("silence", long),
        Scene("hiss at -55 dBFS", long, ambient=all_through("white", -55.0)),
        Scene("hiss at -38 dBFS", long, ambient=all_through("white", -38.0)),
        Scene("doors", long, parts=bursts(("door",), -30.0, -15.0)),
        Scene("knocks and typing", long, parts=bursts(("knocks", "keys"), -35.0, -20.0)),
        Scene("babble at -52 dBFS", long, ambient=all_through("babble", -52.0)),
        Scene("hiss that comes and goes at -38 dBFS", long, parts=gusts),
    ]  # fmt: skip
    return made[:4] if quick else made


def score(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``turns``: turns that were not dropped for having no words in them, or were answered. ``dropped``: those that
    were. ``speech_started``: times that something was taken for a voice."""
    turns = [len(turns_of(take)) for take in takes]
    return {
        "minutes": round(sum(take.seconds for take in takes) / 60, 2),
        "turns": sum(turns),
        "dropped": sum(len(take.of(TurnDropped)) for take in takes),
        "speech_started": sum(len(take.of(SpeechStarted)) for take in takes),
        "faults": [scene.name for scene, n in zip(scenes, turns, strict=True) if n],
    }


def turns_of(take: Take) -> set[int]:
    """The turns that were taken, by number."""
    ended = {h.event.turn for h in take.of(TurnEnded) if isinstance(h.event, TurnEnded)}
    dropped = {h.event.turn for h in take.of(TurnDropped) if isinstance(h.event, TurnDropped)}
    answered = {h.event.turn for h in take.of(ReplyStarted) if isinstance(h.event, ReplyStarted)}
    return ((ended - dropped) | answered) - {0}  # 0: what the assistant says unasked
