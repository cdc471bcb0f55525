"""Every way from a caller to the server, proved by what the internet counted and by what the server says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.figures import FIGURES
from tests.lab.lab import Lab, Route, Wall
from tests.lab.running import Caller

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="session")]

CALLS = 5
"""The connecting of this many calls is measured; the last of them talks."""

SLOW_MS = 5_000.0
"""More than any connection may take on a busy machine. What it does take is among the figures."""

ANSWER_MS = 1_000.0
"""The same of an answer; one that waited for a TURN server would take 5 s."""


async def calls(lab: Lab, caller: Caller, clip: Path, way: str | None) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """CALLS calls, one after another: how each connected, and what the last one heard and was told."""
    connected: list[dict[str, float]] = []
    told: dict[str, Any] = {}
    for number in range(CALLS):
        connected.append(await caller.do("connect", turn=way))
        if number == CALLS - 1:
            lab.counted()
            told = await caller.do("speak", clip=str(clip))
            told["counted"] = lab.counted()
        assert await caller.do("hang_up") is None, "it was up to the end"
    return connected, told


def note(label: str, connected: list[dict[str, float]]) -> None:
    kept = {name: [one[f"{name}_ms"] for one in connected] for name in ("offer", "connect", "dial")}
    FIGURES.note("connecting, ms", label, **kept)


def check_talk(told: dict[str, Any]) -> None:
    """The clip was understood and an answer was heard."""
    assert told["wer"] <= 0.25, told["transcript"]
    assert told["heard_s"] >= 0.5
    assert -45 < told["level_dbfs"] < -6
    assert told["stats"]["received"] >= 100


@pytest.mark.parametrize(
    ("way", "wall", "route", "carried"),
    [
        pytest.param(None, "open", "direct", "direct", id="direct"),
        pytest.param("udp", "open", "direct", "direct", id="direct, with TURN at hand"),
        pytest.param("udp", "turn only", "relay", "turn_udp", id="relay UDP"),
        pytest.param("tcp", "tcp only", "relay", "turn_tcp", id="relay TCP"),
        pytest.param("tls", "web only", "relay", "turn_tls", id="relay TLS"),
    ],
)
async def test_a_call(
    lab: Lab, caller: Caller, data: Path, request: pytest.FixtureRequest,
    way: str | None, wall: Wall, route: str, carried: Route,
) -> None:  # fmt: skip
    """Speech goes in and comes out, by the one way that is open."""
    lab.wall(wall)
    connected, told = await calls(lab, caller, data / "austen-0930.wav", way)
    note(request.node.callspec.id, connected)
    check_talk(told)
    assert told["stats"]["route"] == route
    counted = told["counted"]
    assert counted[carried] >= 200, counted
    assert (counted["relayed"] >= 200) == (route == "relay"), counted
    others = {"direct", "turn_udp", "turn_tcp", "turn_tls"} - {carried}
    assert all(counted[other] <= 10 for other in others), f"nothing to speak of went another way: {counted}"
    assert max(one["connect_ms"] for one in connected) <= SLOW_MS


async def test_the_turn_server_is_down(lab: Lab, caller: Caller, data: Path) -> None:
    """Its answer does not wait for it, and whoever needs no relay gets through; also a caller that relied on it."""
    lab.without_turn(True)
    connected, told = await calls(lab, caller, data / "austen-0930.wav", None)
    note("direct, TURN down", connected)
    assert max(one["offer_ms"] for one in connected) <= ANSWER_MS
    assert max(one["connect_ms"] for one in connected) <= SLOW_MS
    check_talk(told)
    assert told["stats"]["route"] == "direct"
    patient = await caller.do("connect", turn="udp")
    assert patient["offer_ms"] <= ANSWER_MS, "what it waits for, it waits for by itself"
    assert await caller.do("hang_up") is None


async def test_the_servers_firewall_is_shut(lab: Lab, caller: Caller, data: Path) -> None:
    """No UDP gets to the server, and the caller asks for no place on a TURN server: the server's own is the way."""
    lab.media_reached(False)
    connected, told = await calls(lab, caller, data / "austen-0930.wav", "stun")
    note("the server's relay", connected)
    check_talk(told)
    assert told["stats"]["route"] == "relay"
    counted = told["counted"]
    assert counted["turn_udp"] >= 200, counted
    assert counted["relayed"] >= 200, counted
    assert counted["direct"] <= 50, f"vain attempts: {counted}"
    assert max(one["connect_ms"] for one in connected) <= SLOW_MS
