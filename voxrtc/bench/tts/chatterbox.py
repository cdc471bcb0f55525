"""Chatterbox with random weights: T3, S3Gen and HiFT step by step, and callers who are spoken to through the loop."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import resource
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
import transformers

from voxrtc import __version__
from voxrtc.bench.machine import machine
from voxrtc.bench.tts import callers, spoken, steps, stock
from voxrtc.bench.tts.listener import Reply
from voxrtc.bench.tts.options import Options
from voxrtc.bench.tts.parts import Parts, Progress
from voxrtc.bench.voxtral.timing import median, timed, waiter
from voxrtc.models.chatterbox import flow_shape, runners, t3_weights
from voxrtc.models.chatterbox.loop import CHUNKS, Loop
from voxrtc.models.chatterbox.parts import TOKEN_SAMPLES
from voxrtc.models.chatterbox.sound import SoundPlan
from voxrtc.models.chatterbox.watermark import BEFORE, Marked, Perth
from voxrtc.models.gpu.lane import Lane

ROWS = {"cuda": (1, 2, 8, 16), "cpu": (1, 2)}
"""Callers in one step, and chunks made at once, whose time is taken."""
STOCK_REPEATS = {"cuda": 4, "cpu": 1}
VOICES = 3
"""Who speak to the callers in turn."""
ROUNDS = {"cuda": 4, "cpu": 1}
"""Times that everybody asks at one instant."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of both models, the speech tokens of a reply's clauses, and how many of the voice's own a pass of the sound
    sees (sound.SoundPlan)."""

    tokens: t3_weights.Sizes
    sound: flow_shape.Shape
    clauses: tuple[int, ...]
    reference: int


SHAPES = {
    "full": Shape(t3_weights.Sizes(), flow_shape.Shape(), spoken.CLAUSES, SoundPlan().reference),
    # The heads of attention that follow the text are in layers 9, 12 and 13, so there are no fewer than 14.
    "tiny": Shape(
        t3_weights.Sizes(hidden=64, layers=14, head_dim=4, wide=64),
        flow_shape.Shape(
            inner=64, layers=1, channels=32, blocks=1, middles=1, attention=64, vocoder=16, pitch=16
        ),
        (18, 28),
        25,
    ),
}  # fmt: skip
"""The multilingual model, and one that any machine can try: of the right form, and of no use."""


def measure(options: Options, parts: Parts, progress: Progress) -> Iterator[dict[str, Any]]:
    """All figures, part after part. Raises VoxrtcError where the models cannot be made."""
    return _Run(options, parts, progress).measure()


class _Run:
    """One run of the bench: what its parts share."""

    def __init__(self, options: Options, parts: Parts, progress: Progress) -> None:
        on_gpu = options.device == "cuda"
        self._options, self._parts, self._progress = options, parts, progress
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
        dtype = runners.dtype_of(self._device)
        self._wait = waiter(options.device)
        self._shape = SHAPES[options.shape]
        self._rows = ROWS[options.device]
        self._voices = [spoken.voice(self._device, options.seed + number) for number in range(VOICES)]
        seed = options.seed
        self._perth = _perth(self._device, seed)
        self._t3_state = t3_weights.random(self._shape.tokens, self._device, dtype, seed)
        self._s3_state = flow_shape.random_state(self._shape.sound, seed, self._device)

    def measure(self) -> Iterator[dict[str, Any]]:
        """Part after part. The package's own goes first, and goes: what we take is measured without it."""
        options = self._options
        yield {
            "device": torch.cuda.get_device_name() if options.device == "cuda" else f"CPU: {machine()['cpu']}",
            "shape": {"name": options.shape, "parameters": self._parameters()},
            "weights": "random",
            "clauses": list(self._shape.clauses),
            "versions": _versions(),
        }
        yield {"stock": self._stock()}
        began = perf_counter()
        self._reset_peak()
        made = self._built()
        model = spoken.Unstopped(made.tokens)
        yield {"start_s": round(perf_counter() - began, 1), "runner": self._report}
        tokens = self._part("t3", 0.4, lambda: self._tokens(model, made.lane)) or {"t3_token_ms": {}, "spread": {}}
        yield tokens
        chunks = self._part("sound", 0.5, lambda: self._chunks(made)) or {"sound_chunk_ms": {}, "spread": {}}
        yield chunks | {"spread": tokens["spread"] | chunks["spread"]}
        yield self._part("callers", 0.6, lambda: asyncio.run(self._callers(model, made))) or dict(NOBODY)
        yield {"peak_gb": self._peak_gb(), "stops": model.stops}
        yield {
            "stream": self._part("stream", 0.95, lambda: self._streamed(made)),
            "watermark_ms": self._part("watermark", 0.98, self._watermark_ms),
        }

    def _part(self, name: str, share: float, work: Callable[[], Any]) -> Any:
        self._progress(f"measuring {name}", share)
        return self._parts.take(name, work)

    def _stock(self) -> dict[str, float] | None:
        options = self._options
        if not options.stock:
            return None

        def work() -> dict[str, float]:
            made = stock.Stock(self._t3_state, self._s3_state, self._device)
            repeat = min(options.repeat, STOCK_REPEATS[options.device])
            return stock.measure(made, self._voices[0], self._shape.clauses, self._wait, repeat)

        found: dict[str, float] | None = self._part("stock", 0.1, work)
        gc.collect()  # modules point at each other
        return found

    def _built(self) -> runners.Runners:
        """Both models, warm, as a server has them for as many calls as are measured."""
        plan = runners.Plan.of(max(*self._rows, self._options.callers))
        plan = replace(plan, sound=replace(plan.sound, reference=self._shape.reference))
        self._progress("loading Chatterbox", 0.3)
        made = runners.make(self._t3_state, self._s3_state, plan, self._device, self._progress)
        self._report = made.tokens.report()
        return made

    def _tokens(self, model: spoken.Unstopped, within: Lane) -> Any:
        vocabulary = self._shape.tokens.text
        with within():
            return steps.tokens(model, self._voices[0], vocabulary, self._rows, self._wait, self._options.repeat)

    def _chunks(self, made: runners.Runners) -> Any:
        with made.lane():
            return steps.chunks(made.sound, self._voices[0], self._rows, self._wait, self._options.repeat)

    def _streamed(self, made: runners.Runners) -> dict[str, Any]:
        with made.lane():
            return steps.streamed(made.sound, self._voices[0], self._options.seed)

    async def _callers(self, model: spoken.Unstopped, made: runners.Runners) -> dict[str, Any]:
        """One caller, many, and all at one instant."""
        options = self._options
        marked = Marked(made.sound, self._perth)  # as a call hears it, by default
        loop = Loop(model, marked, max_waiting=4 * options.callers + 4, within=made.lane)
        loop.start()
        try:
            voice = spoken.Spoken(loop, self._voices, self._shape.tokens.text, self._shape.clauses)
            await callers.heard(voice, 0, 0)
            alone = [await callers.heard(voice, 0, turn) for turn in range(options.repeat)]
            many, together = alone, []
            if options.callers > 1:
                self._progress(f"measuring {options.callers} callers at once", 0.75)
                many = await callers.listen(voice, callers.Plan(options.callers, options.seconds, options.seed))
                for number in range(ROUNDS[options.device]):
                    plan = callers.Plan(options.callers, 0.0, options.seed + number, together=True)
                    together += await callers.listen(voice, plan)
            return self._figures(alone, many, together) | {"loop": _counts(loop)}
        finally:
            loop.close()

    @staticmethod
    def _figures(alone: list[Reply], many: list[Reply], together: list[Reply]) -> dict[str, Any]:
        one = callers.figures(alone)
        return {
            **callers.figures(many),
            "rtf": one["rtf"],
            "alone": one,
            "together": callers.figures(together) if together else None,
            **callers.joints(alone if many is alone else [*alone, *many, *together]),
        }

    def _watermark_ms(self) -> float:
        """What the mark of a large chunk takes, which it is in the callers' figures."""
        size = BEFORE + CHUNKS[-1] * TOKEN_SAMPLES
        known = 0.1 * np.random.default_rng(0).standard_normal(size, np.float32)
        return median(timed(lambda: self._perth.mark([known]), self._wait, self._options.repeat))

    def _parameters(self) -> int:
        states: tuple[Mapping[str, torch.Tensor], ...] = (self._t3_state, self._s3_state)
        return sum(weight.numel() for state in states for weight in state.values())

    def _reset_peak(self) -> None:
        if self._options.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_gb(self) -> float:
        """The most memory that was taken on the device since ours was built; on the CPU, by this process."""
        if self._options.device == "cuda":
            return round(torch.cuda.max_memory_allocated() / 1e9, 3)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)


NOBODY: dict[str, Any] = {"first_audio_ms": None, "rtf": None, "joint_clicks": None, "alone": None, "together": None}
"""In place of the callers' figures where the loop fails."""


def _counts(loop: Loop) -> dict[str, Any]:
    """What the loop says of itself."""
    found = loop.statistics()
    return {
        "steps": found.steps,
        "rows_of_a_step": round(found.tokens / max(1, found.steps), 1),
        "calls": found.calls,
        "chunks_of_a_call": round(found.chunks / max(1, found.calls), 1),
        "starved": found.starved,
        "failures": found.failures,
    }


def _perth(device: torch.device, seed: int) -> Perth:
    """PerTh's encoder with random weights (resemble-perth 1.0.1: seven layers), so small that nothing is marked."""
    draws = torch.Generator(device).manual_seed(seed)
    sizes = [(256, 128, 1), *[(256, 256, 7)] * 5, (128, 256, 1)]
    weights = {}
    for number, size in enumerate(sizes):
        weight = torch.randn(size, generator=draws, device=device)
        weights[f"encoder.layers.{number}.conv.weight"] = 1e-2 / np.sqrt(size[1] * size[2]) * weight
        weights[f"encoder.layers.{number}.conv.bias"] = torch.zeros(size[0], device=device)
    return Perth(weights, device)


def _versions() -> dict[str, str]:
    found = {"voxrtc": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
    found["cuda"] = torch.version.cuda or "none"
    for package in ("chatterbox-tts",):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # it is not needed but for what stands beside ours
            found[package] = "not installed"
    return found
