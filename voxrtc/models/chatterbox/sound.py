"""S3Gen and HiFT at work: chunks of up to ``batch`` utterances at once, streamed; as CUDA graphs where possible.

It is made of the tensors of a checkpoint (flow_shape.py) and needs no other package than torch. Each piece of work is
captured in a few sizes; work of another size is padded to the next one. On a CPU nothing is captured or padded.

Cost at full shape, by arithmetic: one call is ten calls of the estimator, whose launches take about 20 ms in a graph
(fewer when compiled), and a window of the vocoder, 3 ms. 16 first chunks are 16 x 192 frames, 9 TFLOP; 16 of the
largest 16 x 320, 15 TFLOP and a quarter more for attention: 20 and 45 ms of an H100 at 40 % of its peak in bfloat16.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxrtc.audio import Samples
from voxrtc.models.chatterbox.flow import flow
from voxrtc.models.chatterbox.flow_encoder import LOOK_AHEAD
from voxrtc.models.chatterbox.flow_shape import shape_of
from voxrtc.models.chatterbox.parts import TOKEN_FRAMES, Chunk, Stream, Voice
from voxrtc.models.chatterbox.sound_stream import BEHIND, BEYOND, KEPT, Limits, Pass, Reference, SoundStream
from voxrtc.models.chatterbox.sound_work import FlowWork, VocoderWork
from voxrtc.models.chatterbox.vocoder import vocoder
from voxrtc.models.chatterbox.vocoder_source import HOP
from voxrtc.models.gpu.compiled import Compiled
from voxrtc.models.gpu.graphs import Pieces

logger = logging.getLogger(__name__)

SMALLEST = 10
"""New tokens of the smallest chunk that there is a size for."""
LARGEST = 50
"""New tokens that one pass has room for, at least; what is more takes another pass."""
STEP = 32
"""Tokens from one size of the flow to the next: attention wants multiples of 8 frames, graphs want to be few."""
VOCODER_SIZES = (32, 72, 104)
"""Frames of a window: of chunks of 10, 20 and 35 tokens. There is one for the largest, too."""

Progress = Callable[[str, float], None]
Turn = tuple[SoundStream, Pass]


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """``batch`` utterances at once. ``reference`` tokens of a voice's reference and ``context`` of the utterance, 25 a
    second, are seen by each pass: more of them sound closer to the reference and to themselves, and cost more."""

    batch: int = 8
    reference: int = 75
    context: int = 25

    def flow_sizes(self) -> list[int]:
        """Tokens, the smallest first."""
        least = _up(self.reference + SMALLEST + LOOK_AHEAD, STEP)
        most = _up(self.reference + self.context + LARGEST + LOOK_AHEAD, STEP)
        return list(range(least, most + 1, STEP))

    def limits(self) -> Limits:
        most = self.flow_sizes()[-1] - self.reference - self.context - LOOK_AHEAD
        return Limits(self.reference, self.context, most)

    def vocoder_sizes(self) -> list[int]:
        """Frames, the smallest first."""
        most = _up(BEHIND + KEPT + max(BEYOND, TOKEN_FRAMES * LOOK_AHEAD) + TOKEN_FRAMES * self.limits().most, 8)
        return [*(size for size in VOCODER_SIZES if size < most), most]


class SoundRunner:
    """Implements parts.SoundModel. All calls in one thread; warm() before any other work.

    ``state``: the tensors of S3Gen's checkpoint, of any dtype and on any device; the estimator works in ``dtype``, the
    encoder and the vocoder in float32. ``compiles``: with torch.compile where that works, for fewer kernels. Raises
    ModelsError where the tensors are not S3Gen's.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
        plan: SoundPlan | None = None,
        *,
        captures: bool = True,
        compiles: bool = False,
    ) -> None:
        self._plan = plan or SoundPlan()
        self._limits = self._plan.limits()
        self._device = device
        shape = shape_of(state)
        with torch.inference_mode():
            compiled = Compiled(compiles)
            self._flow = flow(state, shape, device, dtype, self._limits.all, compiled)
            self._vocoder = vocoder(state, device, compiled)
        self._pieces = Pieces(device, captures)
        self._flows: dict[tuple[int, int], FlowWork] = {}
        self._vocoders: dict[tuple[int, int], VocoderWork] = {}

    @property
    def batch(self) -> int:
        return self._plan.batch

    @property
    def plan(self) -> SoundPlan:
        return self._plan

    @torch.inference_mode()
    def warm(self, progress: Progress) -> None:
        """Capture every piece of every size where that is possible."""
        if not self._pieces.captures:
            return
        self.make_sizes(progress)

    @torch.inference_mode()
    def make_sizes(self, progress: Progress) -> None:
        """Make every piece of every size, captured or not."""
        began = time.monotonic()
        rows = _doubling(self.batch)
        for number, count in enumerate(reversed(rows)):  # the large first: the small fit into their memory
            progress("warming Chatterbox's sound up", number / len(rows))
            for size in reversed(self._plan.flow_sizes()):
                self._flows[count, size] = FlowWork(self._flow, self._pieces, count, size, self._device)
            for size in reversed(self._plan.vocoder_sizes()):
                self._vocoders[count, size] = VocoderWork(self._vocoder, self._pieces, count, size, self._device)
        logger.info("Chatterbox's sound is warm after %.1f s", time.monotonic() - began)

    @torch.inference_mode()
    def open(self, voice: Voice, seed: int) -> Stream:
        return SoundStream(Reference.of(voice, self._plan.reference), seed)

    @torch.inference_mode()
    def sound(self, chunks: Sequence[Chunk]) -> list[Samples]:
        """As parts.SoundModel. At most ``batch`` chunks, each of another stream; all samples of a stream together are
        960 for each of its tokens. Raises ValueError for tokens that are no sound, or a stream that has ended; nothing
        has been done then."""
        streams = [chunk.stream for chunk in chunks]
        ours = [stream for stream in streams if isinstance(stream, SoundStream)]
        if len(ours) < len(chunks) or len({id(stream) for stream in ours}) < len(chunks) or len(chunks) > self.batch:
            raise ValueError(f"at most {self.batch} chunks, each of a stream of its own that open() gave")
        for stream, chunk in zip(ours, chunks, strict=True):
            stream.check(chunk.tokens)
        for stream, chunk in zip(ours, chunks, strict=True):
            stream.add(chunk.tokens, chunk.last)
        given: list[list[Samples]] = [[] for _ in chunks]
        while True:
            found = [(number, stream, stream.next(self._limits)) for number, stream in enumerate(ours)]
            turns = [(number, (stream, turn)) for number, stream, turn in found if turn is not None]
            if not turns:
                return [np.concatenate(parts) if parts else np.zeros(0, np.float32) for parts in given]
            for (number, _), samples in zip(turns, self._pass([turn for _, turn in turns]), strict=True):
                given[number].append(samples)

    def _pass(self, turns: Sequence[Turn]) -> list[Samples]:
        """One pass of each stream; one wait for the GPU."""
        mels = self._flow_work(turns).run(turns)
        windows = [stream.window(turn, mels[row]) for row, (stream, turn) in enumerate(turns)]
        work = self._vocoder_work(windows)
        samples, pitch, phases = work.run(turns, windows)
        used = max(window.shape[0] for window in windows) * HOP
        heard = samples[: len(turns), :used].cpu().numpy()
        return [
            stream.give(turn, window, pitch[row], phases[row], heard[row])
            for row, ((stream, turn), window) in enumerate(zip(turns, windows, strict=True))
        ]

    def _flow_work(self, turns: Sequence[Turn]) -> FlowWork:
        count, size = len(turns), max(len(turn.tokens) for _, turn in turns)
        fitting = min((key for key in self._flows if key[0] >= count and key[1] >= size), default=None)
        if fitting is not None:
            return self._flows[fitting]
        return FlowWork(self._flow, Pieces(self._device, captures=False), count, size, self._device)

    def _vocoder_work(self, windows: Sequence[Tensor]) -> VocoderWork:
        count, size = len(windows), max(window.shape[0] for window in windows)
        fitting = min((key for key in self._vocoders if key[0] >= count and key[1] >= size), default=None)
        if fitting is not None:
            return self._vocoders[fitting]
        return VocoderWork(self._vocoder, Pieces(self._device, captures=False), count, size, self._device)


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and ``most``."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return sizes
