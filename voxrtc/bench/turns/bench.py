"""The whole of ``voxrtc bench turns``: the curve of false cut-offs and all scenes, by every rule, as one document."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxrtc.bench.machine import machine, today
from voxrtc.bench.turns import company, cutoffs
from voxrtc.bench.turns.company import Programme, Scores
from voxrtc.bench.turns.evidence import evidence
from voxrtc.bench.turns.product import RULES
from voxrtc.bench.turns.recordings import Recording, recordings
from voxrtc.settings import Settings

Progress = Callable[[str, float], None]
QUICK_CLIPS = 4
"""The shortest recordings, on which alone a quick run draws its curves."""


def bench(
    settings: Settings,
    audio: Path | None = None,
    *,
    seed: int = 0,
    quick: bool = False,
    processes: int | None = None,
    command: str | None = None,
    progress: Progress = lambda what, fraction: None,
) -> dict[str, Any]:
    """Measure how turns are taken; the keys of the document are in docs/benchmarks.md. Blocks for minutes.

    ``audio``: a folder of further recordings. ``quick``: few scenes and settings. ``processes``: as many as there are
    cores, if None. The same ``seed`` gives the same figures. Raises AudioError, StoreError.
    """
    clips = recordings(audio)
    judged = sorted(clips, key=lambda clip: clip.samples.size)[:QUICK_CLIPS] if quick else clips
    curves = _curves(settings, judged, seed, quick, lambda fraction: progress("pauses", fraction))
    programme = Programme(settings, audio, seed, quick)
    processes = processes or company.cores()
    scores = company.play(programme, RULES, processes, lambda fraction: progress("scenes", fraction))
    rules = {rule: curves["rules"][rule] | figures(scores[rule]) for rule in RULES}
    configured = settings.endpointing.strategy
    shown = configured if configured in rules else "fused"
    return {
        "date": today(),
        "command": command or shlex.join(["voxrtc", *sys.argv[1:]]),
        "seed": seed,
        "quick": quick,
        "recordings": [clip.name for clip in clips],
        "rule": shown,
        **rules[shown],
        "rules": rules,
        "places": curves["places"],
        "machine": machine(),
    }


def figures(scores: Scores) -> dict[str, Any]:
    """What the scenes of one rule add up to, with the details of each suite beside the figures."""
    barge_in, echo, noise = (dict(scores[name]) for name in ("barge_in", "echo", "noise"))
    backchannels, silence, memory = scores["backchannels"], scores["silence"], scores["memory"]
    early = barge_in.pop("false")
    false = {"early": early, "backchannels_lost": backchannels["lost"], "noise": noise["false_interruptions"]}
    keys = ("interruptions", "clause_errors", "word_errors", "within_one_word_ratio")
    return {
        "barge_in": {
            "decision_ms": barge_in["decision_ms"],
            "missed": barge_in["missed"],
            "unanswered": barge_in["unanswered"],
            "false": sum(false.values()),
            "false_by": false,
        },
        "echo_false_interruptions": echo["false_interruptions"],
        "noise_turns": silence["turns"],
        "memory_errors": {key: memory[key] for key in keys},
        "scenes": {
            "barge_in": barge_in,
            "backchannels": backchannels,
            "echo": echo,
            "noise": noise,
            "silence": silence,
            "memory": {key: value for key, value in memory.items() if key not in keys},
        },
    }


def _curves(
    settings: Settings, clips: list[Recording], seed: int, quick: bool, progress: Callable[[float], None]
) -> dict[str, Any]:
    """The curves of false cut-offs, as JSON."""
    with evidence(settings) as models:
        return cutoffs.measure(clips, models, settings.endpointing, seed, quick, progress).to_json()
