"""The attention kernels on real hardware, beside torch's SDPA over the same pages."""

from __future__ import annotations

import pytest

from tests.gpu.machine import DEVICE, needs_gpu, pages_of, relative, torch
from voxrtc.errors import ModelsError
from voxrtc.models.gpu.attention import Attention, Context, Sdpa, choose

pytestmark = needs_gpu
HEADS, KV_HEADS, DIM, PAGE = 32, 8, 128, 256
LENGTHS = {
    "one": [1_000],
    "short": [1, 2, 15, 16, 17, 63, 64, 65],
    "ragged": [1, 257, 255, 256, 999, 1_025, 2_047, 64] * 4,
    "long": [9_000, 30],
}


def made(name: str) -> Attention:
    """The attention of that name; skips where it is not to be had here."""
    try:
        return choose(name, DEVICE, PAGE)  # type: ignore[arg-type]
    except ModelsError as error:
        pytest.skip(str(error))


def memory(lengths: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, Context]:
    """Keys, values and the context of sequences of these lengths. Behind the last key of each stands what would draw
    all attention."""
    pages = pages_of(lengths, PAGE)
    generator = torch.Generator(DEVICE).manual_seed(1)
    size = (1 + sum(map(len, pages)), PAGE, KV_HEADS, DIM)
    keys, values = (torch.randn(size, device=DEVICE, dtype=dtype, generator=generator) for _ in range(2))
    tables = torch.zeros(len(lengths), max(map(len, pages)) + 2, dtype=torch.int32, device=DEVICE)
    for row, its in enumerate(pages):
        tables[row, : len(its)] = torch.tensor(its, dtype=torch.int32)
        keys[its[-1], lengths[row] - PAGE * (len(its) - 1) :] = 1e4
    there = torch.tensor(lengths, dtype=torch.int32, device=DEVICE)
    return keys, values, Context(tables, there, [(its, length) for its, length in zip(pages, lengths, strict=True)])


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", ["triton", "flash"])
@torch.inference_mode()
def test_decoding_is_that_of_sdpa(name: str, lengths: list[int]) -> None:
    attention = made(name)
    keys, values, context = memory(lengths, torch.bfloat16)
    queries = torch.randn(len(lengths), HEADS, DIM, device=DEVICE, dtype=torch.bfloat16)
    ours = attention.decode(queries, keys, values, context)
    theirs = Sdpa().decode(queries.double(), keys.double(), values.double(), context)
    for row in range(len(lengths)):
        assert relative(ours[row], theirs[row]) < 1e-2, f"length {lengths[row]}"


@pytest.mark.parametrize(("length", "count"), [(1, 1), (405, 405), (1_405, 405), (2_000, 16), (700, 512), (257, 130)])
@pytest.mark.parametrize("name", ["triton", "flash"])
@torch.inference_mode()
def test_reading_is_that_of_sdpa(name: str, length: int, count: int) -> None:
    attention = made(name)
    keys, values, context = memory([length], torch.bfloat16)
    queries = torch.randn(count, HEADS, DIM, device=DEVICE, dtype=torch.bfloat16)
    ours = attention.prefill(queries, keys, values, context)
    theirs = Sdpa().prefill(queries.double(), keys.double(), values.double(), context)
    assert relative(ours, theirs) < 1e-2


@torch.inference_mode()
def test_float32_is_exact_to_its_own_rounding() -> None:
    attention = made("triton")
    keys, values, context = memory(LENGTHS["ragged"], torch.float32)
    queries = torch.randn(len(LENGTHS["ragged"]), HEADS, DIM, device=DEVICE)
    ours = attention.decode(queries, keys, values, context)
    theirs = Sdpa().decode(queries.double(), keys.double(), values.double(), context)
    assert relative(ours, theirs) < 1e-5


@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others() -> None:
    attention = made("triton")
    lengths = LENGTHS["ragged"]
    keys, values, context = memory(lengths, torch.bfloat16)
    queries = torch.randn(len(lengths), HEADS, DIM, device=DEVICE, dtype=torch.bfloat16)
    together = attention.decode(queries, keys, values, context)
    order = torch.randperm(len(lengths), device=DEVICE)
    known = [context.known[number] for number in order.tolist()]
    shuffled = Context(context.tables[order], context.lengths[order], known)
    assert torch.equal(attention.decode(queries[order], keys, values, shuffled), together[order])


def test_what_auto_chooses_can_be_captured() -> None:
    assert choose("auto", DEVICE, PAGE).captures
