"""The GPU's work of Voxtral: encoding sound, reading prompts, decoding; as CUDA graphs where that is possible.

Each piece of work is captured at the start in a few sizes: prompts of up to 512 tokens at a time, steps of up to
``rows`` sequences. Work of another size is padded to the next one; what is written for padding goes to page 0. Where
nothing is captured, nothing is padded.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxrtc.audio import HEARD_RATE
from voxrtc.models.gpu.attention import Attention
from voxrtc.models.gpu.compiled import Compiled
from voxrtc.models.gpu.graphs import Piece, Pieces
from voxrtc.models.gpu.lane import Lane
from voxrtc.models.voxtral.checkpoint import Weights
from voxrtc.models.voxtral.features import LogMel
from voxrtc.models.voxtral.forward import Encoder, TextModel
from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row, clip_of
from voxrtc.models.voxtral.work import Prompt, Step

logger = logging.getLogger(__name__)

PROMPT_SIZES = (16, 32, 64, 128, 256, 384, 448, 512)
"""Tokens of a prompt that are read at once. 384 holds a transcription and a later turn of one window, 448 a first turn
with its persona."""
STAGE_MS = 25.0
"""How long one stage of the encoder may take; decoding goes on between stages."""
TRIES = 3

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a runner holds: ``pages`` of ``page_size`` tokens, sequences of ``context`` tokens, ``rows`` in one step."""

    pages: int
    page_size: int
    context: int
    rows: int


class VoxtralRunner:
    """Voxtral's weights at work. Implements sequence.Runner. All calls in one thread; warm() before any other work."""

    def __init__(
        self, weights: Weights, attention: Attention, plan: Plan, *, compiles: bool = False, captures: bool = True
    ) -> None:
        shape = weights.text
        self._plan = plan
        self._weights = weights
        self._attention = attention
        self._device = weights.norm.device
        size = (shape.layers, 2, plan.pages + 1, plan.page_size, shape.kv_heads, shape.head_dim)
        self._memory = torch.zeros(size, dtype=weights.norm.dtype, device=self._device)
        self._most_pages = -(-(plan.context + PROMPT_SIZES[-1]) // plan.page_size)
        self._lane = Lane(self._device)
        self._compiled = Compiled(compiles)
        positions = self._most_pages * plan.page_size
        self._model = TextModel(weights, attention, self._memory, positions, self._compiled)
        self._encoder = Encoder(weights, self._compiled)
        self._mel = LogMel(self._device)
        self._pieces = Pieces(self._device, captures and attention.captures)
        self._stage_pieces = Pieces(self._device, captures)
        self._steps: dict[int, Step] = {}
        self._prompts: dict[int, Prompt] = {}
        frames = 2 * weights.audio.positions
        self._window = torch.zeros(weights.audio.bands, frames, dtype=torch.float32, device=self._device)
        self._stages: list[Piece[Tensor]] = []
        self._hidden = torch.empty(0)
        self._costs: dict[int, float] = {}
        """Milliseconds that a prompt of each size takes."""

    # -- what there is --------------------------------------------------------------------------------------

    @property
    def page_size(self) -> int:
        return self._plan.page_size

    @property
    def pages(self) -> int:
        return self._plan.pages

    @property
    def context(self) -> int:
        return self._plan.context

    @property
    def rows(self) -> int:
        return self._plan.rows

    @property
    def weight_bytes(self) -> int:
        """What the weights take, those in fewer bits as such."""
        return self._weights.bytes

    @property
    def stages(self) -> int:
        """In how many stages a window is encoded."""
        return len(self._stages)

    def report(self) -> dict[str, str]:
        """What was chosen here, for the log and for people."""
        memory = self._memory.numel() * self._memory.element_size()
        return {
            "device": torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "CPU",
            "attention": self._attention.name,
            "CUDA graphs": "yes" if self._pieces.captures else "no",
            "torch.compile": "yes" if self._compiled.on else "no",
            "weights": f"{self._weights.bytes / 1e9:.2f} GB",
            "conversations": f"{memory / 1e9:.2f} GB: {self.pages} pages of {self.page_size} tokens",
        }

    def chunk_size(self, rows: int, limit_ms: float) -> int:
        if not rows:
            return PROMPT_SIZES[-1]
        return max((size for size, ms in self._costs.items() if ms <= limit_ms), default=PROMPT_SIZES[0])

    # -- the start --------------------------------------------------------------------------------------------

    def warm(self, progress: Progress) -> None:
        """Run, and where possible capture, every piece of every size; learn how long prompts take."""
        began = time.monotonic()
        progress("warming Voxtral up", 0.0)
        with self._lane():
            self._make_stages()
            self._make_pieces(progress)
        self._try_all()
        self._learn_costs()
        report = ", ".join(f"{what}: {how}" for what, how in self.report().items())
        logger.info("Voxtral is warm after %.1f s (%s)", time.monotonic() - began, report)

    def _make_pieces(self, progress: Progress) -> None:
        if not self._pieces.captures:
            return
        sizes = [("step", size) for size in _doubling(self.rows)] + [("prompt", size) for size in PROMPT_SIZES]
        for number, (kind, size) in enumerate(reversed(sizes)):  # the large first: the small fit into their memory
            progress("warming Voxtral up", (1 + number) / (1 + len(sizes)))
            if kind == "step":
                self._steps[size] = Step(self._model, self._pieces, size, self._most_pages, self._device)
            else:
                self._prompts[size] = self._prompt(size)

    def _try_all(self) -> None:
        """A whole answer to a second of silence, in page 0, so that no caller is the first at anything."""
        clip = Clip(np.zeros(HEARD_RATE, np.float32))
        for _ in self.encode(clip):
            pass
        pages = [0] * -(-(clip.tokens + 2) // self.page_size)
        if clip.tokens < self.context:
            pick = self.prefill(Chunk(clip.ids(), 0, pages, {clip.key: clip}, last=True))
            assert pick is not None
            self.decode([Row(pick.token, clip.tokens, pages)])

    def _learn_costs(self) -> None:
        def cost(size: int) -> float:
            pages = [0] * -(-self.context // self.page_size)
            start = max(0, self.context - size)  # the last piece of a prompt takes longest
            return self._time(lambda: self.prefill(Chunk([1] * size, start, pages, {}, last=True)))

        if self._pieces.captures:
            self._costs = {size: cost(size) for size in PROMPT_SIZES}
        else:  # on a CPU the long ones take long, and are in proportion
            least = cost(PROMPT_SIZES[0])
            self._costs = {size: least * size / PROMPT_SIZES[0] for size in PROMPT_SIZES}

    def _make_stages(self) -> None:
        """Cut the encoder into stages of about STAGE_MS."""
        count = self._weights.audio.layers

        def whole() -> Tensor:
            return self._encoder.end(self._encoder.layers(self._encoder.begin(self._window), 0, count))

        groups = max(1, min(count, math.ceil(self._time(whole) / STAGE_MS)))
        edges = [count * number // groups for number in range(groups + 1)]
        source = self._window
        for first, last in itertools.pairwise(edges):
            source = self._add_stage(source, first, last)

    def _add_stage(self, source: Tensor, first: int, last: int) -> Tensor:
        """A stage of some layers that reads ``source``; returns where it leaves its result."""

        def work() -> Tensor:
            x = self._encoder.begin(source) if first == 0 else source
            x = self._encoder.layers(x, first, last)
            return self._encoder.end(x) if last == self._weights.audio.layers else x

        kept = torch.empty_like(work())  # not in the graphs' memory: other pieces run between two stages
        self._stages.append(self._stage_pieces.make(lambda: kept.copy_(work())))
        return kept

    def _time(self, work: Callable[[], Any]) -> float:
        """Milliseconds that ``work`` takes once it is warm."""
        on_gpu = self._device.type == "cuda"
        if on_gpu:
            work()
        took = []
        for _ in range(TRIES if on_gpu else 1):
            self._lane.finish()
            began = time.perf_counter()
            work()
            self._lane.finish()
            took.append(time.perf_counter() - began)
        return min(took) * 1e3

    # -- the work ---------------------------------------------------------------------------------------------

    def encode(self, clip: Clip) -> Generator[None, None, None]:
        with self._lane():
            mel = self._mel(clip.samples)
        windows = []
        for window in mel:
            for number, stage in enumerate(self._stages):
                yield
                with self._lane():
                    if number == 0:
                        self._window.copy_(window)
                    embeds = stage()
                    if number == len(self._stages) - 1:
                        windows.append(embeds.clone())
        with self._lane():
            clip.embeds = torch.cat(windows)
            self._lane.finish()

    def prefill(self, chunk: Chunk) -> Pick | None:
        pick = None
        for at in range(0, len(chunk.ids), PROMPT_SIZES[-1]):
            ids = chunk.ids[at : at + PROMPT_SIZES[-1]]
            last = chunk.last and at + len(ids) == len(chunk.ids)
            with self._lane():
                pick = self._read(Chunk(ids, chunk.start + at, chunk.pages, chunk.clips, last, chunk.sampling))
        return pick

    def _read(self, chunk: Chunk) -> Pick | None:
        count = len(chunk.ids)
        prompt = next((self._prompts[size] for size in PROMPT_SIZES if self._prompts and size >= count), None)
        prompt = prompt or self._prompt(count)
        prompt.load(chunk, list(_heard(chunk)))
        prompt.run()
        if chunk.last:
            picked = prompt.pick()
            self._hidden = prompt.hidden
            return _picks(picked, 1)[0]
        self._lane.finish()
        return None

    def _prompt(self, size: int) -> Prompt:
        return Prompt(self._model, self._pieces, size, self._most_pages, self._device)

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        count = len(rows)
        step = next((self._steps[size] for size in sorted(self._steps) if size >= count), None)
        with self._lane():
            step = step or Step(self._model, self._pieces, count, self._most_pages, self._device)
            step.load(rows)
            picked = step.run()
            self._hidden = step.hidden[:count]
            return _picks(picked, count)

    def logits(self) -> Tensor:
        """(n, vocabulary): what the last picks were drawn from, row by row; for checks, before any other call."""
        with self._lane():
            logits = self._model.logits(self._hidden)
            self._lane.finish()
        return logits


def _heard(chunk: Chunk) -> Iterator[tuple[int, Tensor]]:
    """Where in the chunk embeddings of sound stand, and which: a stretch for each clip."""
    at = 0
    while at < len(chunk.ids):
        place = clip_of(chunk.ids[at])
        if place is None:
            at += 1
            continue
        clip = chunk.clips[place[0]]
        assert clip.embeds is not None, "a chunk may be read once its clips are encoded"
        count = min(len(chunk.ids) - at, clip.tokens - place[1])
        yield at, clip.embeds[place[1] : place[1] + count]
        at += count


def _picks(result: Tensor, count: int) -> list[Pick]:
    """The picks in ``result`` (2, n) int32: tokens and their log-probabilities' bits. Waits for the GPU, once."""
    numbers = result.cpu().numpy()
    logprobs = numbers[1].view(np.float32)
    return [Pick(int(numbers[0, n]), float(logprobs[n])) for n in range(count)]


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and ``most``."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return sizes
