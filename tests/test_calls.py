"""The switchboard, with stock WebRTC callers over the machine's own addresses and scripted models."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.calling import Exchange, Guest, idle
from tests.conftest import Open
from tests.dialogue.scripted import READY, ScriptedModels
from tests.media.callers import clip
from voxrtc import call as call_module
from voxrtc.asked import COMMANDS
from voxrtc.call import WAITING_LINES
from voxrtc.commands import Configure, HangUp, Interrupt
from voxrtc.errors import CallsFull, ConfigError, SdpError, UnknownCall
from voxrtc.events import Notice
from voxrtc.media.ice import Trickled
from voxrtc.media.peer import Peer
from voxrtc.models.wire import Answer, Heard, Said, ToolCall

pytestmark = pytest.mark.timeout(60)

QUICK: dict[str, Any] = {"asr_s": 0.0, "first_token_s": 0.0, "token_s": 0.0, "voice_s": 0.0, "replies": ["Yes."]}


class Breaking(ScriptedModels):
    """STAND-IN: answers break of what no model should raise."""

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        raise ZeroDivisionError(f"private: {ask.text}")
        yield Said("")


# -- one call ---------------------------------------------------------------------------------------------------


async def test_a_call_from_offer_to_hang_up(exchange: Open) -> None:
    one = exchange()
    before = asyncio.all_tasks()
    guest = one.guest()
    answered = await guest.dial(one.calls)
    assert one.calls.active == 1
    started = await guest.until("call_started")
    assert {k: v for k, v in started.items() if k not in ("time", "at")} == {
        "type": "call_started",
        "call": answered.session,
        "hears": READY.hears,
        "thinks": READY.thinks,
        "speaks": READY.speaks,
        "language": "en",
        "voice": "hibari",
        "interruptions": "on",
        "resumed": False,
    }
    assert answered.resume not in json.dumps(guest.told)
    await one.calls.hang_up(answered.session)
    assert one.calls.active == one.calls.waiting == 0
    assert (await guest.until("call_ended"))["reason"] == "hangup"
    await guest.cut()
    with pytest.raises(UnknownCall, match="may have ended"):
        await one.calls.hang_up(answered.session)
    await guest.close()
    assert await idle(before) == set()
    assert one.counted("voxrtc_calls_started_total") == 1
    assert one.counted("voxrtc_calls_ended_total", reason="hangup") == 1


async def test_two_hang_ups_at_once_are_one(exchange: Open) -> None:
    one = exchange()
    _, answered = await one.up()
    await asyncio.gather(one.calls.hang_up(answered.session), one.calls.hang_up(answered.session))
    assert one.counted("voxrtc_calls_ended_total", reason="hangup") == 1


async def test_the_end_is_told_behind_all_that_was_told_before(exchange: Open) -> None:
    """What waits on the data channel is not cut off with the line."""
    one = exchange()
    guest, answered = await one.up()
    call = one.calls._calls[answered.session]
    for number in range(400):
        call.emit(Notice(call=call.id, at=0, time=0.0, code=str(number), message="x" * 500))
    await one.calls.hang_up(answered.session)
    await guest.until("call_ended", reason="hangup")
    assert [e["code"] for e in guest.told if e["type"] == "notice"] == [str(n) for n in range(400)]


@pytest.mark.models
async def test_what_is_said_is_answered_aloud(exchange: Open, silero: Any) -> None:
    """The real voice detector on recorded speech; the words are scripted."""
    one = exchange(ScriptedModels(words=["hello there"], **QUICK), silero)
    guest, _ = await one.up(samples=clip("jfk")[16_000 // 4 : 2 * 16_000])
    assert (await guest.until("transcript", final=True))["text"] == "hello there"
    await guest.until("reply_started")
    assert (await guest.until("reply_ended"))["ended"] == "finished"
    await guest.until("media_stats")
    assert any(abs(part).max() > 0.05 for part in guest.heard), "the hum was heard"


# -- who is admitted ----------------------------------------------------------------------------------------------


async def test_a_full_house(exchange: Open) -> None:
    one = exchange(server={"max_calls": 1})
    _, first = await one.up()
    second = one.guest()
    offer = await second.offer()
    with pytest.raises(CallsFull, match="all 1 lines") as full:
        await one.calls.offer(offer)
    assert full.value.code == "full"
    assert full.value.retry_after > 0
    await one.calls.hang_up(first.session)
    await second.take((await one.calls.offer(offer)).sdp)
    await second.until("call_started")
    assert one.calls.active == 1


async def test_offers_at_the_same_moment_never_exceed_the_limit(exchange: Open) -> None:
    one = exchange(server={"max_calls": 3})
    offers = [await one.guest().offer() for _ in range(10)]
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, one.calls.active)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    results = await asyncio.gather(*(one.calls.offer(offer) for offer in offers), return_exceptions=True)
    watching.cancel()
    assert sum(isinstance(result, CallsFull) for result in results) == 7
    assert most == one.calls.active == 3


async def test_an_offer_that_cannot_be_answered_takes_no_line(exchange: Open) -> None:
    one = exchange(server={"max_calls": 1})
    for _ in range(3):
        with pytest.raises(SdpError):
            await one.calls.offer("v=0\r\n")
        assert one.calls.active == 0
    await one.up()


async def test_no_call_before_the_models_are_ready_but_a_session_comes_back(exchange: Open) -> None:
    models = ScriptedModels(ready=None)
    one = exchange(models)
    offer = await one.guest().offer()
    with pytest.raises(CallsFull) as full:
        await one.calls.offer(offer)
    assert full.value.code == "loading"
    models.ready = READY
    guest, answered = await one.up()
    models.ready = None  # the host died
    await guest.close()
    again = one.guest()
    assert (await again.dial(one.calls, answered.resume)).session == answered.session
    assert (await again.until("call_started"))["resumed"] is True


async def test_nobody_is_admitted_while_closing(exchange: Open) -> None:
    """Neither a new offer nor one that was being answered when the end began."""
    one = exchange()
    guest, _ = await one.up()
    late, later = await one.guest().offer(), await one.guest().offer()
    answering = asyncio.create_task(one.calls.offer(late))
    await asyncio.sleep(0)
    assert one.calls.active == 2
    await one.calls.close()
    for offering in (answering, one.calls.offer(later)):
        with pytest.raises(CallsFull) as full:
            await offering
        assert full.value.code == "closing"
    assert one.calls.active == 0
    assert (await guest.until("call_ended"))["reason"] == "shutdown"


# -- coming back --------------------------------------------------------------------------------------------------


async def test_a_caller_who_was_cut_off_gets_the_session_back(exchange: Open) -> None:
    one = exchange(ScriptedModels(**QUICK))
    guest, first = await one.up()
    guest.say(type="text", text="My name is Ada.")
    await guest.until("reply_ended", ended="finished")
    await guest.close()
    again = one.guest()
    second = await again.dial(one.calls, first.resume)
    assert (second.session, second.resume) == (first.session, first.resume)
    assert (await again.until("call_started"))["resumed"] is True
    assert (await again.until("transcript", turn=1))["text"] == "My name is Ada.", "what it may have missed"
    assert (await again.until("reply_ended", reply=1))["text"] == "Yes."
    again.say(type="text", text="What is my name?")
    await again.until("reply_started", reply=2)
    assert [line.text for line in one.models.answers[-1].history][:1] == ["My name is Ada."]
    assert one.counted("voxrtc_calls_started_total") == 1


async def test_the_old_peer_is_put_down_when_a_new_one_comes(exchange: Open) -> None:
    """A phone that changes networks offers anew while its old connection still looks alive."""
    one = exchange(server={"max_calls": 1})
    old, first = await one.up()
    new, second = await one.up(first.resume)
    assert second.session == first.session
    await old.until("call_moved", call=first.session)
    await old.cut()
    assert one.calls.active == 1
    assert not any(event["type"] == "call_ended" for event in old.told)
    new.say(type="text", text="Still there?")
    await new.until("reply_started")


async def test_a_session_is_kept_for_a_while_only(exchange: Open) -> None:
    one = exchange(dialogue={"resume_s": 0.2})
    guest, first = await one.up()
    await guest.close()
    await one.settle(active=0, waiting=0)
    assert one.counted("voxrtc_calls_ended_total", reason="hangup") == 1, "it had said goodbye"
    again = one.guest()
    second = await again.dial(one.calls, first.resume)
    assert second.session != first.session
    assert (await again.until("call_started"))["resumed"] is False


async def test_a_caller_who_vanishes_is_lost(exchange: Open) -> None:
    """No goodbye on any protocol; the session waits, then ends as lost."""
    one = exchange(media={"lost_after_s": 0.5}, dialogue={"resume_s": 0.3})
    guest, _ = await one.up()
    guest.vanish()
    await one.settle(active=0, waiting=1)
    await one.settle(active=0, waiting=0)
    assert one.counted("voxrtc_calls_ended_total", reason="lost") == 1


async def test_an_unknown_token_begins_a_new_session(exchange: Open) -> None:
    one = exchange()
    guest = one.guest()
    answered = await guest.dial(one.calls, "nobody-s")
    assert answered.resume != "nobody-s"
    assert (await guest.until("call_started"))["resumed"] is False


async def test_coming_back_to_a_full_house(exchange: Open) -> None:
    """A waiting session holds no line; who comes back to it needs one."""
    one = exchange(server={"max_calls": 1})
    guest, first = await one.up()
    await guest.close()
    await one.settle(active=0)
    other, held = await one.up()
    back = one.guest()
    offer = await back.offer()
    with pytest.raises(CallsFull):
        await one.calls.offer(offer, first.resume)
    await one.calls.hang_up(held.session)
    assert (await one.calls.offer(offer, first.resume)).session == first.session
    assert other.told


async def test_sessions_that_wait_are_bounded(exchange: Open) -> None:
    one = exchange(server={"max_calls": 2})
    for _ in range(4):
        guest, _ = await one.up()
        await guest.close()
        await one.settle(active=0)
    assert one.calls.waiting <= 3


async def test_all_that_wait_too_many_are_given_up(exchange: Open) -> None:
    """Calls whose lines went at once: the next one that begins makes an end of all that are too many."""
    one = exchange(server={"max_calls": 2})
    for _ in range(2):
        guests = [(await one.up())[0] for _ in range(2)]
        for guest in guests:
            await guest.close()
        await one.settle(active=0)
    assert one.calls.waiting == 4
    await one.up()
    await one.settle(active=1, waiting=2)


async def test_who_offers_again_too_fast_is_turned_away(exchange: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    one = exchange()
    _, first = await one.up()
    holding = asyncio.Event()
    close = Peer.close
    put_down: list[Peer] = []

    async def slow(peer: Peer) -> None:
        put_down.append(peer)
        if len(put_down) == WAITING_LINES:  # those that were superseded, and the one that is turned away
            holding.set()
        await holding.wait()
        await close(peer)

    monkeypatch.setattr(Peer, "close", slow)
    offers = [await one.guest().offer() for _ in range(WAITING_LINES + 1)]
    for offer in offers[:-1]:  # each is given up for the next
        await one.calls.offer(offer, first.resume)
    with pytest.raises(CallsFull, match="too often"):
        await one.calls.offer(offers[-1], first.resume)
    assert one.calls.active == 1


async def test_the_end_comes_through_however_many_peers_wait(exchange: Open) -> None:
    one = exchange()
    _, first = await one.up()
    offers = [await one.guest().offer() for _ in range(WAITING_LINES)]
    await asyncio.gather(*(one.calls.offer(offer, first.resume) for offer in offers))
    await one.calls.hang_up(first.session)
    assert one.calls.active == one.calls.waiting == 0


async def test_an_offer_while_the_call_ends_begins_another(exchange: Open) -> None:
    one = exchange()
    _, first = await one.up()
    offer = await one.guest().offer()
    ending = asyncio.create_task(one.calls.hang_up(first.session))
    await asyncio.sleep(0)
    assert (await one.calls.offer(offer, first.resume)).session != first.session
    await ending
    assert one.calls.active == 1


async def test_who_never_connects_is_given_up(exchange: Open) -> None:
    one = exchange(media={"connect_timeout_s": 0.3})
    await one.calls.offer(await one.guest().offer())
    await one.settle(active=0, waiting=0)
    assert one.counted("voxrtc_calls_ended_total", reason="lost") == 1


async def test_who_offers_anew_before_the_first_line_is_given_up(exchange: Open) -> None:
    """The first offer's time is over while the second one is being connected: that is no end of the call."""
    one = exchange(media={"connect_timeout_s": 1.5})
    first = await one.calls.offer(await one.guest().offer())
    await asyncio.sleep(1.0)
    guest = one.guest()
    second = await one.calls.offer(await guest.offer(), first.resume)
    await asyncio.sleep(0.7)
    await guest.take(second.sdp)
    assert (await guest.until("call_started"))["call"] == first.session == second.session


async def test_who_fails_to_come_back_may_try_again(exchange: Open) -> None:
    """A re-offer that never connects does not end the session."""
    one = exchange(media={"connect_timeout_s": 1.0})
    guest, first = await one.up()
    await guest.close()
    await one.settle(active=0, waiting=1)
    await one.calls.offer(await one.guest().offer(), first.resume)
    await one.settle(active=0, waiting=1)
    _, third = await one.up(first.resume)
    assert third.session == first.session


async def test_candidates_go_to_the_newest_peer(exchange: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Peer] = []

    async def note(peer: Peer, *candidate: object) -> None:
        got.append(peer)

    monkeypatch.setattr(Peer, "add_candidate", note)
    one = exchange()
    _, first = await one.up()
    leg = one.calls._calls[first.session].leg
    old = leg.line if leg is not None else None
    await one.calls.offer(await one.guest().offer(), first.resume)
    await one.calls.add_candidates(first.session, [Trickled("x", "0"), Trickled("")])
    assert len(got) == 2
    assert got[0] is got[1] is not old
    with pytest.raises(UnknownCall):
        await one.calls.add_candidates("nobody", [])


async def test_candidates_for_nobody(exchange: Open) -> None:
    one = exchange()
    guest, first = await one.up()
    await guest.close()
    await one.settle(active=0)
    with pytest.raises(UnknownCall, match="no WebRTC connection"):
        await one.calls.add_candidates(first.session, [])


# -- the data channel ---------------------------------------------------------------------------------------------


async def test_commands(exchange: Open) -> None:
    one = exchange(ScriptedModels(**QUICK | {"replies": ["A long story. " * 20]}))
    guest, _ = await one.up()
    guest.say(type="text", text="Tell me a story.")
    assert (await guest.until("transcript"))["text"] == "Tell me a story."
    await guest.until("state_changed", state="speaking")
    guest.say(type="interrupt")
    assert (await guest.until("reply_ended"))["ended"] == "interrupted"
    guest.say(type="push_to_talk", pressed=True)
    assert (await guest.until("notice"))["code"] == "not_push_to_talk"
    guest.say(type="config", interruptions="push-to-talk", language="de", voice="espeak")
    guest.say(type="push_to_talk", pressed=True)
    await guest.until("speech_started")
    guest.say(type="push_to_talk", pressed=False)
    assert (await guest.until("turn_dropped"))["reason"] == "no speech"
    guest.say(type="text", text="Und nun?")
    assert (await guest.until("transcript"))["language"] == "de"
    await guest.until("reply_started")
    guest.say(type="config", language="tlh")
    guest.say(type="config", voice="bark")
    assert (await guest.until("notice"))["code"] == "unsupported_language"
    assert "espeak" in (await guest.until("notice"))["message"]
    guest.say(type="hangup")
    assert (await guest.until("call_ended"))["reason"] == "hangup"
    await guest.cut()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "null",
        '{"type": "sing"}',
        '{"type": "text"}',
        '{"type": "text", "text": " "}',
        '{"type": "text", "text": "lone \\ud800"}',
        '{"type": "\\ud800"}',
        '{"type": "config", "language": "\\udfff"}',
        '{"type": "config", "interruptions": "maybe"}',
        '{"type": "push_to_talk", "pressed": "yes"}',
        '{"type": "interrupt", "now": true}',
        '{"type": "text", "text": ' + "9" * 5_000 + "}",
        "[" * 9_000,
        b'{"type": "hangup"}',
    ],
)
async def test_what_is_not_understood_is_answered_by_a_notice(exchange: Open, message: str | bytes) -> None:
    one = exchange()
    guest, _ = await one.up()
    guest.channel.send(message)
    notice = await guest.until("notice")
    assert notice["code"] == "bad_message"
    assert notice["message"].startswith("A message was not understood: ")
    guest.say(type="text", text="And yet we talk.")
    await guest.until("reply_started")


async def test_a_flood_of_messages_is_bounded(exchange: Open) -> None:
    one = exchange()
    guest, answered = await one.up()
    call = one.calls._calls[answered.session]
    for _ in range(20 * COMMANDS):  # in one go: nothing can be obeyed in between
        call.ask(Interrupt())
    assert call._asked.waiting == COMMANDS
    assert (await guest.until("notice"))["code"] == "too_many_messages"
    for number in range(500):
        guest.say(type="text", text=f"number {number}")
    guest.say(type="config", language="tlh")
    await guest.until("notice", code="unsupported_language")
    assert one.counted("voxrtc_notices_total", code="too_many_messages") < 20
    assert one.calls.active == 1


async def test_a_hang_up_is_heard_through_a_flood(exchange: Open) -> None:
    one = exchange()
    guest, answered = await one.up()
    call = one.calls._calls[answered.session]
    for _ in range(2 * COMMANDS):
        call.ask(Interrupt())
    call.ask(HangUp())
    await guest.until("call_ended", reason="hangup")


# -- what breaks --------------------------------------------------------------------------------------------------


async def test_a_session_that_breaks_ends_its_own_call(exchange: Open, caplog: pytest.LogCaptureFixture) -> None:
    """The models raise what they should not; another call's models do not."""
    one = exchange(Breaking())
    guest, _ = await one.up()
    other, unharmed = await one.up()
    guest.say(type="text", text="my secret")
    ended = await guest.until("call_ended")
    assert ended["reason"] == "error"
    assert ended["detail"]
    await guest.cut()
    assert one.calls.active == 1
    other.say(type="config", language="tlh")
    await other.until("notice", code="unsupported_language")
    await one.calls.hang_up(unharmed.session)
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_command_that_breaks_ends_its_own_call(
    exchange: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    words = "my " + "secret"

    def broken(self: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(call_module.Session, "interrupt", broken)
    one = exchange()
    guest, _ = await one.up()
    other, _ = await one.up()
    guest.say(type="interrupt")
    assert (await guest.until("call_ended"))["reason"] == "error"
    await guest.cut()
    assert one.calls.active == 1
    other.say(type="text", text="Still there?")
    await other.until("reply_started")
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_session_that_cannot_even_end(
    exchange: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its peer is freed all the same, and hanging up returns."""

    async def broken(self: object, reason: str, detail: str = "") -> None:
        raise RuntimeError("no way")

    one = exchange()
    guest, answered = await one.up()
    monkeypatch.setattr(call_module.Session, "close", broken)
    await one.calls.hang_up(answered.session)
    assert one.calls.active == 0
    await guest.cut()
    assert "did not end as it should" in caplog.text


async def test_close_ends_all_calls_in_whatever_state(exchange: Open) -> None:
    one = exchange()
    before = asyncio.all_tasks()
    talking, _ = await one.up()
    replying, _ = await one.up()
    replying.say(type="text", text="Go on.")
    await replying.until("reply_started")
    waiting, _ = await one.up()
    await waiting.close()
    connecting = one.guest()
    await one.calls.offer(await connecting.offer())
    await one.settle(active=3, waiting=1)
    await one.calls.close()
    assert one.calls.active == one.calls.waiting == 0
    for guest in (talking, replying):
        assert (await guest.until("call_ended"))["reason"] == "shutdown"
    await one.calls.close()
    for guest in one.guests:
        await guest.close()
    assert await idle(before) == set()


async def test_nothing_that_is_said_is_logged(exchange: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="voxrtc")
    one = exchange(ScriptedModels(**QUICK | {"replies": ["zebra crossing"]}))
    guest, answered = await one.up()
    guest.say(type="text", text="quince marmalade")
    await guest.until("reply_ended")
    guest.channel.send('{"type": "rhubarb"}')
    await guest.until("notice")
    await one.calls.hang_up(answered.session)
    assert answered.session in caplog.text
    for word in ("quince", "zebra", "rhubarb", answered.resume):
        assert word not in caplog.text


def test_a_guest_is_a_stock_caller() -> None:
    """Nothing of ours answers for the other side."""
    assert Guest.__mro__[1].__module__ == "tests.media.callers"


async def test_a_callers_function_over_the_data_channel(exchange: Open) -> None:
    call = '{"name": "door", "arguments": {"open": true}}'
    one = exchange(ScriptedModels(replies=[call, "The door is open."]))
    guest, _ = await one.up()
    guest.say(type="config", tools=[{"name": "door", "parameters": {"type": "object", "pattern": "x"}}])
    assert "uses pattern" in (await guest.until("notice", code="bad_config"))["message"]
    parameters = {"type": "object", "properties": {"open": {"type": "boolean"}}, "required": ["open"]}
    guest.say(type="config", tools=[{"name": "door", "description": "Move the door.", "parameters": parameters}])
    guest.say(type="text", text="Open the door, please.")
    called = await guest.until("tool_called")
    assert (called["name"], called["arguments"], called["local"]) == ("door", {"open": True}, False)
    guest.say(type="tool_result", id=called["id"], result="open")
    assert (await guest.until("tool_ended"))["ended"] == "finished"
    assert (await guest.until("reply_ended"))["text"] == "The door is open."
    assert one.counted("voxrtc_tool_calls_total", ended="finished") == 1


def test_functions_that_cannot_be_had_stop_the_start() -> None:
    with pytest.raises(ConfigError, match=r"dialogue\.tools: no\.such:thing"):
        Exchange(dialogue={"tools": ["no.such:thing"]})


async def test_a_call_at_its_longest_says_goodbye_and_ends(exchange: Open) -> None:
    one = exchange(dialogue={"idle_prompt_s": 0.0, "max_call_s": 10.0})
    guest, _ = await one.up()
    goodbye = await guest.until("reply_ended")
    assert "Goodbye" in goodbye["text"]
    assert (await guest.until("call_ended"))["reason"] == "expired"
    await guest.cut()


async def test_what_is_asked_of_a_new_call_first_is_done_first(exchange: Open) -> None:
    one = exchange(ScriptedModels(**QUICK))
    guest = one.guest()
    answered = await one.calls.offer(await guest.offer(), first=[Configure(instructions="You are a pirate.")])
    await guest.take(answered.sdp)
    await guest.until("call_started")
    guest.say(type="text", text="hello")
    await guest.until("reply_ended")
    assert one.models.answers[0].system.startswith("You are a pirate.")
