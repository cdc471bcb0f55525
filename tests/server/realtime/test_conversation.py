"""Whole turns as OpenAI's clients see them: the order of events, barge-in, text, push-to-talk."""

from __future__ import annotations

import asyncio

import numpy as np

from tests.dialogue.scripted import ScriptedModels
from tests.server.realtime.conftest import Talk, house, user
from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.errors import ModelsError
from voxrtc.events import FalseInterruption, ReplyStarted, ReplyText, SpeechStarted, TurnEnded
from voxrtc.models.wire import Utterance
from voxrtc.server.realtime.dialect import Realtime

REPLY = "Yes, of course. I can do that for you, if you like."
STORY = "Once upon a time there was a sea, and it was deep. " * 8


@in_virtual_time
async def test_one_spoken_turn_in_its_order() -> None:
    talk = Talk(ScriptedModels(words=["how late is it"]))
    talk.voice.say(500, 1500)
    async with talk.up():
        await talk.open()
        await talk.told_of("output_audio_buffer.stopped")
    input_delta = "conversation.item.input_audio_transcription.delta"
    assert talk.kinds("response.output_audio_transcript.delta", input_delta) == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "output_audio_buffer.started",
        "response.output_audio_transcript.done",
        "response.output_audio.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "output_audio_buffer.stopped",
    ]
    assert len({event["event_id"] for event in talk.told}) == len(talk.told)


@in_virtual_time
async def test_what_the_events_of_a_turn_hold() -> None:
    talk = Talk(ScriptedModels(words=["how late is it"]))
    talk.voice.say(500, 1500)
    async with talk.up():
        await talk.open()
        started = await talk.told_of("input_audio_buffer.speech_started")
        stopped = await talk.told_of("input_audio_buffer.speech_stopped")
        committed = await talk.told_of("input_audio_buffer.committed")
        heard = await talk.told_of("conversation.item.input_audio_transcription.completed")
        done = await talk.told_of("response.done")
    item = started["item_id"]
    assert {stopped["item_id"], committed["item_id"], heard["item_id"]} == {item}
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (500, 1500)
    assert (heard["transcript"], heard["content_index"]) == ("how late is it", 0)
    assert heard["usage"] == {"type": "duration", "seconds": 1.0}
    response = done["response"]
    assert (response["status"], response["status_details"]) == ("completed", None)
    assert response["object"] == "realtime.response"
    assert (response["usage"]["total_tokens"], response["usage"]["output_tokens"]) == (0, 0)
    (message,) = response["output"]
    assert message["content"] == [{"type": "output_audio", "transcript": REPLY}]
    assert "".join(e["delta"] for e in talk.of("response.output_audio_transcript.delta")).strip() == REPLY
    assert talk.of("conversation.item.added")[1]["previous_item_id"] == item
    assert talk.of("response.created")[0]["response"]["id"] == response["id"]


@in_virtual_time
async def test_words_are_told_while_they_are_spoken() -> None:
    models = ScriptedModels(words=["how late is it now"], partials=["how late", "how late is", "how late is it"])
    talk = Talk(models, dialogue={"partial_every_ms": 400})
    talk.voice.say(500, 3000)
    async with talk.up():
        await talk.open()
        await talk.told_of("conversation.item.input_audio_transcription.completed")
    deltas = [e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta")]
    assert len(deltas) > 1
    assert "".join(deltas) == "how late is it now"
    begun = talk.kinds().index("conversation.item.input_audio_transcription.delta")
    assert begun < talk.kinds().index("input_audio_buffer.committed")


@in_virtual_time
async def test_who_wants_no_transcripts_gets_none() -> None:
    talk = Talk(session={"audio": {"input": {"transcription": None}}})
    talk.voice.say(500, 1500)
    async with talk.up():
        await talk.open()
        await talk.told_of("response.done")
    assert not [kind for kind in talk.kinds() if "transcription" in kind]


@in_virtual_time
async def test_speaking_over_a_response_truncates_it() -> None:
    talk = Talk(ScriptedModels(replies=[STORY, "All right."], by_turn=True))
    talk.voice.say(500, 1500)
    talk.voice.say(6000, 8000)
    async with talk.up():
        await talk.open()
        begun = await talk.told_of("output_audio_buffer.started")
        cleared = await talk.told_of("output_audio_buffer.cleared")
        truncated = await talk.told_of("conversation.item.truncated")
        done = await talk.told_of("response.done")
        await talk.say("conversation.item.retrieve", item_id=truncated["item_id"])
        item = (await talk.told_of("conversation.item.retrieved"))["item"]
        await talk.told_of("input_audio_buffer.committed")
        await talk.told_of("response.created")
    assert begun["response_id"] == cleared["response_id"] == done["response"]["id"]
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert 2_000 < truncated["audio_end_ms"] < 6_500
    heard = item["content"][0]["transcript"]
    assert 0 < len(heard) < len(STORY)
    assert STORY.startswith(heard)
    assert item["status"] == "incomplete"
    assert talk.models.answers[-1].history[1] == Utterance("assistant", heard, interrupted=True)


@in_virtual_time
async def test_a_cough_over_a_response_lets_it_go_on() -> None:
    talk = Talk(ScriptedModels(words=["tell me a story", ""], partials=[""], replies=[STORY], by_turn=True))
    async with talk.up():
        await talk.open()
        await talk.write("tell me a story")
        await talk.told_of("output_audio_buffer.started")
        talk.voice.say(4000, 4300)
        await talk.told_of("conversation.item.deleted")
        done = await talk.told_of("response.done")
    assert talk.all(FalseInterruption)
    assert done["response"]["status"] == "completed"
    assert "conversation.item.truncated" not in talk.kinds()
    assert "output_audio_buffer.cleared" not in talk.kinds()


@in_virtual_time
async def test_a_response_that_is_not_to_be_interrupted() -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    talk = Talk(ScriptedModels(replies=[STORY]), {"audio": {"input": {"turn_detection": detection}}})
    async with talk.up():
        await talk.open()
        await talk.write("tell me a story")
        await talk.told_of("output_audio_buffer.started")
        talk.voice.say(4000, 7000)
        done = await talk.told_of("response.done")
    assert done["response"]["status"] == "completed"


@in_virtual_time
async def test_a_client_may_cancel() -> None:
    for stops in (["response.cancel", "output_audio_buffer.clear"], ["output_audio_buffer.clear"]):
        talk = Talk(ScriptedModels(replies=[STORY]))
        async with talk.up():
            await talk.open()
            await talk.write("tell me a story")
            await talk.told_of("output_audio_buffer.started")
            await asyncio.sleep(2)
            for stop in stops:
                await talk.say(stop)
            await talk.told_of("output_audio_buffer.cleared")
            done = await talk.told_of("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        assert abs(talk.of("conversation.item.truncated")[0]["audio_end_ms"] - 2_000) < 100
        assert not talk.of("error")


@in_virtual_time
async def test_a_response_that_the_client_truncates_was_cancelled_by_it() -> None:
    talk = Talk(ScriptedModels(replies=[STORY]))
    async with talk.up():
        await talk.open()
        await talk.write("tell me a story")
        await talk.told_of("output_audio_buffer.started")
        await asyncio.sleep(1)
        item = talk.of("response.output_item.added")[0]["item"]["id"]
        await talk.say("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=800)
        done = await talk.told_of("response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


@in_virtual_time
async def test_a_cough_is_no_item() -> None:
    talk = Talk(ScriptedModels(words=[""]))
    talk.voice.say(500, 900)
    async with talk.up():
        await talk.open()
        deleted = await talk.told_of("conversation.item.deleted")
        assert deleted["item_id"] == talk.of("input_audio_buffer.committed")[0]["item_id"]
        await talk.say("conversation.item.retrieve", item_id=deleted["item_id"])
        assert (await talk.told_of("error"))["error"]["code"] == "item_not_found"


@in_virtual_time
async def test_written_messages_are_remembered_and_answered_when_that_is_asked() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        await talk.say("conversation.item.create", item={"id": "item_mine"} | user("I am Ann."))
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello Ann."}]}
        await talk.say("conversation.item.create", item=said, previous_item_id="root")
        rule = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]}
        await talk.say("conversation.item.create", item=rule)
        await asyncio.sleep(1)
        assert "response.created" not in talk.kinds()
        await talk.write("Who am I?")
        await talk.told_of("response.done")
    (ask,) = talk.models.answers
    assert ask.history == [Utterance("user", "I am Ann."), Utterance("assistant", "Hello Ann.")]
    assert ask.text == "Who am I?"
    assert "Be brief." in ask.system.splitlines()
    added = talk.of("conversation.item.added")
    assert [a["previous_item_id"] for a in added] == [None, *(a["item"]["id"] for a in added[:-1])]
    assert added[0]["item"]["id"] == "item_mine"
    assert not talk.of("error")


@in_virtual_time
async def test_items_may_be_deleted() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        await talk.write("Who am I?")
        done = await talk.told_of("response.done")
        for item in [talk.of("conversation.item.added")[0]["item"]["id"], done["response"]["output"][0]["id"]]:
            await talk.say("conversation.item.delete", item_id=item)
            assert (await talk.told_of("conversation.item.deleted"))["item_id"] == item
        await talk.write("And now?")
        await talk.told_of("response.done")
    assert talk.models.answers[1].history == []
    assert not talk.of("error")


@in_virtual_time
async def test_push_to_talk() -> None:
    talk = Talk(ScriptedModels(words=["by hand"]), {"audio": {"input": {"turn_detection": None}}})
    talk.voice.say(500, 1500)
    async with talk.up():
        await talk.open()
        await talk.say("input_audio_buffer.clear")
        await talk.told_of("input_audio_buffer.cleared")
        await asyncio.sleep(3)
        assert not talk.all(SpeechStarted)
        await talk.say("input_audio_buffer.commit")
        await talk.told_of("input_audio_buffer.committed")
        await talk.told_of("conversation.item.done")
        assert not talk.all(ReplyStarted)
        await talk.say("response.create")
        heard = await talk.told_of("conversation.item.input_audio_transcription.completed")
        await talk.told_of("response.done")
    assert heard["transcript"] == "by hand"
    assert "input_audio_buffer.speech_stopped" not in talk.kinds()
    (turn,) = talk.all(TurnEnded)
    assert turn.end - turn.start >= 2.9 * 16_000


@in_virtual_time
async def test_who_asks_for_a_response_to_silence_is_told() -> None:
    talk = Talk(ScriptedModels(words=[""]), {"audio": {"input": {"turn_detection": None}}})
    async with talk.up():
        await talk.open()
        await asyncio.sleep(1)
        await talk.say("input_audio_buffer.commit")
        await talk.say("response.create", event_id="mine")
        error = (await talk.told_of("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_no_input", "mine")


@in_virtual_time
async def test_a_response_may_be_in_writing() -> None:
    talk = Talk(session={"output_modalities": ["text"]})
    async with talk.up():
        await talk.open()
        await talk.write("hello")
        done = await talk.told_of("response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": REPLY}]
        assert (await talk.say("response.create", response={"output_modalities": ["audio"]})) is None
        await talk.told_of("output_audio_buffer.started")
        await talk.told_of("response.done")
        await talk.write("hello")
        await talk.told_of("response.output_text.done")
    assert "".join(e["delta"] for e in talk.of("response.output_text.delta")).strip().startswith(REPLY)


@in_virtual_time
async def test_a_response_may_have_instructions_of_its_own() -> None:
    talk = Talk(session={"instructions": "You are a pirate."})
    async with talk.up():
        await talk.open()
        await talk.write("hello", response={"instructions": "Say ahoy.", "metadata": {"a": "b"}})
        done = await talk.told_of("response.done")
        await talk.write("hello")
        await talk.told_of("response.done")
    assert done["response"]["metadata"] == {"a": "b"}
    assert [ask.system.splitlines()[0] for ask in talk.models.answers] == ["Say ahoy.", "You are a pirate."]


@in_virtual_time
async def test_a_response_that_fails_says_so() -> None:
    talk = Talk(ScriptedModels(fail=lambda verb, count: ModelsError("no") if verb == "answer" else None))
    async with talk.up():
        await talk.open()
        await talk.write("hello")
        error = (await talk.told_of("error"))["error"]
        done = await talk.told_of("response.done")
    assert (error["type"], error["code"]) == ("server_error", "models_failed")
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["code"] == "models_failed"


@in_virtual_time
async def test_silence_is_asked_about_where_the_client_wants_that() -> None:
    for idle_ms in (None, 5_000):
        detection = {"type": "server_vad", "idle_timeout_ms": idle_ms}
        talk = Talk(session={"audio": {"input": {"turn_detection": detection}}})
        async with talk.up():
            await talk.open()
            await asyncio.sleep(60)
        assert ("input_audio_buffer.timeout_triggered" in talk.kinds()) == (idle_ms is not None)
        assert len(talk.of("response.done")) == (idle_ms is not None)


def test_sound_goes_as_messages_where_the_client_plays_it_itself() -> None:
    heard: list[tuple[Samples, int]] = []
    dialect = Realtime(house(), hear=lambda samples, rate: heard.append((samples, rate)))
    assert [*dialect.read('{"type": "input_audio_buffer.append", "audio": "AAAAQA=="}')] == []
    ((samples, rate),) = heard
    assert (samples.tolist(), rate) == ([0.0, 0.5], SPOKEN_RATE)
    tone = np.full(480, 0.5, np.float32)
    assert [*dialect.sound(tone)] == []
    stamp = {"call": "c", "at": 0, "time": 0.0}
    told = [*dialect.tell(ReplyStarted(**stamp, reply=1, turn=1, speculated=False))]
    told += dialect.tell(ReplyText(**stamp, reply=1, clause=0, text="Hi."))
    (delta,) = dialect.sound(tone)
    assert '"type":"response.output_audio.delta"' in delta
    assert '"content_index":0' in delta
    assert "output_audio_buffer" not in "".join(told)


@in_virtual_time
async def test_a_spoken_item_may_be_deleted_before_its_words_are_known() -> None:
    """It is not remembered later, whether it waits to be written down or is being answered."""
    by_request = {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}}
    for session in (by_request, {}):
        models = ScriptedModels(words=["my pin is 1234"], partials=["my pin is 1234"], asr_s=0.5)
        talk = Talk(models, session, dialogue={"speculation": "off", "partial_every_ms": 0})
        talk.voice.say(500, 1500)
        async with talk.up():
            await talk.open()
            item = (await talk.told_of("input_audio_buffer.committed"))["item_id"]
            await talk.say("conversation.item.delete", item_id=item)
            await talk.told_of("conversation.item.deleted")
            if session:
                await asyncio.sleep(3)
                assert "response.created" not in talk.kinds()
            else:
                await talk.told_of("response.done")
            await talk.write("And now?")
            await talk.told_of("response.done")
        assert all("pin" not in line.text for line in talk.models.answers[-1].history)
        assert not [kind for kind in talk.kinds() if "transcription" in kind]
        assert not talk.of("error")
