"""The impairment proxies of the lab, one before each media port of the server; told what to do on stdin.

Run in the namespace "cloud": ``python -m tests.lab.proxy HERE SERVER FIRST LAST``. Each line in is a JSON object,
{"up": {...}, "down": {...}}, of the fields of voxrtc.bench.impair.Impairment: what the ways do from now on. It is
answered by the RTP packets since the line before: {"up": {"rtp": ..., "lost": ..., ...}, "down": {...}}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, fields
from typing import Any

from voxrtc.bench.impair import Impairment, Proxy, Way


@dataclass
class Rtp:
    """RTP packets of one direction. ``lost``: dropped, for whatever reason; the others arrived at least once."""

    rtp: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


def watch(way: Way, into: Rtp) -> None:
    """Count what becomes of the RTP among the packets of ``way``."""
    take = way.take

    def counting(data: bytes, flow: Any) -> None:
        counts = way.counts
        before = (counts.lost + counts.overflowed + counts.down, counts.duplicated, counts.reordered)
        take(data, flow)
        if not is_rtp(data):
            return
        into.rtp += 1
        into.lost += counts.lost + counts.overflowed + counts.down - before[0]
        into.duplicated += counts.duplicated - before[1]
        into.reordered += counts.reordered - before[2]

    way.take = counting  # type: ignore[method-assign]


def is_rtp(data: bytes) -> bool:
    """RTP, not RTCP, STUN or DTLS (RFC 7983, 7; RFC 5761, 4)."""
    return len(data) >= 12 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223


async def main(here: str, server: str, first: int, last: int) -> None:
    proxies = [Proxy((server, port), host=here, port=port, seed=port) for port in range(first, last + 1)]
    up, down = Rtp(), Rtp()
    for proxy in proxies:
        watch(proxy.up, up)
        watch(proxy.down, down)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        wanted = json.loads(line)
        for proxy in proxies:
            proxy.up.impairment = Impairment(**wanted.get("up", {}))
            proxy.down.impairment = Impairment(**wanted.get("down", {}))
        print(json.dumps({"up": asdict(up), "down": asdict(down)}), flush=True)
        for way in (up, down):
            for field in fields(way):
                setattr(way, field.name, 0)
    for proxy in proxies:
        proxy.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
