"""S3Gen and HiFT streamed: what is heard does not depend on where it was cut, nor on who else speaks."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox.sounding import (  # noqa: E402 - needs torch
    PLAN,
    distance_db,
    lively_state,
    roughness,
    runner,
    speech,
    streamed,
    voice,
    whole,
)
from voxrtc.models.chatterbox.parts import TOKEN_SAMPLES, Chunk  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner  # noqa: E402

TOKENS = 50
GROWING = [13, 33, 50]
"""As the loop cuts: a small chunk first."""
CUTTINGS = [GROWING, [13, 50], [10, 20, 30, 40, 50], [9, 17, 25, 33, 41, 50], [29, 50], [49, 50]]
BOUND_DB = 1.0
"""How far the streamed sound may be from the unstreamed one, in the mean over bands and times. 1 dB is about the least
change of loudness that people hear; utterances of other tokens are more than twice as far apart with these weights."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> SoundRunner:
    return runner()


@pytest.mark.parametrize("cuts", CUTTINGS, ids=str)
def test_streamed_sounds_as_unstreamed(model: SoundRunner, cuts: list[int]) -> None:
    tokens = speech(TOKENS)
    joined = np.concatenate(streamed(model, voice(), tokens, cuts))
    assert distance_db(joined, whole(model, voice(), tokens)) < BOUND_DB


def test_what_the_bound_is_beside(model: SoundRunner) -> None:
    reference = whole(model, voice(), speech(TOKENS))
    assert distance_db(whole(model, voice(), speech(TOKENS, seed=3)), reference) > 2.0 * BOUND_DB


def test_any_cuts_give_nearly_the_same_sound_of_the_same_length(model: SoundRunner) -> None:
    rng = random.Random(5)
    tokens = speech(TOKENS)
    reference = whole(model, voice(), tokens)
    for _ in range(6):
        cuts = sorted({*rng.sample(range(TOKENS), rng.randint(0, 8)), TOKENS})
        joined = np.concatenate(streamed(model, voice(), tokens, cuts))
        assert joined.size == TOKENS * TOKEN_SAMPLES
        assert distance_db(joined, reference) < 1.5 * BOUND_DB, cuts  # tiny first chunks see little of what is to come


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9, 80])
def test_every_token_has_its_samples(model: SoundRunner, count: int) -> None:
    tokens = speech(count)
    in_one = streamed(model, voice(), tokens, [count])[0]
    assert in_one.dtype == np.float32
    assert in_one.size == count * TOKEN_SAMPLES
    by_two = streamed(model, voice(), tokens, [*range(2, count, 2), count])
    assert sum(part.size for part in by_two) == count * TOKEN_SAMPLES


def test_a_clause_may_end_without_a_token_more(model: SoundRunner) -> None:
    tokens = speech(20)
    stream = model.open(voice(), 7)
    parts = [model.sound([Chunk(stream, given, last)])[0] for given, last in ((tokens, False), ((), True))]
    assert sum(part.size for part in parts) == 20 * TOKEN_SAMPLES
    assert min(part.size for part in parts) > 0


def test_the_first_chunk_of_ten_tokens_is_nearly_all_given(model: SoundRunner) -> None:
    first = streamed(model, voice(), speech(TOKENS), GROWING)[0]
    assert first.size == 15 * 480  # of 20 frames, 5 are made again


def test_it_fades_in(model: SoundRunner) -> None:
    first = streamed(model, voice(), speech(TOKENS), GROWING)[0]
    assert not first[:480].any()
    assert np.abs(first[480:960]).max() < np.abs(first[960:]).max()


def test_no_click_at_the_joints(model: SoundRunner) -> None:
    tokens = speech(TOKENS)
    cuts = [9, 14, 19, 24, 29, 34, 39, 44, 50]
    parts = streamed(model, voice(), tokens, cuts)
    joined = np.concatenate(parts)
    rough, joints = roughness(joined), np.cumsum([part.size for part in parts])[:-1] // 48
    at_joints = np.array([rough[joint - 1 : joint + 2].max() for joint in joints])
    elsewhere = np.array([rough[at - 1 : at + 2].max() for at in range(30, rough.size - 1)])
    assert at_joints.max() <= np.quantile(elsewhere, 0.99)
    assert np.median(at_joints) <= 1.25 * np.median(elsewhere)


def test_the_measure_hears_a_click(model: SoundRunner) -> None:
    sound = whole(model, voice(), speech(TOKENS))
    joints = [48 * at for at in range(100, 900, 100)]
    heard = 0
    for joint in joints:  # 3 ms are left out
        rough = roughness(np.concatenate((sound[:joint], sound[joint + 72 :])))
        heard += rough[joint // 48 - 1 : joint // 48 + 2].max() > np.quantile(rough[30:], 0.99)
    assert heard > len(joints) / 2


def test_a_batch_gives_what_each_gives_alone(model: SoundRunner) -> None:
    clauses = [(voice(1), speech(40, 1), 11), (voice(2, 20), speech(33, 2), 12), (voice(3), speech(12, 3), 13)]
    alone = [streamed(model, of, tokens, [13, len(tokens)], seed) for of, tokens, seed in clauses[:2]]
    alone.append(streamed(model, *clauses[2][:2], [12], 13))
    streams = [model.open(of, seed) for of, _, seed in clauses]
    first = model.sound([Chunk(streams[n], clauses[n][1][:13], n == 2) for n in range(3)])
    second = model.sound([Chunk(streams[n], clauses[n][1][13:], True) for n in (1, 0)])[::-1]
    together = [[first[0], second[0]], [first[1], second[1]], [first[2]]]
    for ours, theirs in zip(together, alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


def test_sizes_that_are_padded_give_what_exact_ones_give(model: SoundRunner) -> None:
    padded = runner(plan=SoundPlan(2, PLAN.reference, PLAN.context))
    padded.make_sizes(lambda what, share: None)  # as on a GPU, but not captured
    for ours, theirs in zip(
        streamed(padded, voice(), speech(TOKENS), GROWING),
        streamed(model, voice(), speech(TOKENS), GROWING),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_seeds_differ_and_repeat(model: SoundRunner) -> None:
    tokens = speech(20)
    assert np.array_equal(whole(model, voice(), tokens, 1), whole(model, voice(), tokens, 1))
    assert not np.array_equal(whole(model, voice(), tokens, 1), whole(model, voice(), tokens, 2))


def test_two_voices_at_once_are_two_voices(model: SoundRunner) -> None:
    tokens = speech(20)
    streams = [model.open(voice(1), 7), model.open(voice(2), 7)]
    first, second = model.sound([Chunk(stream, tokens, True) for stream in streams])
    assert distance_db(first, second) > BOUND_DB
    assert distance_db(first, whole(model, voice(1), tokens)) < 0.01


def test_a_stream_that_is_dropped_is_gone(model: SoundRunner) -> None:
    stream = model.open(voice(), 7)
    model.sound([Chunk(stream, speech(20), False)])
    tail = weakref.ref(stream.tail.mel)  # type: ignore[attr-defined]
    del stream
    gc.collect()
    assert tail() is None


def test_what_it_does_not_take(model: SoundRunner) -> None:
    stream = model.open(voice(), 7)
    with pytest.raises(ValueError, match="not below 6561"):
        model.sound([Chunk(model.open(voice(), 8), [1], False), Chunk(stream, [6_562], False)])
    with pytest.raises(ValueError, match="at most 4 chunks"):
        model.sound([Chunk(stream, [1], False), Chunk(stream, [1], False)])
    with pytest.raises(ValueError, match="at most 4 chunks"):
        model.sound([Chunk(model.open(voice(), n), [1], False) for n in range(5)])
    model.sound([Chunk(stream, [1], True)])
    with pytest.raises(ValueError, match="last chunk"):
        model.sound([Chunk(stream, [1], True)])


def test_bfloat16_is_near(model: SoundRunner) -> None:
    half = SoundRunner(lively_state(), torch.device("cpu"), torch.bfloat16, PLAN)
    tokens = speech(20)
    assert distance_db(whole(half, voice(), tokens), whole(model, voice(), tokens)) < 1.5
