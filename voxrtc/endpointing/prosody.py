"""Does the voice sound finished? Smart Turn v3.2: falling pitch and lengthened last syllables, by a small network.

Smart Turn (github.com/pipecat-ai/smart-turn, BSD-2) is whisper-tiny's encoder with a classifier on top, trained on
turns of 23 languages. It reads the last 8 s, with silence before them where there is less.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.models.asr.features import log_mel

SECONDS = 8
_SIZE = SECONDS * HEARD_RATE
WAITING = 8
"""Voices that may wait to be judged; a judgement that comes later than the pause lasts helps nobody."""


class Prosody:
    """The network, loaded once and shared by all calls, with one thread of its own."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # 30 ms; a second thread would take a core from what the caller waits for
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._thread = ThreadPoolExecutor(1, "prosody")
        self._waiting = 0
        self.judge(np.zeros(_SIZE, np.float32))  # the first run takes three times as long

    def judge(self, samples: Samples) -> float:
        """The probability that the speaker of ``samples`` (n,) at 16 kHz is done; only the last 8 s count. Blocks."""
        samples = samples[-_SIZE:]
        heard = np.zeros(_SIZE, np.float32)
        heard[_SIZE - samples.size :] = samples
        # As transformers' WhisperFeatureExtractor with do_normalize, which the network was trained behind.
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)
        found: list[Any] = self._session.run(None, {self._input: log_mel(heard)[np.newaxis]})
        return float(np.ravel(found[0])[0])

    async def judged(self, samples: Samples) -> float | None:
        """As ``judge``, in the thread; None at once where too many wait already."""
        if self._waiting >= WAITING:
            return None
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.judge, samples)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=True, cancel_futures=True)
