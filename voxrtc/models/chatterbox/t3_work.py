"""The two kinds of T3's work, each at one size: reading what is to be said, a step of saying it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxrtc.models.chatterbox.t3_model import T3Model
from voxrtc.models.chatterbox.t3_picking import Wishes
from voxrtc.models.chatterbox.t3_staging import Staging, Told
from voxrtc.models.gpu.graphs import Pieces


class Step:
    """One token for each of ``size`` rows."""

    def __init__(self, model: T3Model, pieces: Pieces, size: int) -> None:
        self._model = model
        self._size = size
        self._whole = pieces.captures
        self._staging = Staging(size, 0, model.plan.rows, model.device)
        self._known: list[tuple[Sequence[int], int]] = []
        self._most = model.memory.reach
        self.hidden = torch.empty(0)
        """(size * branches, hidden): what the last tokens were drawn from, until any other work is done."""
        self._staging.put([])
        self._piece = pieces.make(self._work)

    def __call__(self, rows: Sequence[Told]) -> Tensor:
        """Tokens (size,) int64 for at most ``size`` rows; those behind them are of padding."""
        memory = self._model.memory
        self._known = [(pages, told.position + 1) for told in rows for pages in memory.known(told.row)]
        if not self._whole:  # what is captured reads as far as any row may reach
            self._most = max(length for _, length in self._known)
        self._staging.put(rows)
        return self._piece()

    def _work(self) -> Tensor:
        told, model = self._staging, self._model
        rows, frame, token = (told.integers(name) for name in ("row", "frame", "token"))
        x = model.embed_speech(token, frame)
        self.hidden, spoken = model.hear(x, rows, told.integers("position"), self._most, self._known)
        return model.say(self.hidden, spoken, rows, told.integers("text"), self._wishes(frame))

    def guided(self, count: int) -> Tensor:
        """(count, vocabulary) float32: the logits of the last step's first rows, guided; for checks."""
        return self._model.guided(self.hidden, self._staging.floats("weight"))[:count]

    def _wishes(self, frame: Tensor) -> Wishes:
        told = self._staging
        temperature, weight, min_p, penalty = map(told.floats, ("temperature", "weight", "min_p", "penalty"))
        return Wishes(temperature, weight, min_p, penalty, told.integers("seed"), frame, told.integers("ends") > 0)


class Prompt:
    """What is to be said in one row, of up to ``size`` embeddings: conditioning, text and START."""

    def __init__(self, model: T3Model, pieces: Pieces, size: int) -> None:
        self._model = model
        self._staging = Staging(1, size, model.plan.rows, model.device)
        shape = (model.branches, size, model.weights.shape.hidden)
        self._embeds = torch.zeros(shape, dtype=model.weights.speech.dtype, device=model.device)
        self._known = model.memory.known(model.plan.rows)
        self._staging.put([])
        self._piece = pieces.make(self._work)

    def __call__(self, told: Told, conditioning: Tensor, text: Sequence[int]) -> None:
        """``told.position``: how many embeddings there are."""
        self._staging.put([told], text)
        words = self._model.embed_text(self._staging.loose[: len(text)])
        start = conditioning.shape[0]
        self._embeds[:, :start] = conditioning
        self._embeds[:, start : start + words.shape[1]] = words
        self._embeds[:, start + words.shape[1] :] = 0
        self._known = self._model.memory.known(told.row)
        self._piece()

    def _work(self) -> None:
        told = self._staging
        self._model.read(self._embeds, told.integers("row"), told.integers("position"), self._known)
