"""Chatterbox's sound on real hardware: CUDA graphs or none, compiled or not, in bfloat16."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.gpu.machine import DEVICE, needs_gpu, torch
from tests.models.chatterbox.sounding import PLAN, SMALL, distance_db, lively_state, speech, streamed, voice
from voxrtc.audio import Samples
from voxrtc.models.chatterbox.parts import Chunk, Voice
from voxrtc.models.chatterbox.sound import SoundRunner

pytestmark = needs_gpu
GROWING = [13, 33, 50]


@cache
def made(dtype: torch.dtype = torch.float32, captures: bool = True, compiles: bool = False) -> SoundRunner:
    runner = SoundRunner(lively_state(SMALL), DEVICE, dtype, PLAN, captures=captures, compiles=compiles)
    runner.warm(lambda what, share: None)
    return runner


def there(seed: int = 1) -> Voice:
    one = voice(seed)
    tensors = (one.speaker, one.prompt, one.tokens, one.mel, one.xvector)
    return Voice(one.name, *(tensor.to(DEVICE) for tensor in tensors))


def said(runner: SoundRunner) -> Samples:
    return np.concatenate(streamed(runner, there(), speech(50), GROWING))


def test_graphs_say_what_plain_calls_say() -> None:
    assert distance_db(said(made()), said(made(captures=False))) < 0.2


@pytest.mark.parametrize("compiles", [False, True])
def test_bfloat16_says_the_same(compiles: bool) -> None:
    assert distance_db(said(made(torch.bfloat16, compiles=compiles)), said(made())) < 1.5


def test_a_batch_in_graphs_gives_what_each_gives_alone() -> None:
    runner = made()
    alone = [streamed(runner, there(n), speech(20, n), [20], n)[0] for n in range(3)]
    streams = [runner.open(there(n), n) for n in range(3)]
    together = runner.sound([Chunk(stream, speech(20, n), True) for n, stream in enumerate(streams)])
    for ours, theirs in zip(together, alone, strict=True):
        assert distance_db(ours, theirs) < 0.2
