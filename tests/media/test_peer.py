"""A stock aiortc caller against a Peer, over the machine's own addresses."""

import asyncio
import gc
import json
import threading
import weakref
from typing import Any

import numpy as np
import psutil
import pytest

from tests.media.callers import Caller, clip, likeness
from tests.media.conftest import Call
from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_RATE, Block, Mark, Samples, resample
from voxrtc.errors import SdpError, VoxrtcError
from voxrtc.events import MediaStats
from voxrtc.media import peer as peer_module
from voxrtc.media.channel import UNSENT
from voxrtc.media.peer import Peer
from voxrtc.media.sdp import MAX_CANDIDATES
from voxrtc.plain import Plain
from voxrtc.settings import Media, Settings

SPEECH = clip("jfk")[: 3 * HEARD_RATE]
TONE: Samples = (0.3 * np.sin(2 * np.pi * 440 * np.arange(SPOKEN_RATE) / SPOKEN_RATE)).astype(np.float32)
pytestmark = pytest.mark.timeout(60)


async def listen(peer: Peer, seconds: float) -> list[Block]:
    """The first ``seconds`` of what the peer hears."""
    blocks: list[Block] = []
    async for block in peer.ears:
        blocks.append(block)
        if len(blocks) * BLOCK >= seconds * HEARD_RATE:
            break
    return blocks


async def test_speech_comes_in_whole(call: Call) -> None:
    _, peer = await call(SPEECH)
    blocks = await listen(peer, 4)
    assert [block.position for block in blocks] == [n * BLOCK for n in range(200)]
    assert likeness(np.concatenate([block.samples for block in blocks]), SPEECH) > 0.95
    stats = peer.stats()
    assert stats["received"] > 150
    assert stats["lost"] == stats["late"] == 0
    assert stats["route"] == "direct"
    assert MediaStats(call="x", at=0, time=0.0, **stats).to_json()["buffer_ms"] > 0


async def test_a_tone_goes_out_whole(call: Call) -> None:
    caller, peer = await call()
    mark, loop = Mark(), asyncio.get_running_loop()
    asked = loop.time()
    await peer.mouth.play(TONE, mark)
    await mark.begun.wait()
    assert mark.begun_at is not None
    assert mark.begun_at - asked < 0.5
    await peer.mouth.drained()
    async with asyncio.timeout(10):
        while sum(part.size for part in caller.heard) < 1.8 * 48_000:
            caller.heard_some.clear()
            await caller.heard_some.wait()
    heard = resample(np.concatenate(caller.heard), 48_000, SPOKEN_RATE)
    assert likeness(heard, TONE) > 0.95
    assert mark.heard == mark.queued == TONE.size


async def test_messages_go_both_ways_and_wait_for_the_channel() -> None:
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), Settings())
    came: asyncio.Queue[str | bytes] = asyncio.Queue()
    peer.on_message = came.put_nowait
    for n in range(UNSENT + 3):
        peer.send(json.dumps({"n": n}))
    await caller.take(peer.sdp)
    async with asyncio.timeout(10):
        await caller.opened.wait()
        numbers = [json.loads(await caller.messages.get())["n"] for _ in range(UNSENT)]
        caller.channel.send(json.dumps({"type": "text", "text": "grüß dich"}))
        assert json.loads(await came.get()) == {"type": "text", "text": "grüß dich"}
        peer.send(json.dumps({"type": "späte"}))
        assert json.loads(await caller.messages.get()) == {"type": "späte"}
    assert numbers == list(range(3, UNSENT + 3))
    assert peer.channel.unsent == 3
    await caller.close()
    assert await peer.closed() == "hangup"
    peer.send("after the end")


async def test_a_message_that_is_too_long_is_not_taken_and_explained(call: Call) -> None:
    caller, peer = await call()
    good: asyncio.Queue[str | bytes] = asyncio.Queue()
    bad: list[str] = []
    peer.on_message, peer.on_bad_message = good.put_nowait, bad.append
    await caller.opened.wait()
    for message in ["y" * (Plain.max_message + 1), "ü" * (Plain.max_message // 2 + 1), b"\x00\xff", "fine"]:
        caller.channel.send(message)
    async with asyncio.timeout(10):
        assert await good.get() == b"\x00\xff"
        assert await good.get() == "fine"
    assert [str(Plain.max_message) in sentence for sentence in bad] == [True, True]


async def test_a_handler_that_breaks_ends_the_peer_with_a_reason(call: Call) -> None:
    caller, peer = await call()

    def broken(_: str | bytes) -> None:
        raise RuntimeError("out of order")

    peer.on_message = broken
    await caller.opened.wait()
    caller.channel.send("{}")
    async with asyncio.timeout(10):
        assert await peer.closed() == "error"
    assert "RuntimeError" in peer.detail
    assert "out of order" not in peer.detail, "its message may hold what a caller said"


async def test_an_encoder_that_breaks_ends_the_peer_with_a_reason(call: Call) -> None:
    _, peer = await call()

    def broken(_: Samples) -> bytes:
        raise RuntimeError("no more codec")

    peer._mouth._encoder.encode = broken  # type: ignore[method-assign]
    await peer.mouth.play(TONE, Mark())
    async with asyncio.timeout(10):
        assert await peer.closed() == "error"
    assert "no more codec" in peer.detail


async def test_trickled_candidates_connect_a_caller_who_offered_none() -> None:
    caller = Caller()
    offer = await caller.offer()
    found = [line for line in offer.splitlines() if line.startswith("a=candidate")]
    bare = "\r\n".join(line for line in offer.splitlines() if "candidate" not in line) + "\r\n"
    peer = await Peer.answer(bare, Settings())
    for line in found[: len(found) // 2]:
        await peer.add_candidate(line.removeprefix("a="), "0", 0)
    await peer.add_candidate("candidate:1 1 udp 1 somewhere.local 5000 typ host", "0", 0)
    await peer.add_candidate("", "0", 0)
    with pytest.raises(SdpError, match="not an ICE candidate"):
        await peer.add_candidate("rubbish", "0", 0)
    again = [peer.add_candidate(found[0], None, 0) for _ in range(MAX_CANDIDATES)]
    refusals = await asyncio.gather(*again, return_exceptions=True)
    assert "More than 64" in str(refusals[-1])
    await caller.take(peer.sdp)
    await peer.connected()
    await caller.close()
    await peer.close()
    await peer.add_candidate("", None, None)


async def test_a_caller_who_never_comes_is_given_up() -> None:
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), Settings(media=Media(connect_timeout_s=0.3)))
    with pytest.raises(VoxrtcError, match=r"within 0\.3 s"):
        await peer.connected()
    assert await peer.closed() == "lost"
    assert [block async for block in peer.ears] == []
    await caller.close()


async def test_a_caller_who_vanishes_is_lost(call: Call) -> None:
    caller, peer = await call(SPEECH, Media(lost_after_s=1.0))
    await listen(peer, 0.5)
    began = asyncio.get_running_loop().time()
    caller.vanish()
    async with asyncio.timeout(10):
        assert await peer.closed() == "lost"
    assert asyncio.get_running_loop().time() - began > 0.9
    assert "Nothing came" in peer.detail


async def test_a_caller_who_sends_nothing_but_is_there_is_kept(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    answers = peer_module.seam.answers

    async def ask(*args: Any) -> bool:
        asked.append(await answers(*args))
        return asked[-1]

    monkeypatch.setattr(peer_module.seam, "answers", ask)
    caller, peer = await call(None, Media(lost_after_s=0.6))
    caller.pc.getSenders()[0]._enabled = False  # a microphone taken away: no RTP at all
    blocks = await listen(peer, 2.5)
    assert len(asked) >= 2
    assert all(asked)
    assert not peer._gone.is_set()
    assert np.abs(blocks[-1].samples).max() == 0


@pytest.mark.parametrize("how", ["connection", "channel"])
async def test_either_way_of_hanging_up_ends_it(call: Call, how: str) -> None:
    caller, peer = await call(SPEECH)
    await caller.opened.wait()
    await listen(peer, 0.1)
    if how == "connection":
        await caller.pc.close()
    else:
        caller.channel.close()
    async with asyncio.timeout(10):
        assert await peer.closed() == "hangup"
        _ = [block async for block in peer.ears]
        await peer.mouth.play(TONE, Mark())
        await peer.mouth.drained()


async def test_closing_twice_or_before_connecting_is_fine(call: Call) -> None:
    _, peer = await call()
    await asyncio.gather(peer.close(), peer.close())
    assert await peer.closed() == "closed"
    await peer.close()
    caller = Caller()
    early = await Peer.answer(await caller.offer(), Settings())
    await early.close()
    with pytest.raises(VoxrtcError, match="before the call was connected"):
        await early.connected()
    await caller.close()


async def test_a_caller_who_does_not_listen_does_not_hold_up_play() -> None:
    caller = Caller()
    offer = (await caller.offer()).replace("a=sendrecv", "a=sendonly")
    peer = await Peer.answer(offer, Settings())
    marks = [Mark() for _ in range(100)]
    async with asyncio.timeout(10):
        for mark in marks:
            await peer.mouth.play(TONE, mark)
        await peer.mouth.drained()
    assert {mark.heard for mark in marks} == {0}, "nobody listens"
    await peer.close()
    await caller.close()


async def test_twenty_calls_leave_nothing_behind() -> None:
    async def one() -> weakref.ref[Peer]:
        caller = Caller(SPEECH)
        peer = await Peer.answer(await caller.offer(), Settings())
        await caller.take(peer.sdp)
        await peer.connected()
        await peer.mouth.play(TONE, Mark())
        await listen(peer, 0.1)
        await caller.close()
        await peer.closed()
        return weakref.ref(peer)

    await one()
    process = psutil.Process()
    before, threads, descriptors = asyncio.all_tasks(), threading.active_count(), process.num_fds()
    peers = [await one() for _ in range(20)]
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=10)
    gc.collect()
    assert not asyncio.all_tasks() - before
    assert threading.active_count() <= threads + 1  # the default executor, in which the caller encodes
    assert process.num_fds() <= descriptors
    assert sum(peer() is not None for peer in peers) <= 1  # the last one's frames may still be about
