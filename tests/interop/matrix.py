"""Makes docs/interop.md of what the last run of tests/interop measured.

Usage: python -m pytest tests/interop && python -m tests.interop.matrix
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.interop.clients import CLIENTS
from tests.interop.judging import Row

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "build" / "interop"
DOCUMENT = ROOT / "docs" / "interop.md"

HEAD = """\
# Clients that call voxrtc

Made by `python -m pytest tests/interop && python -m tests.interop.matrix`; not to be edited by hand. Each line is one
real call to a real server with its embedded models, last on {date}: the client offers, trickles its candidates,
says a recorded sentence, hears and records the reply, sends a command on the data channel and is answered, and hangs
up; after that nothing of the call is left in the server.

## The calls
"""
CALLS = (
    "client",
    "version",
    "answer, ms",
    "connected, ms",
    "speech in, WER",
    "speech out, WER",
    "data channel",
    "sends, ms",
    "DTX",
)
AFTER_CALLS = """
"answer": POST sent to answer read. "connected": POST sent to data channel open. "speech in": words that voxrtc
misheard; "speech out": words that whisper-base misheard in what the client recorded of the reply. "sends": length of
the client's packets, by what the server received. All on one machine with two shared cores: the times are no benchmark
(docs/benchmarks.md has those).

## What they offer
"""
OFFERS = ("client", "stack", "bundle", "fingerprint", "we are DTLS", "candidates", "audio", "Opus", "extensions")
AFTER_OFFERS = """
"bundle": the `a=mid`s of the lines that share a transport. "audio": payload formats; only Opus is answered. "Opus":
`a=fmtp` of the offer. "extensions": RTP header extensions offered; only `sdes:mid` is answered.

## Notes
"""


def rows() -> dict[str, Row]:
    """The rows of the last run, by client. Ends the program where one is missing."""
    found = {row.client: row for row in (Row(**json.loads(path.read_text())) for path in ROWS.glob("*.json"))}
    if missing := [client.name for client in CLIENTS if client.name not in found]:
        sys.exit(f"No call of {', '.join(missing)} is on record; run: python -m pytest tests/interop")
    return found


def document(rows: dict[str, Row]) -> str:
    """The whole document, from the rows of all clients."""
    calls = (_call(rows[client.name]) for client in CLIENTS)
    offers = (_offer(rows[client.name], client.stack) for client in CLIENTS)
    notes = (f"- **{client.name}** ({rows[client.name].runs_on}): {client.note}" for client in CLIENTS)
    date = max(row.date for row in rows.values())
    parts = (
        HEAD.format(date=date),
        _table(CALLS, calls),
        AFTER_CALLS.lstrip("\n"),
        _table(OFFERS, offers),
        AFTER_OFFERS.lstrip("\n"),
        "\n".join(notes) + "\n",
    )
    return "\n".join(parts)


def names(text: str) -> list[str]:
    """The clients in the first table of the document ``text``."""
    table = text.split("## The calls")[1].split('\n"answer"')[0]
    return [line.split("|")[1].strip() for line in table.strip().splitlines()[2:]]


def _call(row: Row) -> tuple[str, ...]:
    channel = f"{row.events} events down, {row.command}"
    return (
        *(row.client, row.version, str(row.answer_ms), str(row.connected_ms)),
        *(f"{row.wer_in:.0%}", f"{row.wer_out:.0%}", channel, f"{row.frame_ms:g}", "yes" if row.dtx else "no"),
    )


def _offer(row: Row, stack: str) -> tuple[str, ...]:
    opus = f"`{row.opus}`" if "=" in row.opus else row.opus
    return (
        *(row.client, stack, f"`{row.bundle}`", row.fingerprints, row.dtls),
        *(row.candidates, row.payloads, opus, str(row.extensions)),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(rows()))
    print(f"wrote {DOCUMENT.relative_to(ROOT)}")
