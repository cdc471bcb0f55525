"""A reply is interrupted anywhere: is what the memory keeps of it what was heard?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrtc.bench.turns.replies import LONG
from voxrtc.bench.turns.scene import Part, Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Take

SCENES, QUICK = 90, 6
BY_VOICE = 3
"""Every so-manieth reply is stopped by a voice, the others by a command at a random instant."""
AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Between what was heard of a reply and what is remembered: ``words`` of difference, and whether the clauses are
    right: each that was heard to its end is there, and none that was not begun."""

    words: int
    clauses_right: bool


def scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """Interruptions at random moments of replies of several clauses."""
    random = np.random.default_rng([seed, 6])
    made = []
    for n in range(QUICK if quick else SCENES):
        reply = LONG[n % len(LONG)]
        at = float(random.uniform(0.15, sounds.seconds(reply) - 1.5))
        if n % BY_VOICE == 0:
            part = Part(f"phrase:{n % len(sounds.phrases)}", at, -24.0, 2.0)
            made.append(Scene(f"{n}: by voice at {at:.2f} s", at + AFTER_S, reply, parts=(part,), seed=seed + n))
        else:
            made.append(Scene(f"{n}: by command at {at:.2f} s", at + 0.5, reply, stop_at=at, seed=seed + n))
    return made


def score(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``clause_errors``: interruptions after which the memory has a clause that was not begun, or lacks one that was
    heard to its end. ``word_errors``: after which it is wrong by more than one word."""
    gaps = [gap(take) for take in takes]
    wrong = [(s.name, g) for s, g in zip(scenes, gaps, strict=True) if g.words > 1 or not g.clauses_right]
    close = sum(g.words <= 1 for g in gaps)
    return {
        "interruptions": len(gaps),
        "clause_errors": sum(not g.clauses_right for g in gaps),
        "word_errors": len(gaps) - close,
        "within_one_word_ratio": round(close / len(gaps), 4) if gaps else None,
        "faults": [{"scene": name, "words_off": g.words, "clauses_right": g.clauses_right} for name, g in wrong],
    }


def gap(take: Take) -> Gap:
    """How the memory of a take differs from the truth of it."""
    reply = " ".join(left.text.strip() for left in take.left).split()
    remembered = take.remembered.split()
    least = sum(len(left.text.split()) for left in take.left if left.size and left.heard == left.size)
    most = sum(len(left.text.split()) for left in take.left if left.heard)
    right = remembered == reply[: len(remembered)] and least <= len(remembered) <= most
    return Gap(abs(len(remembered) - sum(left.words for left in take.left)), right)
