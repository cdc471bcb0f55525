"""Attention over paged keys and values, which reads of each sequence what is there, and no more.

Three ways, the first of which works is taken: flash-attn, the Triton kernels of kernels.py, torch's SDPA over gathered
pages. The last one needs the host to know the lengths, so it is not captured in CUDA graphs; it is what the CPU uses.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.errors import ModelsError

logger = logging.getLogger(__name__)

Choice = Literal["auto", "flash", "triton", "sdpa"]


@dataclass(frozen=True, slots=True)
class Context:
    """What each of n sequences has in its pages.

    ``tables`` (n, most pages) int32: its pages in order, 0 where there is none. ``lengths`` (n,) int32: its tokens, the
    new ones included. ``known``: the same two as the host knows them; empty where it is being captured.
    """

    tables: Tensor
    lengths: Tensor
    known: Sequence[tuple[Sequence[int], int]] = ()


class Attention(Protocol):
    """``keys`` and ``values``: one layer's pages (pages, page size, kv heads, head dim)."""

    name: str
    captures: bool
    """Whether it can be captured in a CUDA graph."""

    def decode(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        """One query a sequence: (n, heads, head dim) to the same."""

    def prefill(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        """The last queries of one sequence, in order: (count, heads, head dim) to the same. Each sees what is before it
        and itself."""


class Sdpa:
    """torch's scaled_dot_product_attention, sequence by sequence over its pages, gathered."""

    name = "sdpa"
    captures = False

    def decode(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        out = torch.empty_like(queries)
        for row, (pages, length) in enumerate(context.known):
            k, v = (_gathered(part, pages, length) for part in (keys, values))
            out[row] = _sdpa(queries[row][None], k, v, None)[0]
        return out

    def prefill(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        ((pages, length),) = context.known
        k, v = (_gathered(part, pages, length) for part in (keys, values))
        count = queries.shape[0]
        places = torch.arange(length, device=queries.device)
        return _sdpa(queries, k, v, places <= places[length - count :, None])


def _gathered(part: Tensor, pages: Sequence[int], length: int) -> Tensor:
    """(kv heads, length, head dim) out of one layer's pages."""
    size = part.shape[1]
    used = torch.tensor(pages[: -(-length // size)], device=part.device)
    return part[used].flatten(0, 1)[:length].transpose(0, 1)


def _sdpa(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    attended = functional.scaled_dot_product_attention(
        queries.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, enable_gqa=True
    )
    return attended[0].transpose(0, 1)


class Flash:
    """flash-attn's kernel for paged caches (Dao 2023, arXiv:2307.08691). Its pages hold multiples of 256 tokens."""

    name = "flash"
    captures = True

    def __init__(self) -> None:
        from flash_attn import flash_attn_with_kvcache

        self._attend: Callable[..., Tensor] = flash_attn_with_kvcache

    def decode(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        return self._paged(queries[:, None], keys, values, context)[:, 0]

    def prefill(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        return self._paged(queries[None], keys, values, context)[0]

    def _paged(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        return self._attend(
            queries, keys, values, cache_seqlens=context.lengths, block_table=context.tables, causal=True
        )


class Triton:
    """Our own kernels (kernels.py): split over the keys for decoding, flash attention for prompts."""

    name = "triton"
    captures = True

    def __init__(self) -> None:
        from voxrtc.models.gpu import kernels

        self._kernels = kernels

    def decode(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        return self._kernels.decode(queries, keys, values, context.tables, context.lengths)

    def prefill(self, queries: Tensor, keys: Tensor, values: Tensor, context: Context) -> Tensor:
        return self._kernels.prefill(queries, keys, values, context.tables[0], context.lengths)


KINDS: dict[str, type[Flash] | type[Triton]] = {"flash": Flash, "triton": Triton}
"""From the fastest; sdpa works everywhere."""


def choose(wanted: Choice, device: torch.device, page_size: int, dtype: torch.dtype = torch.bfloat16) -> Attention:
    """The attention for ``wanted`` in ``dtype``, tried before it is taken. ``auto``: the fastest that works here.

    Raises ModelsError where what is wanted does not work."""
    if wanted == "sdpa":
        return Sdpa()
    lacking = []
    for name, kind in KINDS.items():
        reason = _missing(name, device, page_size, dtype) if wanted in ("auto", name) else ""
        if reason and wanted == name:
            raise ModelsError(f'models.attention = "{wanted}" does not work here: {reason}; "auto" takes what does')
        if reason:
            lacking.append(f"not {name}: {reason}")
        elif wanted in ("auto", name):
            _tell(name, lacking)
            return kind()
    if device.type == "cuda":
        logger.warning("attention falls back to sdpa, which is slow: no CUDA graphs (%s)", "; ".join(lacking))
    return Sdpa()


def _tell(name: str, lacking: Sequence[str]) -> None:
    logger.info("attention by %s%s", name, f" ({'; '.join(lacking)})" if lacking else "")


def _missing(name: str, device: torch.device, page_size: int, dtype: torch.dtype) -> str:
    """Why ``name`` does not work here; empty where it does."""
    if device.type != "cuda":
        return "it needs a CUDA device"
    if name == "flash" and page_size % 256:
        return "its pages hold multiples of 256 tokens"
    if name == "flash" and dtype == torch.float32:
        return "it knows no float32"
    if not _installed("flash_attn" if name == "flash" else "triton"):
        return f"{'flash-attn' if name == 'flash' else 'triton'} is not installed"
    try:
        _try(KINDS[name](), device, page_size, dtype)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - no C compiler, built for another torch, an old GPU: all the same
        lines = str(error).strip().splitlines()
        return f"it fails with {type(error).__name__}{f': {lines[0]}' if lines else ''}"
    return ""


def _try(attention: Attention, device: torch.device, page_size: int, dtype: torch.dtype) -> None:
    """A step and a prompt of no content: kernels are compiled where they are first used."""
    heads, kv_heads, dim = 8, 2, 128
    pages = torch.zeros(2, page_size, kv_heads, dim, dtype=dtype, device=device)
    context = Context(
        torch.ones(1, 1, dtype=torch.int32, device=device), torch.full((1,), 4, dtype=torch.int32, device=device)
    )
    for queries, attend in ((1, attention.decode), (4, attention.prefill)):
        given = torch.zeros(queries, heads, dim, dtype=dtype, device=device)
        attend(given, pages, pages, context).sum().item()


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
