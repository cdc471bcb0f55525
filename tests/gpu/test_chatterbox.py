"""Chatterbox on real hardware: CUDA graphs or none, compiled or not, in bf16, alone and in company."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from tests.gpu.chatterbox import PLAN, SIZES, SOUND, asked, said, sound, t3
from tests.gpu.machine import DEVICE, needs_gpu, relative, torch
from voxrtc.audio import Samples
from voxrtc.bench.tts import callers, spoken
from voxrtc.bench.tts.chatterbox import _perth
from voxrtc.bench.tts.steps import distance_db, in_chunks
from voxrtc.models.chatterbox.loop import Loop
from voxrtc.models.chatterbox.parts import CODES, Chunk
from voxrtc.models.chatterbox.sound import SoundRunner
from voxrtc.models.chatterbox.t3 import T3
from voxrtc.models.chatterbox.watermark import Marked

pytestmark = needs_gpu
BOUND_DB = 1.0
"""As in tests/models/chatterbox: about the least change of loudness that people hear."""
STEPS = 24


@pytest.fixture(scope="module")
def plain() -> T3:
    return t3(captures=False)


@pytest.fixture(scope="module")
def captured() -> T3:
    return t3()


@pytest.fixture(scope="module")
def eager() -> SoundRunner:
    return sound(captures=False)


@pytest.fixture(scope="module")
def graphs() -> SoundRunner:
    return sound()


# -- T3 -----------------------------------------------------------------------------------------------------------


def test_graphs_say_what_plain_calls_say(plain: T3, captured: T3) -> None:
    """In float32, rows in no order, of a number that is padded."""
    rows = {row: asked(row) for row in (6, 1, 4, 0, 3)}
    assert captured.report()["CUDA graphs"] == "yes"
    told = said(captured, rows, STEPS)
    assert told == said(plain, rows, STEPS)
    assert len({token for tokens in told.values() for token in tokens}) > 20


def test_company_changes_nothing(captured: T3) -> None:
    alone = {seed: said(captured, {2: asked(seed)}, STEPS)[2] for seed in range(PLAN.rows)}
    together = said(captured, {row: asked(row) for row in range(PLAN.rows)}, STEPS)
    assert together == alone


@pytest.mark.parametrize("compiles", [False, True], ids=["", "compiled"])
def test_bf16_is_near_float32(plain: T3, compiles: bool) -> None:
    """The logits of the first step, which both pick from the same text."""
    made = t3(torch.bfloat16, compiles=compiles)
    rows = list(range(PLAN.rows))
    for row in rows:
        made.begin(row, asked(row))
        plain.begin(row, asked(row))
    made.step(rows)
    plain.step(rows)
    assert relative(made.logits(), plain.logits()) <= 5e-2
    assert made.report()["torch.compile"] == ("yes" if compiles else "no")


def waits(work: Callable[[], object]) -> list[str]:
    """What ``work`` waited for the GPU for."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [str(wait.message) for wait in told if "synchroniz" in str(wait.message)]


def test_one_wait_for_the_gpu_a_step(captured: T3) -> None:
    rows = list(range(PLAN.rows))
    for row in rows:
        captured.begin(row, asked(row))
    captured.step(rows)
    found = waits(lambda: captured.step(rows))
    assert len(found) <= 1, found
    found = waits(lambda: captured.begin(3, asked(5)))
    assert not found, found


# -- sound --------------------------------------------------------------------------------------------------------


def codes(count: int, seed: int = 0) -> list[int]:
    return [int(code) for code in np.random.default_rng(seed).integers(0, CODES, count)]


def made_of(model: SoundRunner, seed: int) -> Samples:
    return np.concatenate(in_chunks(model, spoken.voice(DEVICE, seed), codes(90 + seed, seed), seed))


def in_company(model: SoundRunner, count: int) -> list[Samples]:
    """What ``made_of`` gives for each of ``count``, all chunks made together."""
    streams = [model.open(spoken.voice(DEVICE, seed), seed) for seed in range(count)]
    said = [codes(90 + seed, seed) for seed in range(count)]
    parts: list[list[Samples]] = [[] for _ in streams]
    for first, end in ((0, 13), (13, 33), (33, 68), (68, 200)):
        chunks = [Chunk(stream, own[first:end], end == 200) for stream, own in zip(streams, said, strict=True)]
        for own, samples in zip(parts, model.sound(chunks), strict=True):
            own.append(samples)
    return [np.concatenate(own) for own in parts]


def test_graphs_sound_as_plain_calls(eager: SoundRunner, graphs: SoundRunner) -> None:
    """Padding only changes the order of sums."""
    for seed in range(2):
        assert distance_db(made_of(graphs, seed), made_of(eager, seed)) < BOUND_DB / 5


def test_sound_in_company_is_that_of_one_alone(graphs: SoundRunner) -> None:
    for seed, together in enumerate(in_company(graphs, SOUND.batch)):
        assert distance_db(together, made_of(graphs, seed)) < BOUND_DB / 5


@pytest.mark.parametrize("compiles", [False, True], ids=["", "compiled"])
def test_bf16_sounds_as_float32(eager: SoundRunner, compiles: bool) -> None:
    half = sound(torch.bfloat16, compiles=compiles)
    assert distance_db(made_of(half, 1), made_of(eager, 1)) < 1.5 * BOUND_DB


def test_a_chunk_waits_for_the_gpu_a_few_times(graphs: SoundRunner) -> None:
    """Once a pass for the samples, and for what is not on the host yet; not once a step of the flow."""
    streams = [graphs.open(spoken.voice(DEVICE, seed), seed) for seed in range(SOUND.batch)]
    graphs.sound([Chunk(stream, codes(13), False) for stream in streams])
    found = waits(lambda: graphs.sound([Chunk(stream, codes(20), False) for stream in streams]))
    assert len(found) <= 2 + SOUND.batch, found


def test_the_watermark_is_that_of_the_cpu() -> None:
    draws = np.random.default_rng(0)
    sounds = [0.1 * draws.standard_normal(size, np.float32) for size in (24_000, 9_600)]
    perth = _perth(DEVICE, 0)
    elsewhere = _perth(torch.device("cpu"), 0)
    elsewhere._layers = [(weight.cpu(), bias.cpu()) for weight, bias in perth._layers]
    for ours, theirs, whole in zip(perth.mark(sounds), elsewhere.mark(sounds), sounds, strict=True):
        assert np.abs(ours - theirs).max() <= 1e-3 * np.abs(whole).max()


# -- both ---------------------------------------------------------------------------------------------------------


def test_clauses_of_many_through_the_loop() -> None:
    """Clauses of 2 and 4 s, two for each of 8 callers at one instant, all of them whole."""
    loop = Loop(spoken.Unstopped(t3(torch.bfloat16)), Marked(sound(torch.bfloat16), _perth(DEVICE, 0)))
    loop.start()
    try:
        voices = [spoken.voice(DEVICE, seed) for seed in range(2)]
        voice = spoken.Spoken(loop, voices, SIZES.text)
        replies = asyncio.run(callers.listen(voice, callers.Plan(8, 0.0, together=True)))
    finally:
        loop.close()
    assert [reply.seconds for reply in replies] == pytest.approx([6.0] * 8)
    assert loop.statistics().failures == 0
    found = callers.joints(replies)
    assert found["joint_clicks"] <= 0.02 * sum(joints["of"] for joints in found["joints"].values())
