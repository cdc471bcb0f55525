"""Triton kernels for attention over paged keys and values.

Decoding is bound by reading the cache once: one program for each sequence, kv head and stretch of keys, the query heads
that share a kv head together (padded to 16 rows for the tensor cores); a second kernel joins the stretches
("flash-decoding", Dao et al. 2023). Prompts go as in flash attention (arXiv:2205.14135): one program for a block of
queries and a head, over the keys up to the diagonal.
"""

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_SPLITS = 16
KEYS = 64
"""Keys in one block, where pages are no smaller."""
QUERIES = 64
"""Queries in one block of a prompt."""
COLUMNS, DEPTH = 16, 256
"""Rows and columns of an int8 weight in one block: small, so that narrow matrices, too, occupy the whole GPU."""
_LOG2_E = 1.4426950408889634


@triton.jit
def _decode(
    queries, keys, values, tables, lengths, sums, peaks, parts,
    scale, heads: tl.constexpr, kv_heads: tl.constexpr, most_pages,
    page: tl.constexpr, dim: tl.constexpr, width: tl.constexpr, splits: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The part of one stretch of keys in one sequence's attention: unnormalised sum, its weight and its peak."""
    row, kv, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    group: tl.constexpr = heads // kv_heads
    length = tl.load(lengths + row)
    blocks = tl.cdiv(length, block)
    share = tl.cdiv(blocks, splits)
    first, last = split * share, tl.minimum(split * share + share, blocks)

    members, lane = tl.arange(0, width), tl.arange(0, dim)
    inside = members < group
    head = kv * group + members
    q = tl.load(queries + (row * heads + head)[:, None] * dim + lane[None, :], mask=inside[:, None], other=0.0)
    peak = tl.full([width], float("-inf"), tl.float32)
    weight = tl.zeros([width], tl.float32)
    total = tl.zeros([width, dim], tl.float32)
    for number in range(first, last):
        place = number * block + tl.arange(0, block)
        there = place < length
        number_of_page = tl.load(tables + row * most_pages + (number * block) // page).to(tl.int64)
        token = number_of_page * page + place % page
        at = (token * kv_heads + kv)[:, None] * dim + lane[None, :]
        k = tl.load(keys + at, mask=there[:, None], other=0.0)
        v = tl.load(values + at, mask=there[:, None], other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        score = tl.where(there[None, :], score, float("-inf"))
        highest = tl.maximum(peak, tl.max(score, 1))
        fade = tl.exp2(peak - highest)
        p = tl.exp2(score - highest[:, None])
        weight = weight * fade + tl.sum(p, 1)
        total = total * fade[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
        peak = highest
    slot = (row * heads + head) * splits + split
    tl.store(peaks + slot, peak, mask=inside)
    tl.store(sums + slot, weight, mask=inside)
    tl.store(parts + slot[:, None] * dim + lane[None, :], total, mask=inside[:, None])


@triton.jit
def _join(sums, peaks, parts, out, dim: tl.constexpr, splits: tl.constexpr):
    """Join the stretches of one head of one sequence."""
    which = tl.program_id(0)
    number, lane = tl.arange(0, splits), tl.arange(0, dim)
    peak = tl.load(peaks + which * splits + number)
    share = tl.exp2(peak - tl.max(peak, 0))
    weight = tl.sum(tl.load(sums + which * splits + number) * share, 0)
    part = tl.load(parts + (which * splits + number)[:, None] * dim + lane[None, :])
    joined = tl.sum(part * share[:, None], 0) / weight
    tl.store(out + which * dim + lane, joined.to(out.dtype.element_ty))


@triton.jit
def _prefill(
    queries, keys, values, table, lengths, out, count,
    scale, heads: tl.constexpr, kv_heads: tl.constexpr,
    page: tl.constexpr, dim: tl.constexpr, rows: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """A block of the last ``count`` queries of a sequence, for one head, over all keys before them and themselves."""
    first, head = tl.program_id(0) * rows, tl.program_id(1)
    kv = head // (heads // kv_heads)
    length = tl.load(lengths)
    member, lane = first + tl.arange(0, rows), tl.arange(0, dim)
    inside = member < count
    at_query = (member * heads + head)[:, None] * dim + lane[None, :]
    q = tl.load(queries + at_query, mask=inside[:, None], other=0.0)
    position = length - count + member
    peak = tl.full([rows], float("-inf"), tl.float32)
    weight = tl.zeros([rows], tl.float32)
    total = tl.zeros([rows, dim], tl.float32)
    end = tl.minimum(length - count + first + rows, length)
    for number in range(0, tl.cdiv(end, block)):
        place = number * block + tl.arange(0, block)
        there = place < length
        number_of_page = tl.load(table + (number * block) // page).to(tl.int64)
        at = ((number_of_page * page + place % page) * kv_heads + kv)[:, None] * dim + lane[None, :]
        k = tl.load(keys + at, mask=there[:, None], other=0.0)
        v = tl.load(values + at, mask=there[:, None], other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        score = tl.where(place[None, :] <= position[:, None], score, float("-inf"))
        highest = tl.maximum(peak, tl.max(score, 1))
        fade = tl.exp2(peak - highest)
        p = tl.exp2(score - highest[:, None])
        weight = weight * fade + tl.sum(p, 1)
        total = total * fade[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
        peak = highest
    tl.store(out + at_query, (total / weight[:, None]).to(out.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _int8_product(
    x, weight, scale, out, rows, count,
    width: tl.constexpr, tall: tl.constexpr, wide: tl.constexpr, deep: tl.constexpr,
):  # fmt: skip
    """All rows times some of the weight's rows, which are widened in registers."""
    row, column = tl.arange(0, tall), tl.program_id(0) * wide + tl.arange(0, wide)
    inside, there = row < rows, column < count
    total = tl.zeros([tall, wide], tl.float32)
    for first in range(0, width, deep):
        lane = first + tl.arange(0, deep)
        within = lane < width
        a = tl.load(x + row[:, None] * width + lane[None, :], mask=inside[:, None] & within[None, :], other=0.0)
        at = column.to(tl.int64)[:, None] * width + lane[None, :]
        b = tl.load(weight + at, mask=there[:, None] & within[None, :], other=0)
        total += tl.dot(a, tl.trans(b.to(a.dtype)), input_precision="ieee")
    scales = tl.load(scale + column, mask=there, other=0.0).to(tl.float32)
    at_out = row[:, None] * count + column[None, :]
    tl.store(out + at_out, (total * scales[None, :]).to(out.dtype.element_ty), mask=inside[:, None] & there[None, :])


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """``x`` (n, in), n at most 64, times the transpose of int8 ``weight`` (out, in), whose rows have ``scale``."""
    rows, width = x.shape
    count = weight.shape[0]
    out = torch.empty(rows, count, dtype=x.dtype, device=x.device)
    tall = max(16, triton.next_power_of_2(rows))
    _int8_product[(triton.cdiv(count, COLUMNS),)](
        x.contiguous(), weight, scale, out, rows, count,
        width, tall, COLUMNS, min(DEPTH, triton.next_power_of_2(width)),
    )  # fmt: skip
    return out


def decode(queries: Tensor, keys: Tensor, values: Tensor, tables: Tensor, lengths: Tensor) -> Tensor:
    """Attention of one query (n, heads, head dim) a sequence over its pages; see attention.Context."""
    rows, heads, dim = queries.shape
    page, kv_heads = keys.shape[1:3]
    splits = _splits(rows * kv_heads, queries.device)
    peaks, sums = torch.empty(2, rows, heads, splits, dtype=torch.float32, device=queries.device)
    parts = torch.empty(rows, heads, splits, dim, dtype=torch.float32, device=queries.device)
    _decode[(rows, kv_heads, splits)](
        queries.contiguous(), keys, values, tables, lengths, sums, peaks, parts,
        _LOG2_E * dim**-0.5, heads, kv_heads, tables.shape[1],
        page, dim, max(16, triton.next_power_of_2(heads // kv_heads)), splits, min(KEYS, page),
    )  # fmt: skip
    out = torch.empty_like(queries, memory_format=torch.contiguous_format)
    _join[(rows * heads,)](sums, peaks, parts, out, dim, splits)
    return out


def prefill(queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
    """Attention of a sequence's last queries (count, heads, head dim) over its pages, ``table`` (most pages,)."""
    count, heads, dim = queries.shape
    page, kv_heads = keys.shape[1:3]
    out = torch.empty_like(queries, memory_format=torch.contiguous_format)
    block = QUERIES if queries.element_size() < 4 else QUERIES // 2  # in float32 more does not fit an Ampere's cores
    _prefill[(triton.cdiv(count, block), heads)](
        queries.contiguous(), keys, values, table, lengths, out, count,
        _LOG2_E * dim**-0.5, heads, kv_heads, page, dim, block, min(KEYS if block == QUERIES else KEYS // 2, page),
    )  # fmt: skip
    return out


@functools.cache
def _splits(programs: int, device: torch.device) -> int:
    """How many stretches to cut the keys into, so that all of the GPU has something to do, twice over."""
    cores = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    wanted = max(1, 2 * cores // programs)
    return int(min(MOST_SPLITS, 2 ** (wanted.bit_length() - 1)))
