"""Voxtral, Chatterbox and whisper on one GPU: a section of docs/capacity.md (capacity.py). By arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voxrtc.models.chatterbox import sizing

Cells = list[str]

GPUS = {"24 GB (A10G)": 23.6e9, "48 GB (L40S)": 47.7e9, "80 GB (H100)": 85.0e9}
"""Bytes that a program sees of each."""
CALLS = (8, 32)
"""Of server.max_calls: the default, and more than there are clauses at once."""


def voice(calls: int) -> int:
    """Bytes of Chatterbox, multilingual, in a server of so many calls."""
    return sizing.taken(False, sizing.rows(calls))


def section(
    weights: Callable[[str], float], beside: float, context: int, token_bytes: float, quantize: Sequence[str]
) -> str:
    """``weights``: bytes of Voxtral with that models.quantize. ``beside``: neither these nor the voice's.
    ``token_bytes``: of each of the ``context`` tokens of a conversation."""
    head = ["GPU", "`models.quantize`", "Voxtral, GB"]
    head += [f"left with {calls} calls, GB (conversations)" for calls in CALLS]
    rows = [head]
    for gpu, memory in GPUS.items():
        for bits in quantize:
            left = [max(0.0, memory - beside - weights(bits) - voice(calls)) for calls in CALLS]
            cells = [f"{room / 1e9:.1f} ({int(room / (context * token_bytes))})" for room in left]
            rows.append([gpu, bits, f"{weights(bits) / 1e9:.1f}", *cells])
    return SECTION.format(
        voices=" and ".join(f"{voice(calls) / 1e9:.1f} GB for {calls} calls" for calls in CALLS),
        row=f"{sizing.MULTILINGUAL.row / 1e9:.2f}",
        rows=sizing.ROWS,
        context=f"{context:,}",
        table=lines(rows),
    )


def lines(rows: list[Cells]) -> str:
    """A table; the first row is its head."""
    written = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([written[0], "|" + "---|" * len(rows[0]), *written[1:]])


SECTION = """\
## Voxtral, Chatterbox and whisper on one GPU
Chatterbox takes {voices}: {row} GB for each clause that it works on at once,
which are as many as `server.max_calls`, {rows} at the most, or `tts.clauses_at_once`; and 3 GB of weights and working
memory. What is left is for conversations; in brackets, how many of {context} tokens.

{table}

Where fewer conversations have room than there are calls, the calls go on, and those that were silent the longest are
read again when they speak. For 32 calls on 24 GB, set `models.quantize = "int8"`, or `tts.clauses_at_once = 8`: a
caller who finds none free waits for some tenths of a second. What has no room at all is refused at the start, with a
sentence that says what the voice takes and what to lower."""
