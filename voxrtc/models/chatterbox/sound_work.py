"""The two kinds of work of making sound, each at one size: a pass of the flow, a window of the vocoder.

What they are told lies where it stays; numbers go to the device in one copy. Rows and steps that are padding are
computed, too, but nothing of them reaches the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxrtc.models.chatterbox.flow import Flow, frame_noise
from voxrtc.models.chatterbox.flow_layers import inside
from voxrtc.models.chatterbox.flow_shape import MELS, XVECTOR
from voxrtc.models.chatterbox.parts import TOKEN_FRAMES
from voxrtc.models.chatterbox.sound_stream import Pass, SoundStream
from voxrtc.models.chatterbox.vocoder import Vocoder
from voxrtc.models.chatterbox.vocoder_source import phases_of, randomness, source
from voxrtc.models.gpu.graphs import Pieces


class Numbers:
    """(rows, width) int64, written on the host, sent in one copy."""

    def __init__(self, rows: int, width: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self._host = torch.zeros(rows, width, dtype=torch.int64, pin_memory=pinned)
        self.here = torch.zeros_like(self._host, device=device) if pinned else self._host

    def send(self, rows: Sequence[Sequence[int]]) -> None:
        """The first rows, from the left; what is missing is 0, but rows that are missing begin with 1, 1. What was sent
        before must have been read."""
        written = self._host.numpy()
        written[:] = 0
        written[len(rows) :, :2] = 1
        for number, row in enumerate(rows):
            written[number, : len(row)] = row
        if self.here is not self._host:
            self.here.copy_(self._host, non_blocking=True)


class FlowWork:
    """Up to ``rows`` passes of up to ``size`` tokens."""

    def __init__(self, flow: Flow, pieces: Pieces, rows: int, size: int, device: torch.device) -> None:
        self._flow = flow
        self._size = size
        self._numbers = Numbers(rows, 5 + size, device)
        self._numbers.send([])
        self._known = torch.zeros(rows, TOKEN_FRAMES * size, MELS, device=device)
        self._xvectors = torch.ones(rows, XVECTOR, device=device)
        self._piece = pieces.make(self._work)

    def run(self, turns: Sequence[tuple[SoundStream, Pass]]) -> Tensor:
        """(rows, 2 * size, 80): the frames of each pass, until any other work is done."""
        self._numbers.send([_told(stream, turn) for stream, turn in turns])
        self._known.zero_()
        for row, (stream, _) in enumerate(turns):
            self._known[row, : stream.reference.mel.shape[0]] = stream.reference.mel
            self._xvectors[row] = stream.reference.xvector
        return self._piece()

    def _work(self) -> Tensor:
        told = self._numbers.here
        tokens, frames, before, first, seeds = (told[:, column] for column in range(5))
        places = torch.arange(TOKEN_FRAMES * self._size, device=told.device) - before[:, None]
        noise = frame_noise(seeds, torch.where(places < 0, places, places + first[:, None]))
        return self._flow(told[:, 5:], tokens, frames, self._known, self._xvectors, noise)


def _told(stream: SoundStream, turn: Pass) -> list[int]:
    lengths = [len(turn.tokens), turn.frames, TOKEN_FRAMES * turn.reference, TOKEN_FRAMES * turn.first]
    return [*lengths, stream.seed, *turn.tokens]


class VocoderWork:
    """Up to ``rows`` windows of up to ``size`` frames."""

    def __init__(self, vocoder: Vocoder, pieces: Pieces, rows: int, size: int, device: torch.device) -> None:
        self._vocoder = vocoder
        self._size = size
        self._numbers = Numbers(rows, 4, device)
        self._numbers.send([])
        self._mel = torch.zeros(rows, size, MELS, device=device)
        self._pitch = torch.zeros(rows, size, device=device)
        self._phase = torch.zeros(rows, dtype=torch.float64, device=device)
        self._piece = pieces.make(self._work)

    def run(
        self, turns: Sequence[tuple[SoundStream, Pass]], windows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Samples (rows, 480 * size), pitch (rows, size) and phases (rows, size + 1), until any other work is done."""
        self._numbers.send(
            [
                (window.shape[0], stream.known, stream.first_frame(turn), stream.seed)
                for (stream, turn), window in zip(turns, windows, strict=True)
            ]
        )
        for row, ((stream, _), window) in enumerate(zip(turns, windows, strict=True)):
            self._mel[row, : window.shape[0]] = window
            if stream.tail is None:
                self._phase[row] = 0.0
            else:
                self._pitch[row, : stream.known] = stream.tail.pitch[: stream.known]
                self._phase[row] = stream.tail.phase
        return self._piece()

    def _work(self) -> tuple[Tensor, Tensor, Tensor]:
        told = self._numbers.here
        frames, known, first, seeds = (told[:, column] for column in range(4))
        mask = inside(frames, self._size)
        mel = torch.where(mask[..., None], self._mel, 0.0).transpose(1, 2)
        made = self._vocoder.pitch(mel, mask[:, None].float())
        pitch = torch.where(inside(known, self._size), self._pitch, made)
        drawn = randomness(seeds, first, self._size)
        wave = source(pitch, self._phase, drawn, self._vocoder.merge)
        return self._vocoder(mel, wave, frames), pitch, phases_of(pitch, self._phase)
