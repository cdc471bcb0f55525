"""What Chatterbox takes of a GPU's memory, known before anything is loaded. By arithmetic over the released shapes."""

from __future__ import annotations

from dataclasses import dataclass

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox.tokenizer import MOST

SPEECH = 720
"""Speech tokens of a piece of text at most: 29 s."""
TEXT = MOST
ROWS = 16
"""Clauses at once at the most, unless tts.clauses_at_once says otherwise. A row is free again when the tokens of its
clause are there, long before they were heard: a step of 32 rows takes 6.6 ms of an H100, and what it says 40 ms. So 16
rows keep up with many more listeners than 16; one who finds none free waits for some 50 steps."""
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes in bfloat16. ``weights``: of T3, S3Gen (its estimator in bfloat16, the rest in float32) and HiFT. ``row``:
    keys and values of one clause, of as many tokens as it may have (t3_memory.py)."""

    weights: int
    row: int


MULTILINGUAL = Size(weights=1_470_000_000, row=251_658_240)
TURBO = Size(weights=1_140_000_000, row=150_994_944)
WORK = 1_500_000_000
"""Bytes that graphs, libraries and compilers take beside these: assumed, not measured."""


def rows(calls: int, at_once: int = 0) -> int:
    """How many clauses there is memory for: ``at_once``, or where that is 0 as many as ``calls``, up to ROWS."""
    return max(FEWEST, at_once or min(ROWS, calls))


def taken(turbo: bool, count: int) -> int:
    """Bytes of everything, with ``count`` rows."""
    size = TURBO if turbo else MULTILINGUAL
    return size.weights + WORK + count * size.row


def check(turbo: bool, count: int, calls: int, free: int) -> None:
    """Raise ModelsError where ``free`` bytes do not do for a server of ``calls``: before anything is loaded."""
    needed = taken(turbo, count)
    if needed > free:
        size = TURBO if turbo else MULTILINGUAL
        raise ModelsError(
            f"GPU memory is too small for Chatterbox: it takes {needed / 1e9:.1f} GB for server.max_calls = {calls} "
            f"({count} clauses at once, {size.row / 1e9:.2f} GB each), and {free / 1e9:.1f} GB are free; {REMEDY}"
        )


REMEDY = (
    "lower server.max_calls or tts.clauses_at_once, end what else uses the GPU (nvidia-smi), "
    'or set tts.engine = "hibari"'
)
"""Where there is no memory for the voice."""
