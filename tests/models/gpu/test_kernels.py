"""The Triton kernels in Triton's interpreter, against torch's attention over the same pages."""

from __future__ import annotations

import random

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.gpu.interpreted import kernels  # noqa: E402 - needs triton
from voxrtc.models.gpu.attention import Context, Sdpa  # noqa: E402

PAGE, MOST, PAGES = 16, 8, 40


def context_of(lengths: list[int], seed: int) -> Context:
    """Sequences of these lengths, each in pages of its own, in no order."""
    free = random.Random(seed).sample(range(1, PAGES), PAGES - 1)
    tables = torch.zeros(len(lengths), MOST, dtype=torch.int32)
    known = []
    for row, length in enumerate(lengths):
        pages = [free.pop() for _ in range(-(-length // PAGE))]
        tables[row, : len(pages)] = torch.tensor(pages)
        known.append((pages, length))
    return Context(tables, torch.tensor(lengths, dtype=torch.int32), known)


def memory(kv_heads: int, dim: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, PAGES, PAGE, kv_heads, dim, generator=generator)


@pytest.mark.parametrize("splits", [1, 2, 8])
@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(4, 4, 16), (8, 2, 32), (20, 1, 16)])
def test_decoding(monkeypatch, splits: int, heads: int, kv_heads: int, dim: int) -> None:
    monkeypatch.setattr(kernels, "_splits", lambda programs, device: splits)
    context = context_of([1, 15, 16, 17, 100], splits)
    keys, values = memory(kv_heads, dim, splits)
    queries = torch.randn(5, heads, dim, generator=torch.Generator().manual_seed(9))
    got = kernels.decode(queries, keys, values, context.tables, context.lengths)
    torch.testing.assert_close(got, Sdpa().decode(queries, keys, values, context), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("length", "count"), [(1, 1), (16, 16), (40, 40), (70, 5), (128, 100), (128, 1)])
def test_reading_a_prompt(length: int, count: int) -> None:
    context = context_of([length], length)
    keys, values = memory(2, 16, length)
    queries = torch.randn(count, 8, 16, generator=torch.Generator().manual_seed(count))
    got = kernels.prefill(queries, keys, values, context.tables[0], context.lengths)
    torch.testing.assert_close(got, Sdpa().prefill(queries, keys, values, context), atol=2e-6, rtol=1e-5)


def test_nothing_is_read_behind_the_end() -> None:
    context = context_of([19, 33], 3)
    keys, values = memory(2, 16, 3)
    queries = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(1))
    before = kernels.decode(queries, keys, values, context.tables, context.lengths)
    for row, (pages, length) in enumerate(context.known):
        for part in (keys, values):
            part[pages[-1], length % PAGE :] = float("nan")
        context.tables[row, len(pages) :] = PAGES - 1  # tables may hold anything there
    keys[0], values[PAGES - 1] = float("nan"), float("nan")
    assert torch.equal(kernels.decode(queries, keys, values, context.tables, context.lengths), before)


def test_splits_fill_the_machine() -> None:
    cpu = torch.device("cpu")
    kernels._splits.cache_clear()
    assert kernels._splits(8, cpu) == 1
