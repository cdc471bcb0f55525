"""The caller speaks over a reply: how soon does it stop, and does it at all?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrtc.bench.report import spread
from voxrtc.bench.turns.replies import LONG
from voxrtc.bench.turns.scene import Echo, Part, Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Take
from voxrtc.events import FalseInterruption, ReplyEnded

SCENES = 102
LEVELS = (-20.0, -26.0, -32.0)
"""dBFS of the caller's voice."""
CUT_S = 2.5
"""So much of a longer phrase is said."""
AFTER_S = 4.0
"""The scene goes on so long after the caller's onset."""
TOO_SOON_S = 0.04
"""Nobody can tell a voice from so little of it: what stopped the reply sooner was something else."""
EARLIEST_S, LATEST_S = 0.8, 6.0
"""Seconds of the reply that have been heard when the caller begins."""

Place = tuple[str, float | None, Echo | None]
"""A noise, how much louder the caller is than it (dB), and the echo of the reply."""

PLACES: tuple[Place, ...] = (
    ("", None, None),
    ("white", 20.0, None),
    ("babble", 20.0, None),
    ("", None, Echo(-15.0, 120.0, room=True)),
    ("", None, None),
    ("white", 15.0, None),
    ("babble", 15.0, None),
    ("", None, Echo(-20.0, 60.0, room=False)),
    ("", None, Echo(-15.0, 200.0, room=False)),
    ("white", 10.0, None),
    ("babble", 10.0, None),
    ("", None, Echo(-30.0, 250.0, room=True)),
    ("", None, None),
    ("white", 15.0, Echo(-20.0, 150.0, room=True)),
    ("babble", 20.0, Echo(-15.0, 80.0, room=True)),
    ("", None, Echo(-20.0, 300.0, room=True)),
    ("", None, None),
)
WORDS = ("Stop.", "Wait.", "No, no.")
"""Short, and meant: said in the last place of PLACES."""


def scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """The caller at many moments and levels, with and without noise and echo; in every other scene the caller has
    spoken before, in the others the first turn was typed."""
    random = np.random.default_rng([seed, 1])
    numbers = range(0, len(PLACES), 2) if quick else range(SCENES)
    return [_scene(n, sounds, random, seed) for n in numbers]


def _scene(n: int, sounds: Sounds, random: np.random.Generator, seed: int) -> Scene:
    noise, snr, echo = PLACES[n % len(PLACES)]
    words = n % len(PLACES) == len(PLACES) - 1
    turn = n // len(PLACES)
    voice = f"word:{WORDS[turn % len(WORDS)]}" if words else f"phrase:{n % len(sounds.phrases)}"
    dbfs = LEVELS[(n + turn) % len(LEVELS)]
    at = float(random.uniform(EARLIEST_S, LATEST_S))
    ambient = (Part(noise, 0.0, dbfs - snr, 40.0, seed=seed + n),) if snr is not None else ()
    opening = Part(f"utterance:{n % len(sounds.utterances)}", 0.0, dbfs, 3.0) if n % 2 else None
    around = f"{noise} {snr:g} dB below" if snr is not None else "quiet"
    heard = f", echo {echo.db:g} dB {echo.delay_ms:g} ms{' in a room' if echo.room else ''}" if echo is not None else ""
    return Scene(
        name=f"{n}: {voice} at {dbfs:g} dBFS {at:.2f} s into the reply, {around}{heard}",
        seconds=at + AFTER_S,
        reply=LONG[n % len(LONG)],
        opening=opening,
        ambient=ambient,
        parts=(Part(voice, at, dbfs, CUT_S),),
        echo=echo,
        seed=seed + n,
    )


def score(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``decision_ms``: from the true onset until the sound was thrown away for good. ``missed``: the reply went on.
    ``unanswered``: there was none to speak over. ``false``: it was stopped before anybody spoke, and in ``early`` what
    there was to hear. ``faults``: which scenes, and what."""
    decisions: list[tuple[float, Scene]] = []
    faults: list[dict[str, str]] = []
    early = dict.fromkeys(("quiet", "white", "babble", "echo"), 0)
    missed = unanswered = 0
    for scene, take in zip(scenes, takes, strict=True):
        if take.cue is None:
            unanswered += 1
            faults.append({"scene": scene.name, "what": "the opening was not answered"})
            continue
        if stopped_early(take):
            early[around(scene)] += 1
            faults.append({"scene": scene.name, "what": "stopped before anybody spoke"})
        decision = decision_ms(take)
        if decision is not None:
            decisions.append((decision, scene))
        elif not ended_early(take):
            missed += 1
            faults.append({"scene": scene.name, "what": "missed"})
    slowest = sorted(decisions, key=lambda one: -one[0])[:5]
    return {
        "scenes": len(scenes),
        "decision_ms": spread(ms for ms, _ in decisions),
        "decision_ms_by": {name: spread(ms for ms, scene in decisions if around(scene) == name) for name in early},
        "missed": missed,
        "unanswered": unanswered,
        "false": sum(early.values()),
        "early": early,
        "faults": faults,
        "slowest": [{"scene": scene.name, "decision_ms": round(ms, 1)} for ms, scene in slowest],
    }


def around(scene: Scene) -> str:
    """What there is to hear in a scene besides the caller."""
    noise = scene.ambient[0].sound if scene.ambient else "quiet"
    return "echo" if scene.echo is not None and noise != "babble" else noise


def decision_ms(take: Take) -> float | None:
    """From the caller's onset until the reply was silent for good; None where that never was, or was before."""
    ended = _ended(take)
    if ended is None or ended[1] != "interrupted" or take.cue is None:
        return None
    resumed = max((h.at for h in take.of(FalseInterruption) if h.at <= ended[0]), default=0.0)
    onset = take.onsets[0] + TOO_SOON_S
    stops = [stop for stop in take.stops if max(onset, resumed) <= stop <= ended[0]]
    return (stops[0] - take.onsets[0]) * 1000 if stops else None


def stopped_early(take: Take) -> bool:
    """Whether the reply was stopped, for good or not, before the caller's onset."""
    return take.cue is not None and any(take.cue <= stop < take.onsets[0] + TOO_SOON_S for stop in take.stops)


def ended_early(take: Take) -> bool:
    """Whether the reply was stopped before the onset, and did not go on until then."""
    if not stopped_early(take):
        return False
    last = max(stop for stop in take.stops if stop < take.onsets[0] + TOO_SOON_S)
    return not any(last <= h.at < take.onsets[0] + TOO_SOON_S for h in take.of(FalseInterruption))


def _ended(take: Take) -> tuple[float, str] | None:
    """When the scene's reply ended, and how."""
    for happening in take.of(ReplyEnded):
        assert isinstance(happening.event, ReplyEnded)
        if happening.event.reply == take.reply:
            return happening.at, happening.event.ended
    return None
