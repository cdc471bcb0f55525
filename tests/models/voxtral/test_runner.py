"""The runner against transformers' own model, on the CPU and in float32: the same tokens."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.voxtral import runners  # noqa: E402 - needs torch
from tests.models.voxtral.runners import continued, encoded, generated, noise  # noqa: E402
from voxrtc.models.gpu.attention import Sdpa, Triton  # noqa: E402
from voxrtc.models.gpu.graphs import Pieces  # noqa: E402
from voxrtc.models.voxtral.checkpoint import Weights  # noqa: E402
from voxrtc.models.voxtral.features import LogMel  # noqa: E402
from voxrtc.models.voxtral.runner import PROMPT_SIZES, VoxtralRunner  # noqa: E402
from voxrtc.models.voxtral.sequence import Chunk, Clip, Row, Sampling  # noqa: E402


@pytest.fixture(scope="module")
def weights(checkpoint: Path) -> Weights:
    return runners.weights(checkpoint)


@pytest.fixture(scope="module")
def runner(weights: Weights) -> VoxtralRunner:
    return runners.runner(weights)


@pytest.fixture(scope="module")
def stock(checkpoint: Path):
    return runners.stock(checkpoint)


def pages_for(count: int, seed: int = 0, most: int = 300) -> list[int]:
    """Pages of 16 tokens for ``count`` tokens, in no order."""
    return random.Random(seed).sample(range(1, most + 1), -(-count // 16))


def chat(*clips: Clip) -> list[int]:
    """A conversation about clips: with words after each, and answers between them."""
    ids = [1]
    for number, clip in enumerate(clips):
        ids += [3, 25, *clip.ids(), 1050 + number, 2000, 3000, 4]
        if number < len(clips) - 1:
            ids += [5000, 6000, 7000 + number, 2]
    return ids


@pytest.mark.parametrize("seconds", [0.5, 29.9, 30.0, 31.0, 65.0])
def test_sound_is_encoded_as_transformers_does(runner: VoxtralRunner, stock, seconds: float) -> None:
    clip = encoded(runner, noise(seconds))
    with torch.inference_mode():
        wanted = stock.get_audio_features(LogMel(runners.CPU)(clip.samples)).pooler_output
    assert clip.embeds is not None
    assert clip.embeds.shape == wanted.shape == (clip.tokens, 64)
    torch.testing.assert_close(clip.embeds, wanted, atol=2e-5, rtol=1e-5)


def test_64_greedy_tokens_after_sound_and_words(runner: VoxtralRunner, stock) -> None:
    clip = encoded(runner, noise(3.0))
    ids = chat(clip)
    picks = continued(runner, ids, [clip], 64, pages_for(len(ids) + 64))
    assert [pick.token for pick in picks] == generated(stock, ids, [clip], 64)
    assert len({pick.token for pick in picks}) > 20


def test_several_turns_and_windows(runner: VoxtralRunner, stock) -> None:
    clips = [encoded(runner, noise(seconds, seed)) for seed, seconds in enumerate((2.0, 33.0, 5.0))]
    ids = chat(*clips)
    picks = continued(runner, ids, clips, 24, pages_for(len(ids) + 24))
    assert [pick.token for pick in picks] == generated(stock, ids, clips, 24)


@pytest.mark.parametrize("cut", [1, 7, 16, 100, 511])
def test_prompts_may_be_read_in_chunks(runner: VoxtralRunner, stock, cut: int) -> None:
    clip = encoded(runner, noise(2.0, seed=3))
    ids = [1, 3, 700, 800, 25, *clip.ids(), 4] if cut > 1 else [1, 3, 700, 800, 900, 4]
    clips = [clip] if cut > 1 else []
    picks = continued(runner, ids, clips, 16, pages_for(len(ids) + 16), cut=cut)
    assert [pick.token for pick in picks] == generated(stock, ids, clips, 16)


def test_a_prompt_that_is_longer_than_any_size(runner: VoxtralRunner, stock) -> None:
    ids = [1, 3, *random.Random(1).choices(range(1000, 100_000), k=2 * PROMPT_SIZES[-1] + 30), 4]
    pages = pages_for(len(ids) + 8)
    assert [p.token for p in continued(runner, ids, [], 8, pages, cut=len(ids))] == generated(stock, ids, [], 8)


def test_eight_sequences_of_different_lengths_in_one_step(runner: VoxtralRunner, stock) -> None:
    free = random.Random(2).sample(range(1, 301), 300)
    prompts = [[1, 3, *random.Random(n).choices(range(1000, 100_000), k=3 + 11 * n), 4] for n in range(8)]
    pages = [[free.pop() for _ in range(-(-(len(ids) + 64) // 16))] for ids in prompts]
    said = [[runner.prefill(Chunk(ids, 0, own, {}, True)).token] for ids, own in zip(prompts, pages, strict=True)]  # type: ignore[union-attr]
    order = list(range(8))
    for step in range(63):
        random.Random(step).shuffle(order)  # a sequence may stand in any row
        rows = [Row(said[n][-1], len(prompts[n]) + len(said[n]) - 1, pages[n]) for n in order]
        for n, pick in zip(order, runner.decode(rows), strict=True):
            said[n].append(pick.token)
    for ids, tokens in zip(prompts, said, strict=True):
        assert tokens == generated(stock, ids, [], 64)


def test_logprobs_are_those_of_the_model(runner: VoxtralRunner, stock) -> None:
    ids = [1, 3, 4000, 5000, 6000, 4]
    picks = continued(runner, ids, [], 12, pages_for(30))
    whole = torch.tensor([[*ids, *(pick.token for pick in picks)]])
    with torch.inference_mode():
        logs = stock(input_ids=whole).logits.float().log_softmax(-1)[0, len(ids) - 1 : -1]
    wanted = logs.gather(-1, whole[0, len(ids) :, None])[:, 0]
    torch.testing.assert_close(torch.tensor([p.logprob for p in picks]), wanted, atol=1e-4, rtol=1e-4)


def test_a_seed_gives_the_same_tokens_whatever_runs_beside_it(runner: VoxtralRunner) -> None:
    ids = [1, 3, 4000, 5000, 6000, 4]
    hot = Sampling(1.0, seed=77)
    alone = [p.token for p in continued(runner, ids, [], 20, list(range(1, 6)), hot)]
    again = [p.token for p in continued(runner, ids, [], 20, list(range(11, 16)), hot, cut=2)]
    other = [p.token for p in continued(runner, ids, [], 20, list(range(1, 6)), Sampling(1.0, seed=78))]
    assert alone == again != other
    pages = [list(range(1 + 10 * n, 6 + 10 * n)) for n in range(3)]
    said = [[runner.prefill(Chunk(ids, 0, own, {}, True, hot)).token] for own in pages]  # type: ignore[union-attr]
    for step in range(19):
        rows = [Row(tokens[-1], len(ids) + step, own, hot) for tokens, own in zip(said, pages, strict=True)]
        for tokens, pick in zip(said, runner.decode(rows), strict=True):
            tokens.append(pick.token)
    assert said == [alone] * 3


def test_memory_of_a_page_that_is_used_again_does_not_shine_through(runner: VoxtralRunner, stock) -> None:
    pages = list(range(1, 9))
    continued(runner, [1, 3, *range(5000, 5060), 4], [], 40, pages)
    ids = [1, 3, 600, 700, 4]
    assert [p.token for p in continued(runner, ids, [], 24, pages)] == generated(stock, ids, [], 24)


@pytest.fixture
def padded(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> VoxtralRunner:
    """A runner that works as on a GPU: in the sizes that are captured there, padded, by the Triton kernels, which run
    in Triton's interpreter. Only the capture itself is missing."""
    importlib.import_module("tests.models.gpu.interpreted")
    monkeypatch.setattr("voxrtc.models.voxtral.runner.PROMPT_SIZES", (16, 96))
    monkeypatch.setattr(Pieces, "captures", property(lambda self: True))
    make = Pieces.make

    def warmed(self, work):
        work()  # as before a capture: with whatever its inputs hold by then
        return make(self, work)

    monkeypatch.setattr(Pieces, "make", warmed)
    return runners.runner(weights, Triton(), rows=3, pages=60, context=464)


def test_padding_changes_nothing(padded: VoxtralRunner, stock) -> None:
    assert padded.report()["CUDA graphs"] == "yes"
    clip = encoded(padded, noise(1.0))
    ids = chat(clip)
    picks = continued(padded, ids, [clip], 6, pages_for(len(ids) + 6, most=60), cut=400)
    assert [pick.token for pick in picks] == generated(stock, ids, [clip], 6)
    prompts = [[1, 3, 700, 4], [1, 3, *range(5000, 5020), 4]]
    pages = [[50, 3], [20, 7, 9]]
    said = [[padded.prefill(Chunk(ids, 0, own, {}, True)).token] for ids, own in zip(prompts, pages, strict=True)]  # type: ignore[union-attr]
    for _ in range(5):
        rows = [Row(s[-1], len(i) + len(s) - 1, p) for s, i, p in zip(said, prompts, pages, strict=True)]
        for tokens, pick in zip(said, padded.decode(rows), strict=True):
            tokens.append(pick.token)
    assert said == [generated(stock, ids, [], 6) for ids in prompts]


def test_chunks_fit_the_time_that_there_is(runner: VoxtralRunner) -> None:
    assert runner.chunk_size(0, 1.0) == PROMPT_SIZES[-1]
    assert runner.chunk_size(4, 0.0) == PROMPT_SIZES[0]
    assert runner.chunk_size(4, 1e9) == PROMPT_SIZES[-1]


def test_encoding_can_be_given_up(runner: VoxtralRunner) -> None:
    clip = Clip(noise(40.0))
    steps = runner.encode(clip)
    next(steps)
    steps.close()
    assert clip.embeds is None
    whole = encoded(runner, clip.samples)
    assert whole.embeds is not None
    assert sum(1 for _ in runner.encode(Clip(clip.samples))) == 2 * runner.stages


def test_sdpa_is_what_the_cpu_has(runner: VoxtralRunner) -> None:
    assert runner.report()["attention"] == Sdpa.name
    assert runner.report()["device"] == "CPU"
