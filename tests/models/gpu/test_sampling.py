"""Draws follow the model's distribution, and nothing but seed and position decides between them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from transformers import MinPLogitsWarper, TemperatureLogitsWarper  # noqa: E402

from voxrtc.models.gpu.sampling import MIN_P, draw  # noqa: E402

COUNT = 20_000


def drawn(logits, temperature: float, seeds, positions):
    size = seeds.shape[0]
    return draw(logits.expand(size, -1), torch.full((size,), temperature), seeds, positions)[0]


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 2.0])
@pytest.mark.parametrize("varies", ["seed", "position"])
def test_the_distribution_is_that_of_transformers_warpers(temperature: float, varies: str) -> None:
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(1)) * 2
    many, one = torch.arange(COUNT), torch.full((COUNT,), 12345)
    seeds, positions = (many, one) if varies == "seed" else (one, many)
    tokens = drawn(logits, temperature, seeds, positions)
    warped = MinPLogitsWarper(MIN_P)(None, TemperatureLogitsWarper(temperature)(None, logits))
    expected = warped.softmax(-1)[0] * COUNT
    counts = torch.bincount(tokens, minlength=40)
    assert counts[expected == 0].sum() == 0
    some = expected > 5
    chi2 = ((counts[some] - expected[some]) ** 2 / expected[some]).sum().item()
    freedom = int(some.sum()) - 1
    assert chi2 < freedom + 5 * (2 * freedom) ** 0.5 + 5  # five standard deviations


def test_greedy_is_the_likeliest_and_its_probability_true() -> None:
    logits = torch.randn(6, 500, generator=torch.Generator().manual_seed(2)) * 3
    tokens, logprobs = draw(logits, torch.zeros(6), torch.arange(6), torch.arange(6))
    assert torch.equal(tokens, logits.argmax(-1))
    torch.testing.assert_close(logprobs, logits.log_softmax(-1).amax(-1))


def test_rows_do_not_know_of_each_other() -> None:
    logits = torch.randn(4, 1000, generator=torch.Generator().manual_seed(3))
    hot, seeds, positions = (
        torch.tensor([0.0, 0.7, 1.0, 1.5]),
        torch.tensor([1, 2, 2**31 - 1, 0]),
        torch.tensor([5, 6, 7, 8]),
    )
    together = draw(logits, hot, seeds, positions)[0]
    for row in range(4):
        alone = draw(logits[row : row + 1], hot[row : row + 1], seeds[row : row + 1], positions[row : row + 1])[0]
        assert alone[0] == together[row]


def test_neighbouring_seeds_and_positions_are_unlike() -> None:
    logits = torch.zeros(1, 64)
    grid = torch.stack([drawn(logits, 1.0, torch.full((64,), seed), torch.arange(64)) for seed in range(64)])
    for shifted in (grid[1:] == grid[:-1], grid[:, 1:] == grid[:, :-1]):
        assert shifted.float().mean() < 0.03  # one in 64 by chance
