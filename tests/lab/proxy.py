"""The impairment proxies of the lab, one before each media port of the server; told what to do on stdin.

Run in the namespace "cloud": ``python -m tests.lab.proxy HERE SERVER FIRST LAST``. A line in is a JSON object:

- {"up": {...}, "down": {...}}, fields of voxrtc.bench.impair.Impairment: what the two ways do from now on;
- {"since": T, "until": T}, Unix times: what became of the RTP packets that came up in between.

Each is answered by one line; the second by {"rtp": ..., "lost": ..., "duplicated": ..., "reordered": ...}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from time import time
from typing import Any

from voxrtc.bench.impair import Impairment, Proxy, Way

KEPT = 100_000
"""RTP packets remembered: half an hour of one call."""

Fate = tuple[float, int, int, int]
"""When a packet came, and whether it was lost (for whatever reason), doubled, held back."""


def watch(way: Way, into: deque[Fate]) -> None:
    """Note what becomes of the RTP among the packets of ``way``."""
    take, counts = way.take, way.counts

    def noting(data: bytes, flow: Any) -> None:
        lost, duplicated, reordered = _lost(way), counts.duplicated, counts.reordered
        take(data, flow)
        if is_rtp(data):
            into.append((time(), _lost(way) - lost, counts.duplicated - duplicated, counts.reordered - reordered))

    way.take = noting  # type: ignore[method-assign]


def _lost(way: Way) -> int:
    return way.counts.lost + way.counts.overflowed + way.counts.down


def is_rtp(data: bytes) -> bool:
    """RTP, not RTCP, STUN or DTLS (RFC 7983, 7; RFC 5761, 4)."""
    return len(data) >= 12 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223


def count(fates: deque[Fate], since: float, until: float) -> dict[str, int]:
    """Sums over the packets that came in a stretch of time."""
    these = [fate for fate in fates if since <= fate[0] <= until]
    _, lost, duplicated, reordered = (sum(column) for column in zip((0.0, 0, 0, 0), *these, strict=True))
    return {"rtp": len(these), "lost": int(lost), "duplicated": int(duplicated), "reordered": int(reordered)}


async def main(here: str, server: str, first: int, last: int) -> None:
    proxies = [Proxy((server, port), host=here, port=port, seed=port) for port in range(first, last + 1)]
    fates: deque[Fate] = deque(maxlen=KEPT)
    for proxy in proxies:
        watch(proxy.up, fates)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        wanted = json.loads(line)
        if "since" in wanted:
            print(json.dumps(count(fates, **wanted)), flush=True)
            continue
        for proxy in proxies:
            proxy.up.impairment = Impairment(**wanted["up"])
            proxy.down.impairment = Impairment(**wanted["down"])
        print("{}", flush=True)
    for proxy in proxies:
        proxy.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
