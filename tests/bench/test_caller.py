"""A real call to a server that answers with tones: what the caller reads, and what it says when a call goes wrong."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tone_server import Behaviour, speech

from voxrtc.bench.clip import Clip
from voxrtc.bench.conversation import Patience, converse, measuring
from voxrtc.client.client import Client
from voxrtc.client.failed import CallFailed

QUICK = Patience(answer_s=1.0, reply_s=5.0, quiet_s=0.45, lead_s=0.2)


async def test_the_caller_reads_what_the_server_did(serve):
    """The proof of the measuring: a tone at a known instant after the end of speech is read to within a few ms.

    Where the machine is busy, single readings are off, since the server, which runs in this very process, is late
    itself; the best of four is not. What is read on a quiet one stands in docs/benchmarks.md.
    """
    clip = Clip.of("clip", speech())
    server = await serve(Behaviour(ends=(clip.speech_end,), delay_s=0.5))
    caller = measuring(server.url)
    try:
        await caller.connect()
        turns = await converse(caller, [clip] * 4, QUICK)
        line = server.lines["s1"]
        read = [turn.voice_to_voice_ms(caller.ear) or 0.0 for turn in turns]
        did = [(sent - end) * 1e3 for sent, end in zip(line.mouth.sent, line.speech_ended, strict=True)]
        errors = [a - b for a, b in zip(read, did, strict=True)]
        assert min(map(abs, errors)) < 5.0, errors
        assert max(map(abs, errors)) < 200.0, errors
        assert [turn.transcript for turn in turns] == ["one two three"] * 4
        assert caller.started["speaks"] == "a tone"
        assert caller.ear.lost == 0
        assert 0 < (caller.offer_ms or 0) < (caller.connect_ms or 0)
    finally:
        await caller.close()
    assert server.hung_up == ["s1"]
    assert caller.ended == "hung up"


async def test_false_cutoff_is_counted(serve):
    clip = Clip.of("clip", speech())
    server = await serve(Behaviour(ends=(clip.speech_end,), early_s=0.3, tone_s=0.2))
    caller = measuring(server.url)
    try:
        await caller.connect()
        (turn,) = await converse(caller, [clip], QUICK)
        assert turn.false_cutoff(caller.ear)
        assert turn.answered(caller.ear)
        assert (turn.voice_to_voice_ms(caller.ear) or 0.0) > 400.0
    finally:
        await caller.close()


async def test_no_answer_is_waited_for_and_counted(serve):
    clip = Clip.of("clip", speech(0.3))
    server = await serve(Behaviour(ends=(clip.speech_end,), answers=False))
    caller = measuring(server.url)
    try:
        await caller.connect()
        turns = await converse(caller, [clip, clip], Patience(answer_s=0.5, lead_s=0.2))
        assert [turn.row(caller.ear, words=False)["failed"] for turn in turns] == ["no answer within 0.5 s"] * 2
    finally:
        await caller.close()


async def test_server_without_events_is_measured_too(serve):
    clip = Clip.of("clip", speech(0.3))
    server = await serve(Behaviour(ends=(clip.speech_end,), events=False))
    caller = measuring(server.url)
    try:
        await caller.connect()
        turns = await converse(caller, [clip, clip], QUICK)
        assert all(turn.answered(caller.ear) for turn in turns)
        assert turns[0].metrics == {}
    finally:
        await caller.close()


@pytest.mark.parametrize(("status", "retry_after"), [(503, 7), (422, None), (401, None)])
async def test_refused(serve, status: int, retry_after: int | None):
    server = await serve(Behaviour(refuse=status))
    caller = measuring(server.url)
    try:
        with pytest.raises(CallFailed, match="All lines are busy") as refused:
            await caller.connect()
        assert (refused.value.status, refused.value.retry_after) == (status, retry_after)
    finally:
        await caller.close()


async def test_nobody_listens():
    caller = measuring("http://127.0.0.1:1")
    try:
        with pytest.raises(CallFailed, match="no answer"):
            await caller.connect()
    finally:
        await caller.close()


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"sdp": 5}', '{"sdp": "nonsense"}', '{"sdp": "v=0\\r\\n"}'])
async def test_answers_that_are_none(body: str):
    async def offer(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/offer", offer)
    server = TestServer(app)
    await server.start_server()
    caller = measuring(str(server.make_url("/")))
    try:
        with pytest.raises(CallFailed):
            await caller.connect()
    finally:
        await caller.close()
        await server.close()


async def test_server_ends_the_call(serve):
    clip = Clip.of("clip", speech())
    server = await serve(Behaviour(ends=(clip.speech_end,), hang_up_s=0.3))
    caller = measuring(server.url)
    try:
        await caller.connect()
        turns = await converse(caller, [clip, clip], QUICK)
        assert [turn.failed for turn in turns] == ["shutdown: the test says so"]
        assert caller.ended == "shutdown: the test says so"
    finally:
        await caller.close()
    assert server.hung_up == []


async def test_server_dies_in_mid_call(serve):
    clip = Clip.of("clip", speech())
    server = await serve(Behaviour(ends=(clip.speech_end,), answers=False))
    caller = Client(server.url, silent_s=0.3, reconnect_s=0.0)
    try:
        await caller.connect()
        await server.shut_port()
        turns = await converse(caller, [clip, clip], Patience(answer_s=30.0, lead_s=0.0))
        assert (caller.ended or "").startswith("the server is gone")
        assert len(turns) <= 1
    finally:
        await caller.close()


async def test_messages_that_are_no_events_do_no_harm(serve, caplog: pytest.LogCaptureFixture):
    server = await serve(Behaviour())
    caller = measuring(server.url)
    seen: list[dict] = []
    caller.on_event = lambda event, now: seen.append(event)
    try:
        await caller.connect()
        line = server.lines["s1"]
        for message in ("{", "[1]", b"\xff\xfe"):
            line.channel.send(message)
        line.tell("notice", code="after", message="x")
        assert await caller.until(lambda: any(event.get("code") == "after" for event in seen), 5.0)
        assert "not JSON" in caplog.text
        assert caller.ended is None
    finally:
        await caller.close()
