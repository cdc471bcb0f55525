"""Is it voice? Silero says whether a sound is speech; webrtcvad and the level say where it begins and ends.

Silero (a small recurrent net, github.com/snakers4/silero-vad, MIT) is right about what is speech, but goes on saying
so for 100 to 300 ms after a voice stopped. WebRTC's detector and a level gate know an edge to 10 ms, but take any
loud noise for a voice. So a frame is voice when both say so.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import webrtcvad

from voxrtc.audio import HEARD_RATE, Samples, level_dbfs, to_pcm16
from voxrtc.endpointing.pitch import Pitch

FRAME_MS = 10
FRAME = HEARD_RATE * FRAME_MS // 1000
"""Samples in one frame of the edge detector (160)."""

WINDOW = 512
"""Samples that silero judges at a time (32 ms) ..."""
CONTEXT = 64
"""... preceded by the last samples of the window before (silero-vad, utils_vad.py, OnnxWrapper)."""

FLOOR_MARGIN_DB = 7.0
"""A frame must be this much louder than the quietest tenth of the last seconds ..."""
SPEECH_RANGE_DB = 22.0
"""... and at most this much softer than the loud parts of the voice. Wider takes in room echo, narrower cuts words."""
SPEECH_LEVEL_DBFS = -35.0
"""The level of a voice, until one has been heard."""
HISTORY_FRAMES = 300
"""Frames that both levels are taken from (3 s)."""


class SileroModel:
    """The network, loaded once and shared by all calls; what it remembers of a call is in Silero."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a run takes 0.1 ms: more threads only cost
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(HEARD_RATE, dtype=np.int64)

    def run(self, window: Samples, state: Samples) -> tuple[float, Samples]:
        """The probability that ``window`` (1, CONTEXT + WINDOW) is speech, and the new state (2, 1, 128)."""
        found: list[Any] = self._session.run(None, {"input": window, "state": state, "sr": self._rate})
        return float(found[0][0, 0]), found[1]


class Silero:
    """Silero's view of one call: fed any number of samples, it knows the probability for the last full window."""

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Forget the call so far."""
        self.probability = 0.0
        self._state = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self._filled = 0

    def feed(self, samples: Samples) -> float:
        """Take samples (n,) at 16 kHz; returns ``probability``, at most 32 ms old."""
        while samples.size:
            taken = samples[: WINDOW - self._filled]
            at = CONTEXT + self._filled
            self._input[0, at : at + taken.size] = taken
            self._filled += taken.size
            samples = samples[taken.size :]
            if self._filled == WINDOW:
                self.probability, self._state = self._model.run(self._input, self._state)
                self._input[0, :CONTEXT] = self._input[0, -CONTEXT:]
                self._filled = 0
        return self.probability


class Quantile:
    """The ``share`` quantile of the last ``window`` values."""

    def __init__(self, share: float, window: int) -> None:
        self._share = share
        self._window = window
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        self._order.append(value)
        insort(self._sorted, value)
        if len(self._order) > self._window:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]

    def get(self, default: float) -> float:
        """The quantile, or ``default`` where nothing was added yet."""
        if not self._sorted:
            return default
        return self._sorted[min(len(self._sorted) - 1, int(self._share * len(self._sorted)))]


class LevelGate:
    """Follows the noise of the room and the level of the voice; between the two lies what counts as loud."""

    def __init__(self) -> None:
        self._all = Quantile(0.10, HISTORY_FRAMES)
        self._voice = Quantile(0.95, HISTORY_FRAMES)

    def loud(self, level: float, speech: bool) -> bool:
        """Whether a frame of ``level`` dBFS is loud; ``speech``: silero takes it for speech."""
        self._all.add(level)
        if speech:
            self._voice.add(level)
        return level > self.threshold

    @property
    def threshold(self) -> float:
        """dBFS."""
        floor = self._all.get(default=-120.0) + FLOOR_MARGIN_DB
        return max(floor, self._voice.get(default=SPEECH_LEVEL_DBFS) - SPEECH_RANGE_DB)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known of 10 ms. ``loud``: it may be voice, by edges and level. ``speech``: silero's probability.
    ``level``: dBFS. ``pitched``: it is loud, and has had a steady pitch for some frames; only where that was asked."""

    loud: bool
    speech: float
    level: float
    pitched: bool = False


class Vad:
    """All of it for one call: 10 ms frames in, Frame out."""

    def __init__(self, model: SileroModel, aggressiveness: int, threshold: float) -> None:
        self._silero = Silero(model)
        self._edges = webrtcvad.Vad(aggressiveness)
        self._gate = LevelGate()
        self._pitch = Pitch()
        self._threshold = threshold

    def judge(self, frame: Samples, echo: bool = False, eager: bool = False) -> Frame:
        """Judge the next FRAME samples. ``echo``: they are no caller's voice, but silero hears them: whoever speaks
        over them is then known for a voice at once, and not when silero has come to listen. ``eager``: a pitch is
        looked for as well."""
        speech = self._silero.feed(frame)
        level = level_dbfs(frame)
        self._pitch.add(frame)
        if echo:
            self._pitch.forget()
            return Frame(loud=False, speech=0.0, level=level)
        loud = self._gate.loud(level, speech >= self._threshold) and self._edges.is_speech(to_pcm16(frame), HEARD_RATE)
        pitched = eager and loud and self._pitch.steady()
        if not loud:
            self._pitch.forget()
        return Frame(loud, speech, level, pitched)
