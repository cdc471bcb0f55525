"""A caller whose address changes in mid-call: the reply goes on, on the new network, where it was heard last."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest

from tests.lab.figures import FIGURES
from tests.lab.lab import Lab, Wall
from tests.lab.running import Caller

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="session")]

SOUND_S = 5.0
"""More than any change may take on a busy machine; the target is 2 s, and what it takes is among the figures."""


async def begin_a_story(caller: Caller) -> dict[str, Any]:
    """A call in which the assistant has begun to speak at length; the reply's beginning."""
    await caller.do("connect")
    started = await caller.do("next", event="call_started")
    reply: dict[str, Any] = await caller.do("say", text="Tell me a long story about a ship.", event="reply_started")
    await caller.do("sound", since=0.0)
    assert not started["resumed"]
    return reply


@pytest.mark.parametrize(
    ("way", "wall", "route"),
    [
        pytest.param(None, "open", "direct", id="Wi-Fi to mobile"),
        pytest.param("tls", "web only", "relay", id="Wi-Fi to nothing but TLS"),
    ],
)
async def test_the_address_changes_in_mid_call(
    lab: Lab, caller: Caller, request: pytest.FixtureRequest, way: str | None, wall: Wall, route: str
) -> None:
    """The caller comes back with its token as soon as its system tells it, and hears the same reply go on."""
    reply = await begin_a_story(caller)
    changed = monotonic()
    lab.on_the_road()
    lab.wall(wall)
    moved = await caller.do("move", turn=way)
    heard = await caller.do("sound", since=changed) - changed
    started = await caller.do("next", event="call_started")
    times = {"connect": moved["connect_ms"], "dial": moved["dial_ms"], "sound again": 1e3 * heard}
    FIGURES.note("changing networks, ms", request.node.callspec.id, **times)
    assert started["resumed"]
    assert started["call"] == reply["call"]
    assert (await caller.do("stats"))["route"] == route
    spoken = await caller.do("next", event="reply_spoken")
    assert spoken["reply"] == reply["reply"], "the reply that was being spoken, and no other"
    assert heard <= SOUND_S
    assert await caller.do("hang_up") is None


async def test_a_lift(lab: Lab, caller: Caller) -> None:
    """Without any network for longer than a caller needs to count as lost: the session waits, and the reply goes on."""
    reply = await begin_a_story(caller)
    lab.without_network()
    await asyncio.sleep(6.0)
    lab.on_the_road()
    back = monotonic()
    await caller.do("move")
    heard = await caller.do("sound", since=back) - back
    started = await caller.do("next", event="call_started")
    FIGURES.note("changing networks, ms", "6 s without any", **{"sound again": 1e3 * heard})
    assert started["resumed"]
    assert started["call"] == reply["call"]
    assert heard <= SOUND_S
    assert await caller.do("hang_up") is None
