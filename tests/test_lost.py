"""Callers that go without a word, lines that break at any joint: noticed, told with a reason, freed at once."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from tests.calling import Exchange, idle
from tests.dialogue.scripted import ScriptedModels
from voxrtc.call import Call
from voxrtc.dialogue.session import Session
from voxrtc.media import seam
from voxrtc.media.peer import Peer
from voxrtc.settings import Media

pytestmark = pytest.mark.timeout(120)

QUICK: dict[str, Any] = {"asr_s": 0.0, "first_token_s": 0.0, "token_s": 0.0, "voice_s": 0.0}
Open = Callable[..., Exchange]


@pytest.fixture
async def exchange() -> AsyncIterator[Open]:
    made: list[Exchange] = []

    def make(**sections: Any) -> Exchange:
        made.append(Exchange(ScriptedModels(**QUICK, replies=["A long story. " * 20]), **sections))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def peer_of(one: Exchange) -> Peer:
    (call,) = one.calls._calls.values()
    assert call.leg is not None
    assert isinstance(call.leg.line, Peer)
    return call.leg.line


async def lost(one: Exchange, reason: str) -> None:
    async with asyncio.timeout(15):
        # A look from outside: the metrics tell nobody.
        while not one.counted("voxrtc_connections_lost_total", reason=reason):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_killed_caller_is_missed_within_six_seconds(exchange: Open) -> None:
    one = exchange()
    guest, _ = await one.up()
    guest.say(type="text", text="Go on.")
    await guest.until("reply_started")
    guest.vanish()
    since = time.monotonic()
    await lost(one, "lost")
    took = time.monotonic() - since
    print(f"missed after {took:.2f} s")
    assert took < 6.0
    assert one.calls.active == 0
    assert one.calls.waiting == 1


def test_who_never_connects_has_ten_seconds() -> None:
    assert Media().connect_timeout_s == 10.0


async def test_a_dtls_handshake_that_fails_ends_the_call_with_a_reason(exchange: Open) -> None:
    """Somebody else's certificate: the fingerprint in the offer is not its own (RFC 8122, 6.2)."""
    one = exchange()
    guest = one.guest()
    offer = await guest.offer()
    lines = [line for line in offer.splitlines() if not line.startswith("a=fingerprint")]
    wrong = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
    at = next(i for i, line in enumerate(lines) if line.startswith("a=setup"))
    answered = await one.calls.offer("\r\n".join([*lines[:at], wrong, *lines[at:]]) + "\r\n")
    since = time.monotonic()
    await guest.take(answered.sdp)
    await one.settle(active=0, waiting=0)
    assert time.monotonic() - since < 8.0, "by itself, not by the timer"
    assert one.counted("voxrtc_calls_ended_total", reason="lost") == 1


@pytest.mark.parametrize("fault", [RuntimeError("no cipher"), OSError("no buffer")])
async def test_a_sender_that_fails_ends_the_call(exchange: Open, fault: Exception) -> None:
    one = exchange()
    await one.up()
    peer = peer_of(one)

    async def broken(data: bytes) -> None:
        raise fault

    peer._receiver.transport._send_rtp = broken
    await one.settle(active=0, waiting=0)
    assert one.counted("voxrtc_calls_ended_total", reason="error") == 1
    assert str(fault) in peer.detail


async def test_a_receiver_that_fails_ends_the_call(exchange: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    one = exchange()
    await one.up()
    peer = peer_of(one)

    def broken(data: bytes) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(seam, "parse", broken)
    await one.settle(active=0, waiting=0)
    assert one.counted("voxrtc_calls_ended_total", reason="error") == 1
    assert "RuntimeError" in peer.detail


@pytest.mark.parametrize("joint", ["ice", "dtls", "sctp"])
async def test_a_line_that_breaks_at_a_joint_leaves_the_session_waiting(exchange: Open, joint: str) -> None:
    """Whatever the transports below make of it, the call does not stay connected to nobody."""
    one = exchange()
    guest, first = await one.up()
    dtls = peer_of(one)._receiver.transport
    if joint == "ice":
        await dtls.transport._connection.close()
    elif joint == "dtls":
        await dtls.stop()
    else:
        await guest.pc.sctp._abort()  # the other side's, in mid-call (RFC 9260, 9.1)
    await one.settle(active=0, waiting=1)
    _, again = await one.up(first.resume)
    assert again.session == first.session


async def test_thirty_calls_leave_nothing_behind(exchange: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third hangs up, a third moves to another line first, a third is killed."""
    one = exchange(media={"lost_after_s": 1.0}, dialogue={"resume_s": 0.2}, server={"max_calls": 20})
    alive: list[weakref.ref[Any]] = []
    for kind in (Peer, Call, Session):
        make = kind.__init__

        def noted(self: Any, *a: Any, make: Any = make, **k: Any) -> None:
            alive.append(weakref.ref(self))
            make(self, *a, **k)

        monkeypatch.setattr(kind, "__init__", noted)

    async def call(how: str) -> None:
        guest, first = await one.up()
        guest.say(type="text", text="Go on.")
        await guest.until("reply_started")
        if how == "moves":
            moved, _ = await one.up(first.resume)
            await guest.cut()
            guest = moved
        if how == "killed":
            guest.vanish()
        else:
            await one.calls.hang_up(first.session)

    async def ten() -> None:
        await asyncio.gather(*(call(how) for how in ["hangs up", "moves", "killed"] * 3 + ["killed"]))
        await one.settle(active=0, waiting=0)
        guests, one.guests = one.guests, []
        await asyncio.gather(*(guest.close() for guest in guests))

    def tell() -> None:
        for task in asyncio.all_tasks():  # shown where the test's time runs out
            task.print_stack(limit=8, file=sys.stdout)

    process, before = psutil.Process(), asyncio.all_tasks()
    telling = asyncio.get_running_loop().call_later(60, tell)
    await ten()
    descriptors, threads = process.num_fds(), threading.active_count()
    for _ in range(2):
        await ten()
    telling.cancel()
    left = await idle(before)
    gc.collect()
    assert not left
    assert process.num_fds() <= descriptors
    assert threading.active_count() <= threads + 1
    assert len(alive) > 90
    assert sum(ref() is not None for ref in alive) <= 3, "the last ones' frames may still be about"
