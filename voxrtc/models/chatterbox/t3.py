"""T3 at work for all callers at once: text to speech tokens, 25 of them a second of speech.

What is done on the GPU is captured as CUDA graphs in a few sizes, work of another size padded to the next one; on the
CPU nothing is captured or padded. A step costs the host one wait: for its tokens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import t3_alignment, t3_weights
from voxrtc.models.chatterbox.parts import START, STOP, Utterance
from voxrtc.models.chatterbox.t3_conditioning import Conditioning
from voxrtc.models.chatterbox.t3_memory import T3Plan
from voxrtc.models.chatterbox.t3_model import T3Model
from voxrtc.models.chatterbox.t3_staging import Told
from voxrtc.models.chatterbox.t3_weights import T3Weights
from voxrtc.models.chatterbox.t3_work import Prompt, Step
from voxrtc.models.gpu.attention import Attention, Choice, choose
from voxrtc.models.gpu.compiled import Compiled
from voxrtc.models.gpu.graphs import Pieces

logger = logging.getLogger(__name__)

PROMPT_SIZES = (64, 96, 128, 192, 256, 384, 448, 512, 640, 768, 896, 1024)
"""Embeddings that are read at once, as far as a row can have so many. 34 of them are the voice's."""

Progress = Callable[[str, float], None]


@dataclass(slots=True)
class _Row:
    """One utterance under way: what is told of it next, and how often its last token was said in a row."""

    next: Told
    most: int
    equal: int = 0


class T3:
    """Implements parts.TokenModel. All calls in one thread; warm() before any other."""

    def __init__(
        self, weights: T3Weights, attention: Attention, plan: T3Plan, *, compiles: bool = False, captures: bool = True
    ) -> None:
        self._compiled = Compiled(compiles)
        self._attention = attention
        self._model = T3Model(weights, attention, plan, self._compiled)
        self._pieces = Pieces(self._model.device, captures and attention.captures)
        self._conditioning = Conditioning(weights)
        self._steps: dict[int, Step] = {}
        self._prompts: dict[int, Prompt] = {}
        self._rows: dict[int, _Row] = {}
        self._last: tuple[Step, int] | None = None

    @property
    def rows(self) -> int:
        return self._model.plan.rows

    @property
    def longest_text(self) -> int:
        """Text tokens that an utterance may have, its start and stop included."""
        return self._model.plan.text

    @property
    def text_ids(self) -> int:
        """How many different text tokens there are weights for."""
        return self._model.weights.text.shape[0]

    @property
    def longest_speech(self) -> int:
        """Speech tokens that may be asked for."""
        return self._model.plan.speech

    def report(self) -> dict[str, str]:
        """What was chosen here, for the log and for people."""
        device = self._model.device
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "attention": self._attention.name,
            "CUDA graphs": "yes" if self._pieces.captures else "no",
            "torch.compile": "yes" if self._compiled.on else "no",
            "weights": f"{self._model.weights.bytes / 1e9:.2f} GB",
            "rows": f"{self.rows}, {self._model.memory.bytes / 1e9:.2f} GB",
        }

    @torch.inference_mode()
    def warm(self, progress: Progress) -> None:
        """Run, and where possible capture, every piece of every size."""
        began = time.monotonic()
        progress("warming Chatterbox up", 0.0)
        sizes: list[tuple[type[Step] | type[Prompt], int]] = [(Step, size) for size in _doubling(self.rows)]
        sizes += [(Prompt, size) for size in self._prompt_sizes()]
        for number, (kind, size) in enumerate(reversed(sizes)):  # the large first: the small fit into their memory
            if self._pieces.captures and kind is Step:
                self._steps[size] = Step(self._model, self._pieces, size)
            elif self._pieces.captures:
                self._prompts[size] = Prompt(self._model, self._pieces, size)
            progress("warming Chatterbox up", (1 + number) / len(sizes))
        report = ", ".join(f"{what}: {how}" for what, how in self.report().items())
        logger.info("T3 is warm after %.1f s (%s)", time.monotonic() - began, report)

    def _prompt_sizes(self) -> list[int]:
        most = self._model.prefix + self.longest_text + 1
        return [size for size in PROMPT_SIZES if size < most] + [most]

    # -- the work ---------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def begin(self, row: int, utterance: Utterance) -> None:
        """As parts.TokenModel. Does not wait for the GPU. Raises ModelsError where the utterance is too long."""
        text = utterance.text
        if not 0 < len(text) <= self.longest_text:
            raise ModelsError(f"a clause has {len(text)} text tokens; Chatterbox takes 1 to {self.longest_text} here")
        if not 0 <= min(text) <= max(text) < self.text_ids:
            raise ModelsError(f"a clause has a text token that Chatterbox has not: it has {self.text_ids} here")
        if not 0 < utterance.most <= self.longest_speech:
            raise ModelsError(f"{utterance.most} speech tokens are asked for; 1 to {self.longest_speech} can be")
        conditioning = self._conditioning(utterance.voice, utterance.manner.exaggeration)
        if conditioning.shape[0] > self._model.prefix:
            raise ModelsError(f"the voice {utterance.voice.name} is of {conditioning.shape[0]} embeddings; too many")
        count = conditioning.shape[0] + len(text) + (0 if self._model.weights.turbo else 1)
        told = _told(row, count, utterance)
        self._rows.pop(row, None)
        size = next((size for size in sorted(self._prompts) if size >= count), None)
        prompt = self._prompts[size] if size else Prompt(self._model, self._pieces, count)
        prompt(told, conditioning, text)
        self._rows[row] = _Row(told, utterance.most)

    @torch.inference_mode()
    def step(self, rows: Sequence[int]) -> list[int]:
        """As parts.TokenModel. STOP comes after ``most`` tokens at the latest."""
        told = [self._rows[row].next for row in rows]
        if not told:
            return []
        size = next((size for size in sorted(self._steps) if size >= len(told)), None)
        step = self._steps[size] if size else Step(self._model, self._pieces, len(told))
        tokens: list[int] = step(told)[: len(told)].tolist()  # waits for the GPU
        self._last = step, len(told)
        for row, token in zip(rows, tokens, strict=True):
            self._advance(row, token)
        return tokens

    def _advance(self, row: int, token: int) -> None:
        if token == STOP:
            del self._rows[row]
            return
        own = self._rows[row]
        said = own.next
        own.equal = own.equal + 1 if token == said.token else 1
        stuck = self._model.weights.multilingual and own.equal >= t3_alignment.EQUAL
        ends = stuck or said.frame + 1 >= own.most
        own.next = replace(said, token=token, position=said.position + 1, frame=said.frame + 1, ends=ends)

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """(n, vocabulary) float32: what the last step's tokens were picked from, guided by each row's weight, before
        anything else was done to it; for checks, before any other call."""
        assert self._last is not None, "a step has been done"
        step, count = self._last
        return step.guided(count)


def make(
    state: Mapping[str, Tensor],
    plan: T3Plan,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
    *,
    attention: Choice = "auto",
    compiles: bool = True,
) -> T3:
    """A warm T3 of a state dict: of a checkpoint, or t3_weights.random(). Raises ModelsError."""
    progress("loading Chatterbox", 0.0)
    weights = t3_weights.assemble(state, device, dtype)
    chosen = choose(attention, device, plan.page_size)
    made = T3(weights, chosen, plan, compiles=compiles and device.type == "cuda")
    made.warm(progress)
    return made


def _told(row: int, count: int, utterance: Utterance) -> Told:
    """What the first step is told: START, once more, behind the ``count`` embeddings that were read."""
    manner = utterance.manner
    return Told(
        row=row,
        token=START,
        position=count,
        frame=0,
        text=len(utterance.text),
        ends=False,
        seed=manner.seed & 0x7FFFFFFF,
        temperature=manner.temperature,
        weight=manner.cfg_weight,
        min_p=manner.min_p,
        penalty=manner.repetition_penalty,
    )


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and ``most``."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return sizes
