"""The whole of ``voxrtc bench voxtral``: ours, transformers' ``generate`` and the floor in one run, as one document.

The parts are measured one after the other; one that fails (no memory for a second model, say) is told in ``failed`` and
does not take the others with it.
"""

from __future__ import annotations

import gc
import logging
import resource
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
import transformers

from voxrtc import __version__
from voxrtc.audio import Samples
from voxrtc.bench.machine import machine, today
from voxrtc.bench.voxtral import correct, floors, mix, releases, reuse, steps, stock
from voxrtc.bench.voxtral.keeping import Keep
from voxrtc.bench.voxtral.options import Options, check
from voxrtc.bench.voxtral.shape import Shape, config_of, shape_of
from voxrtc.bench.voxtral.sound import PROMPT_TOKENS, UTTERANCE_S, speech
from voxrtc.bench.voxtral.timing import waiter
from voxrtc.models.voxtral import build, checkpoint
from voxrtc.models.voxtral.runner import VoxtralRunner

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
STOCK_REPEATS = {"cuda": 8, "cpu": 2}
"""``generate`` takes its time."""
MOST_RELEASES = 40
"""Turns, of which half are released while the prompt is being read."""
NO_STEPS: dict[str, Any] = {"encode_ms": None, "prefill_ms": None, "first_token_ms": None, "spread": {}} | {
    "decode_ms": {}, "tokens_per_s": {}
}  # fmt: skip
"""In place of the steps' figures where a step fails."""


def bench(
    options: Options,
    *,
    command: str | None = None,
    progress: Progress = lambda what, part: None,
    keep: Keep = lambda document: None,
) -> dict[str, Any]:
    """Measure; the keys of the document are in docs/benchmarks.md. ``keep`` is given it after every part, with what
    there is by then. Raises VoxrtcError."""
    check(options)
    options = options.settled()
    config = config_of(options.shape)
    sound, heard = speech(options.audio, options.seed)
    run = _Run(options, config, progress)
    document: dict[str, Any] = {
        "date": today(),
        "command": command or shlex.join(["voxrtc", *sys.argv[1:]]),
        "device": run.device_name,
        "shape": {"name": options.shape, "parameters": run.shape.parameters},
        "weights": "random",
        "quantize": options.quantize,
        "context": options.context,
        "sound": {"seconds": UTTERANCE_S, "what": heard},
        "versions": _versions(),
        "machine": machine(),
    }
    document |= {"complete": False, "failed": run.failed}
    for found in run.measure(sound):
        document |= found
        keep(document)
    document |= {"complete": True, "ratios": ratios(document)}
    keep(document)
    return document


class _Run:
    """One run of the bench: what its parts share."""

    def __init__(self, options: Options, config: Any, progress: Progress) -> None:
        self.failed: dict[str, str] = {}
        self.shape: Shape = shape_of(config)
        self._options = options
        self._config = config
        self._progress = progress
        self._dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
        self._wait = waiter(options.device)
        on_gpu = options.device == "cuda"
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    @property
    def device_name(self) -> str:
        if self._options.device == "cpu":
            return f"CPU: {machine()['cpu']}"
        return torch.cuda.get_device_name()

    def measure(self, sound: Samples) -> Iterator[dict[str, Any]]:
        """Part after part. The stock model goes first, and goes: what we take is measured without it."""
        options, seed, vocabulary = self._options, self._options.seed, self.shape.vocabulary
        self._progress("measuring memory and arithmetic", 0.0)
        speeds = floors.speeds(options.device, self._dtype, options.repeat)
        yield {"floor": self._floor(speeds)}
        asked = correct.cases(sound, vocabulary, max(options.callers), seed)
        generate, expected = self._stock(asked)
        yield {"generate": generate}
        runner, took = self._built()
        weights_gb = round(runner.weight_bytes / 1e9, 3)
        yield {"weights_gb": weights_gb, "start_s": round(took, 1), "runner": runner.report()}
        compared = None
        if expected is not None:
            self._progress("comparing logits", 0.5)
            how = (asked, expected, options.callers, options.quantize, seed)
            compared = self._part("correct", lambda: correct.compare(runner, *how))
        yield {"correct": compared}
        yield self._steps(runner, sound)
        yield {"reuse": self._reuse(runner, sound)}
        yield {"release_to_first_token_ms": self._release(runner, sound)}
        yield {"mix": self._mix(runner, sound)}
        yield {"peak_gb": self._peak_gb(), "reserved_gb": self._reserved_gb()}

    def _stock(self, asked: Sequence[correct.Case]) -> tuple[Any, correct.Expected | None]:
        """What ``generate`` takes, and the logits of the stock model; None where they are not to be had."""
        options = self._options
        if not options.stock:
            return None, None
        self._progress("loading the stock model", 0.1)
        take = checkpoint.random(self._config, self._dtype, self._device, options.seed)
        model = self._part("generate", lambda: stock.stock_model(self._config, take, options.device, self._dtype))
        if model is None:
            return None, None
        self._progress("measuring generate", 0.2)
        repeat = min(options.repeat, STOCK_REPEATS[options.device])
        how = (self.shape, self._wait, options.context, repeat, options.seed)
        generate = self._part("generate", lambda: stock.measure(model, *how))
        return generate, self._part("correct", lambda: correct.expect(model, asked))

    def _built(self) -> tuple[VoxtralRunner, float]:
        """Our runner, warm, and the seconds that it took to be so."""
        options = self._options
        gc.collect()  # modules point at each other
        self._reset_peak()
        how = build.Options(
            device=self._device,
            dtype=self._dtype,
            context=max(2_048, 2 * options.context),
            callers=max(options.callers),
            attention=options.attention,
            compiles=options.compile,
            quantize=options.quantize,
        )
        take = checkpoint.random(self._config, self._dtype, self._device, options.seed)
        began = perf_counter()
        runner = build.assemble(self._config, take, how, self._progress)
        return runner, perf_counter() - began

    def _steps(self, runner: VoxtralRunner, sound: Samples) -> dict[str, Any]:
        options = self._options
        self._progress("measuring steps", 0.6)
        plan = steps.Plan(options.callers, options.context, options.repeat, options.seed)
        how = (self.shape.vocabulary, self._wait, plan)
        return self._part("steps", lambda: steps.measure(runner, sound, *how)) or dict(NO_STEPS)

    def _floor(self, speeds: floors.Speeds) -> dict[str, Any]:
        options = self._options
        floor = floors.Floor(self.shape, speeds, options.quantize, self._dtype.itemsize)
        return floor.to_json(options.callers, options.context, PROMPT_TOKENS)

    def _reuse(self, runner: VoxtralRunner, sound: Samples) -> Any:
        self._progress("measuring the turns of one call", 0.8)
        return self._part("reuse", lambda: reuse.measure(runner, sound, self.shape.vocabulary, self._options.seed))

    def _release(self, runner: VoxtralRunner, sound: Samples) -> Any:
        """Of a caller who is alone: the guess was made in the pause."""
        options = self._options
        self._progress("measuring releases of guesses", 0.85)
        how = (self.shape.vocabulary, min(options.repeat, MOST_RELEASES), options.seed)
        return self._part("release", lambda: releases.measure(runner, sound, *how))

    def _mix(self, runner: VoxtralRunner, sound: Samples) -> Any:
        options = self._options
        self._progress("measuring many callers at once", 0.9)
        plan = mix.Plan(max(options.callers), options.mix_s, options.seed)
        return self._part("mix", lambda: mix.measure(runner, sound, self.shape.vocabulary, self._wait, plan))

    def _part(self, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives; None where it fails, and why is kept."""
        try:
            return work()
        except Exception as error:  # whatever it is, the other figures are still wanted, and this is told
            logger.exception("%s was not measured", name)
            lines = str(error).strip().splitlines()
            self.failed[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"
            return None

    def _reset_peak(self) -> None:
        if self._options.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_gb(self) -> float:
        """The most memory that was taken on the device since the runner was built; on the CPU, by this process."""
        if self._options.device == "cuda":
            return round(torch.cuda.max_memory_allocated() / 1e9, 3)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)

    def _reserved_gb(self) -> float | None:
        """What torch has taken of the GPU for it; None on the CPU."""
        on_gpu = self._options.device == "cuda"
        return round(torch.cuda.max_memory_reserved() / 1e9, 3) if on_gpu else None


def ratios(document: dict[str, Any]) -> dict[str, Any]:
    """Times of ours in those of the floor, and of ``generate`` in those of ours: what a machine's speed is not in."""
    floor, generate = document["floor"], document["generate"] or {}
    first, decode = document["first_token_ms"], document["decode_ms"]
    one = decode.get("1")
    return {
        "first_token_to_floor": _ratio(first, floor["first_token_ms"]),
        "decode_to_floor": {n: _ratio(ms, floor["decode_ms_by_callers"][n]) for n, ms in decode.items()},
        "generate_first_token_to_ours": _ratio(generate.get("first_token_ms"), first),
        "generate_decode_to_ours": _ratio(generate.get("decode_ms"), one),
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else round(one / other, 3)


def _versions() -> dict[str, str]:
    found = {"voxrtc": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
    return found | {"cuda": torch.version.cuda or "none"}
