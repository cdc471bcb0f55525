"""Plays all scenes, by every rule, on all cores: each process has a stage of its own, and scenes are handed to them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrtc.audio import Samples
from voxrtc.bench.turns import barge_in, product, remembering, silence, undisturbed
from voxrtc.bench.turns.recordings import recordings
from voxrtc.bench.turns.scene import Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Stage, Take
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.settings import Settings

Scores = dict[str, dict[str, Any]]
"""Of each suite."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Scenes of one kind, and what they add up to."""

    scenes: Callable[[Sounds, int, bool], list[Scene]]
    score: Callable[[Sequence[Scene], Sequence[Take]], dict[str, Any]]


SUITES: dict[str, Suite] = {
    "barge_in": Suite(barge_in.scenes, barge_in.score),
    "backchannels": Suite(undisturbed.backchannel_scenes, undisturbed.score_backchannels),
    "echo": Suite(undisturbed.echo_scenes, undisturbed.score_echo),
    "noise": Suite(undisturbed.noise_scenes, undisturbed.score_noise),
    "silence": Suite(silence.scenes, silence.score),
    "memory": Suite(remembering.scenes, remembering.score),
}


@dataclass(frozen=True, slots=True)
class Programme:
    """What is to be played. ``audio``: the folder of further recordings."""

    settings: Settings
    audio: Path | None
    seed: int
    quick: bool


Work = tuple[str, str, int]
"""A rule, a suite, and the number of a scene in it."""


class Company:
    """The stages of one process, each made when it is first needed."""

    def __init__(self, programme: Programme) -> None:
        self._programme = programme
        self._sounds = Sounds(recordings(programme.audio))
        self._stages: dict[str, Stage] = {}
        self._whisper: Whisper | None = None
        self._scenes: dict[str, list[Scene]] = {}

    def scenes(self, suite: str) -> list[Scene]:
        """The scenes of a suite."""
        if suite not in self._scenes:
            self._scenes[suite] = SUITES[suite].scenes(self._sounds, self._programme.seed, self._programme.quick)
        return self._scenes[suite]

    def play(self, work: Work) -> Take:
        """Play one scene."""
        rule, suite, number = work
        if rule not in self._stages:
            self._stages[rule] = Stage(product.load(self._programme.settings, rule), self._sounds, self._hear)
        return self._stages[rule].perform(self.scenes(suite)[number])

    def _hear(self, samples: Samples) -> str:
        """What whisper makes of a noise."""
        if self._whisper is None:
            models = self._programme.settings.models
            folder = store.ensure(models.whisper, models.cache_path, lambda what, fraction: None)
            self._whisper = Whisper(folder, threads=1)
        return self._whisper.hear(samples, "en").text


def play(
    programme: Programme, rules: Sequence[str], processes: int, progress: Callable[[float], None]
) -> dict[str, Scores]:
    """The scores of every suite by every rule, from that many processes; with one, none is started. The number changes
    nothing but the time it takes."""
    company = Company(programme)
    work = [(rule, suite, n) for rule in rules for suite in SUITES for n in range(len(company.scenes(suite)))]
    takes: dict[Work, Take] = {}
    for one, take in zip(work, _takes(company, programme, work, processes), strict=True):
        takes[one] = take
        progress(len(takes) / len(work))
    return {rule: {name: _score(company, takes, rule, name) for name in SUITES} for rule in rules}


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _score(company: Company, takes: dict[Work, Take], rule: str, name: str) -> dict[str, Any]:
    scenes = company.scenes(name)
    return SUITES[name].score(scenes, [takes[rule, name, n] for n in range(len(scenes))])


def _takes(company: Company, programme: Programme, work: Sequence[Work], processes: int) -> Iterator[Take]:
    """What happened in each scene, in order."""
    if processes <= 1:
        yield from map(company.play, work)
        return
    # Spawned: a fork would copy the threads' locks of the libraries that are loaded here, but not the threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (programme,))
    try:
        yield from pool.map(_play, work, chunksize=3)
    finally:
        pool.shutdown(cancel_futures=True)


_company: Company | None = None
"""Of a process of the pool."""


def _begin(programme: Programme) -> None:
    global _company
    _company = Company(programme)


def _play(work: Work) -> Take:
    assert _company is not None
    return _company.play(work)
