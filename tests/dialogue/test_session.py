"""The session's rules, in virtual time, with scripted models and a scripted detector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import MS_PER_CHAR, ScriptedModels, at_ms, hum
from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.virtual import VirtualEars, VirtualMouth, in_virtual_time
from voxrtc.commands import Configure
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import two_tones
from voxrtc.errors import HostLost, ModelsError
from voxrtc.events import (
    CallEnded,
    CallStarted,
    Interrupted,
    Notice,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    SpeechResumed,
    StateChanged,
    Transcript,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)
from voxrtc.models.wire import Utterance

NoTaskLeft = Callable[[], None]
REPLY = "Yes, of course. I can do that for you, if you like."


@in_virtual_time
async def test_one_turn_from_voice_to_the_end_of_the_reply(no_task_left: NoTaskLeft) -> None:
    stage = Stage(ScriptedModels(words=["can you help me"]))
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
        await stage.until_state("listening", 2)
    assert stage.types() == [
        "call_started",
        "state_changed",
        "speech_started",
        "speech_paused",
        "transcript",
        "turn_ended",
        "state_changed",
        "transcript",
        "reply_started",
        "reply_text",
        "state_changed",
        "turn_metrics",
        "reply_spoken",
        "reply_text",
        "reply_spoken",
        "reply_spoken",
        "reply_spoken",
        "reply_ended",
        "state_changed",
        "call_ended",
    ]
    assert [e.state for e in stage.all(StateChanged)] == ["listening", "thinking", "speaking", "listening"]
    assert [e.final for e in stage.all(Transcript)] == [False, True]
    assert "".join(e.text for e in stage.all(ReplyText)) == REPLY
    assert [e.heard for e in stage.all(ReplySpoken)] == [0, 15, 15, len(REPLY)]
    (ended,) = stage.all(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    assert stage.session.memory.history() == [Utterance("user", "can you help me"), Utterance("assistant", REPLY)]
    no_task_left()


@in_virtual_time
async def test_speculation_hides_the_work_in_the_pause() -> None:
    stage = Stage()
    stage.voice.say(500, 2000)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
        await stage.until(ReplyEnded)
    assert len(stage.models.answers) == 1
    assert metrics.speculated
    assert metrics.endpoint_ms == 600
    # Asked 120 ms after the voice; 300 ms to hear, 250 to think, 90 for three words, 50 to speak: ready after the end.
    assert metrics.asr_ms == 300
    assert metrics.first_token_ms == 250
    assert 780 <= metrics.first_audio_ms <= 840
    assert metrics.first_audio_ms <= metrics.voice_to_voice_ms <= metrics.first_audio_ms + 25


@in_virtual_time
async def test_a_fast_reply_waits_for_the_end_of_the_turn() -> None:
    stage = Stage(ScriptedModels(asr_s=0.05, first_token_s=0.05, token_s=0.01, voice_s=0.01))
    stage.voice.say(500, 2000)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
    assert metrics.first_audio_ms < 600
    assert 600 <= metrics.voice_to_voice_ms <= 640
    assert stage.mouth.packets[0].at >= 2.6


@in_virtual_time
async def test_only_the_first_clause_is_voiced_before_the_release() -> None:
    stage = Stage(ScriptedModels(asr_s=0.05, first_token_s=0.02, token_s=0.001), endpointing={"end_silence_ms": 3000})
    stage.voice.end_silence_ms = 3000
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(TurnEnded)
        assert [s.text for s in stage.models.spoken] == ["Yes, of course."]
        assert stage.types("call_started", "state_changed", "transcript") == [
            "speech_started",
            "speech_paused",
            "turn_ended",
            "reply_started",
            "reply_text",
            "reply_text",
        ]


@in_virtual_time
async def test_without_speculation_nothing_is_asked_in_the_pause() -> None:
    stage = Stage(dialogue={"speculation": "off", "partial_every_ms": 0})
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(TurnEnded)
        assert stage.models.answers == [] or not stage.models.spoken
        metrics = await stage.until(TurnMetrics)
    assert not metrics.speculated
    assert metrics.voice_to_voice_ms >= 600 + 300 + 250


@in_virtual_time
async def test_a_pause_that_goes_on_drops_the_guess() -> None:
    stage = Stage(ScriptedModels(words=["can you", "can you help me"]))
    stage.voice.say(500, 2000)
    stage.voice.say(2400, 3500)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert len(stage.all(SpeechResumed)) == 1
    assert len(stage.models.answers) == 2
    assert stage.models.cancelled  # the first was stopped at its work
    assert [e.text for e in stage.all(Transcript) if e.final] == ["can you help me"]
    assert len(stage.all(ReplyStarted)) == 1
    assert stage.session.memory.history()[0] == Utterance("user", "can you help me")


@in_virtual_time
async def test_the_sound_of_a_turn_is_whole() -> None:
    stage = Stage()
    stage.voice.say(1000, 2000)
    sound = np.linspace(0.1, 0.9, at_ms(1000)).astype(np.float32)
    stage.ears.say(sound, at=at_ms(1000))
    async with stage.up():
        await stage.until(TurnEnded)
    heard = stage.models.heard_samples()
    assert heard.size == at_ms(300 + 1000 + 120)
    np.testing.assert_array_equal(heard[at_ms(300) : at_ms(1300)], sound)
    assert not heard[: at_ms(300)].any()


@in_virtual_time
async def test_barge_in_stops_within_a_packet_and_memory_keeps_what_was_heard() -> None:
    reply = "Well, there is a lot to be said about that, and I will say all of it. Every word of it, slowly."
    stage = Stage(ScriptedModels(words=["tell me", "stop please"], replies=[reply, "Fine."]))
    stage.voice.say(500, 1500)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
        begun = stage.time_of(metrics)
        start = int(begun * 1000) + 1500
        stage.voice.say(start, start + 1200)
        interrupted = await stage.until(Interrupted)
        flushed = asyncio.get_running_loop().time()
        ended = await stage.until(ReplyEnded)
        await stage.until(ReplyEnded, 2)
    assert 160 <= interrupted.decision_ms <= 200
    assert stage.mouth.flushes[0] == flushed
    heard_s = sum(0.02 for packet in stage.mouth.packets if packet.at <= flushed)
    assert ended.ended == "interrupted"
    assert reply.startswith(ended.text)
    assert abs(len(ended.text) - heard_s * 1000 / MS_PER_CHAR) <= 6  # within a word
    later = [p.at for p in stage.mouth.packets if flushed < p.at < flushed + 1.0]
    assert not later
    assert stage.models.answers[1].history == [
        Utterance("user", "tell me"),
        Utterance("assistant", ended.text, interrupted=True),
    ]


@in_virtual_time
async def test_memory_is_exact_at_the_end_of_a_clause() -> None:
    stage = Stage()
    stage.voice.say(500, 1500)
    async with stage.up():
        while not [e for e in stage.all(ReplySpoken) if e.heard == 15]:
            await stage.until(ReplySpoken, len(stage.all(ReplySpoken)) + 1)
        stage.session.interrupt()
        assert stage.all(ReplyEnded)[0].text == "Yes, of course."
        assert stage.all(Interrupted)[0].decision_ms == 0


@in_virtual_time
async def test_a_sound_too_short_does_not_interrupt() -> None:
    stage = Stage()
    stage.voice.say(500, 1500)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
        start = int(stage.time_of(metrics) * 1000) + 500
        stage.voice.say(start, start + 140)
        ended = await stage.until(ReplyEnded)
    assert ended.ended == "finished"
    assert stage.all(Interrupted) == []
    assert [(e.turn, e.reason) for e in stage.all(TurnDropped)] == [(2, "did not interrupt")]


@in_virtual_time
async def test_words_before_the_reply_is_heard_join_the_turn() -> None:
    stage = Stage(
        ScriptedModels(words=["so my fellow", "so my fellow callers"], asr_s=1.0),
        dialogue={"speculation": "off", "partial_every_ms": 0},
    )
    stage.voice.say(500, 1500)
    stage.voice.say(2300, 3300)  # the turn ended at 2100, its words are known at 3100
    async with stage.up():
        await stage.until(ReplyEnded)
    assert [(e.turn, e.reason) for e in stage.all(TurnDropped)] == [(1, "continued")]
    assert stage.all(TurnEnded)[1].start == at_ms(500)
    assert stage.models.heard_samples().size >= at_ms(300 + 2800)
    assert stage.session.memory.history()[0] == Utterance("user", "so my fellow callers")


@in_virtual_time
async def test_words_after_the_turn_was_understood_are_answered_together() -> None:
    stage = Stage(ScriptedModels(words=["so my fellow", "callers"], first_token_s=1.0))
    stage.voice.say(500, 1500)
    stage.voice.say(2300, 3300)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        await stage.until(ReplyEnded, 2)
    assert (ended.ended, ended.text) == ("cancelled", "")
    assert stage.all(Interrupted) == []
    assert stage.models.answers[-1].history == [Utterance("user", "so my fellow")]
    assert stage.session.memory.history()[0] == Utterance("user", "so my fellow callers")


@in_virtual_time
async def test_no_words_no_reply() -> None:
    stage = Stage(ScriptedModels(words=["", "now there are"]))
    stage.voice.say(500, 1500)
    stage.voice.say(4000, 5000)
    async with stage.up():
        dropped = await stage.until(TurnDropped)
        assert (dropped.turn, dropped.reason) == (1, "no words")
        await stage.until_state("listening", 2)
        assert stage.all(ReplyStarted) == []
        await stage.until(ReplyEnded)
    assert stage.all(ReplyStarted)[0].turn == 2
    assert stage.mouth.packets[0].at > 5.0


@in_virtual_time
async def test_a_cough_does_not_cost_the_answer() -> None:
    stage = Stage(ScriptedModels(words=["what time is it", "", ""], first_token_s=1.5))
    stage.voice.say(500, 1500)
    stage.voice.say(2300, 2600)  # over the thinking: the reply is stopped, and there turn out to be no words
    async with stage.up():
        await stage.until(ReplyEnded, 2)
    assert [e.ended for e in stage.all(ReplyEnded)] == ["cancelled", "finished"]
    assert stage.models.answers[-1].text == "what time is it"
    assert stage.models.answers[-1].history == []
    assert stage.session.memory.history() == [Utterance("user", "what time is it"), Utterance("assistant", REPLY)]


@in_virtual_time
async def test_host_lost_in_mid_answer_is_apologised_for() -> None:
    lost = iter([HostLost("the models are being started again")])
    models = ScriptedModels(
        words=["tell me", "and now"],
        fail=lambda verb, given: next(lost, None) if verb == "answer" and given > 4 else None,
    )
    stage = Stage(models)
    stage.voice.say(500, 1500)
    stage.voice.say(8000, 9000)
    async with stage.up():
        failed = await stage.until(ReplyEnded)
        assert failed.ended == "failed"
        notice = stage.all(Notice)[0]
        assert (notice.code, notice.message) == ("host_lost", "the models are being started again")
        assert "Yes, of course.".startswith(failed.text)
        played = stage.mouth.sound
        tones = two_tones()
        assert np.abs(played[-tones.size - 480 :]).max() > 0.05
        await stage.until(ReplyEnded, 2)
    assert stage.all(ReplyEnded)[1].ended == "finished"
    assert stage.models.answers[-1].history[0] == Utterance("user", "tell me")


@in_virtual_time
async def test_a_host_that_dies_under_the_guess_is_apologised_for_at_once() -> None:
    """Not waited for: it may take long to come back."""
    models = ScriptedModels(words=["tell me"])

    def die(verb: str, given: int) -> ModelsError | None:
        if verb == "answer" and len(models.answers) == 1:
            models.ready = None
            return HostLost("the models are being started again")
        return None

    models.fail = die
    stage = Stage(models)
    stage.voice.say(500, 1500)
    async with stage.up():
        failed = await stage.until(ReplyEnded)
    assert failed.ended == "failed"
    assert len(models.answers) == 1
    assert stage.all(Notice)[0].code == "host_lost"
    assert np.abs(stage.mouth.sound).max() > 0.05


@in_virtual_time
async def test_models_that_hang_are_given_up() -> None:
    models = ScriptedModels(words=["tell me", "tell me", "and now"], asr_s=3600.0)
    stage = Stage(models, dialogue={"patience_s": 4.0})
    stage.voice.say(500, 1500)
    async with stage.up():
        failed = await stage.until(ReplyEnded)
        assert asyncio.get_running_loop().time() < 9
    assert failed.ended == "failed"
    assert "no sign for 4 s" in stage.all(Notice)[0].message
    assert "answer" in models.cancelled


@in_virtual_time
async def test_models_that_fail_before_a_word_is_known() -> None:
    count = 0

    def fail(verb: str, given: int) -> ModelsError | None:
        nonlocal count
        count += verb == "answer"
        return ModelsError("too much waits") if count <= 2 else None

    stage = Stage(ScriptedModels(fail=fail))
    stage.voice.say(500, 1500)
    stage.voice.say(6000, 7000)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        assert (ended.ended, ended.text) == ("failed", "")
        assert stage.all(Notice)[0].code == "models_failed"
        await stage.until(ReplyEnded, 2)
    # The guess failed quietly, the second try aloud, the next turn was answered.
    assert [e.ended for e in stage.all(ReplyEnded)] == ["failed", "finished"]


@in_virtual_time
async def test_a_task_that_dies_ends_the_call_with_a_sentence(no_task_left: NoTaskLeft) -> None:
    class Broken(ScriptedModels):
        async def answer(self, ask):  # type: ignore[no-untyped-def]
            await asyncio.sleep(0.1)
            raise KeyError("a bug")
            yield

    stage = Stage(Broken())
    stage.voice.say(500, 1500)
    async with stage.mouth:
        await stage.session.run(stage.ears, stage.mouth)
    ended = stage.all(CallEnded)[0]
    assert ended.reason == "error"
    assert ended.detail.endswith("please call again.")
    assert stage.session.closed
    assert stage.events[-1] is ended
    no_task_left()


@in_virtual_time
async def test_typed_text_is_a_turn() -> None:
    stage = Stage(ScriptedModels(replies=[REPLY, "Second."]))
    async with stage.up():
        await stage.session.submit_text("  what is this?  ")
        await stage.until_state("speaking")
        await stage.session.submit_text("and that?")
        await stage.until(ReplyEnded, 2)
    assert [(e.text, e.final) for e in stage.all(Transcript)] == [("what is this?", True), ("and that?", True)]
    assert [e.ended for e in stage.all(ReplyEnded)] == ["interrupted", "finished"]
    assert [a.text for a in stage.models.answers] == ["what is this?", "and that?"]
    assert stage.models.answers[1].history[0] == Utterance("user", "what is this?")


@in_virtual_time
async def test_a_text_that_is_none_is_answered_by_a_notice() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.submit_text("  ")
        await stage.session.submit_text("x" * 5000)
        assert [e.code for e in stage.all(Notice)] == ["bad_text", "bad_text"]
    assert stage.models.answers == []


@in_virtual_time
async def test_interruptions_off() -> None:
    stage = Stage(dialogue={"interruptions": "off", "partial_every_ms": 0})
    stage.voice.say(500, 1500)
    stage.voice.say(2500, 3500)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        assert ended.ended == "finished"
        assert len(stage.all(TurnEnded)) == 1
        now = round(stage.ears.position / 16)
        stage.voice.say(now + 200, now + 1000)
        await stage.until(ReplyEnded, 2)
    assert stage.all(Interrupted) == []


@in_virtual_time
async def test_interruptions_off_and_going_on_after_the_reply() -> None:
    stage = Stage(dialogue={"interruptions": "off", "partial_every_ms": 0})
    stage.voice.say(500, 1500)
    stage.voice.say(3000, 8000)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        second = await stage.until(TurnEnded, 2)
        await stage.until(ReplyEnded, 2)
    assert second.start >= ended.at
    assert second.end == at_ms(8000)


@in_virtual_time
async def test_push_to_talk() -> None:
    stage = Stage(dialogue={"interruptions": "push-to-talk", "partial_every_ms": 0})
    for start, end in ((500, 1500), (3000, 4000), (4900, 5500)):
        stage.voice.say(start, end)
    async with stage.up():
        await asyncio.sleep(2.5)
        assert stage.all(TurnEnded) == []  # what is said without the button is not heard
        stage.session.push_to_talk(True)
        await asyncio.sleep(3.1)  # a pause of 900 ms in it does not end it
        stage.session.push_to_talk(False)
        turn = stage.all(TurnEnded)[0]
        assert turn.end == turn.at == stage.ears.position
        assert turn.start == at_ms(3000)
        await stage.until_state("speaking")
        stage.session.push_to_talk(True)
        assert stage.all(ReplyEnded)[0].ended == "interrupted"
        await asyncio.sleep(1.0)
        stage.session.push_to_talk(False)
        assert [e.reason for e in stage.all(TurnDropped)] == ["no speech"]
    assert len(stage.models.answers) == 2  # a guess in the pause, and the turn


@in_virtual_time
async def test_push_to_talk_is_refused_where_it_is_off() -> None:
    stage = Stage()
    async with stage.up():
        stage.session.push_to_talk(True)
        assert stage.all(Notice)[0].code == "not_push_to_talk"


@in_virtual_time
async def test_configure() -> None:
    stage = Stage()
    stage.voice.say(500, 1500)
    async with stage.up():
        stage.session.configure(Configure(language="de", voice="espeak", interruptions="off"))
        stage.session.configure(Configure(voice="nobody"))
        await stage.until(ReplyEnded)
    assert stage.models.answers[0].language == "de"
    assert (stage.models.spoken[0].voice, stage.models.spoken[0].language) == ("espeak", "de")
    assert [e.code for e in stage.all(Notice)] == ["bad_config"]


@in_virtual_time
async def test_greeting_comes_first_and_is_remembered() -> None:
    stage = Stage(dialogue={"greeting": "Hello, this is voxrtc.", "partial_every_ms": 0})
    stage.voice.say(4000, 5000)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        assert (ended.reply, ended.text) == (1, "Hello, this is voxrtc.")
        await stage.until(ReplyEnded, 2)
    assert stage.all(ReplyStarted)[0].turn == 0
    assert stage.models.answers[0].history == [Utterance("assistant", "Hello, this is voxrtc.")]


@in_virtual_time
async def test_nobody_says_anything() -> None:
    stage = Stage(dialogue={"idle_prompt_s": 10.0, "idle_hangup_s": 20.0})
    async with stage.mouth:
        await stage.session.run(stage.ears, stage.mouth)
        assert 20 <= asyncio.get_running_loop().time() < 24
    assert stage.all(CallEnded)[0].reason == "expired"


@in_virtual_time
async def test_partials_never_shrink() -> None:
    looks = ["Can you.", "Can you help me", "Can you help me with", "Can", "Can you help me with this thing now"]
    stage = Stage(
        ScriptedModels(words=["Can you help me with this?"], partials=looks), dialogue={"partial_every_ms": 600}
    )
    stage.voice.say(500, 5000)
    async with stage.up():
        await stage.until(ReplyEnded)
    shown = [e.text for e in stage.all(Transcript) if not e.final]
    assert shown == ["Can you", "Can you help me", "Can you help me with this"]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert [p.text for p in stage.models.prepared][-1] == "Can you help me with this thing"
    assert stage.models.prepared[0].history == []


@in_virtual_time
async def test_looks_never_overlap_and_give_way_to_the_pause() -> None:
    models = ScriptedModels(partials=["one two"] * 20, asr_s=1.0)
    stage = Stage(models, dialogue={"partial_every_ms": 600})
    stage.voice.say(500, 4000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert models.looked <= 3
    assert "transcribe" in models.cancelled or "prepare" in models.cancelled


@in_virtual_time
async def test_resume_with_another_pair(no_task_left: NoTaskLeft) -> None:
    reply = "First a short clause. Then a rather longer one that is cut by the network, sadly."
    stage = Stage(ScriptedModels(words=["tell me", "thanks"], replies=[reply]))
    stage.voice.say(500, 1500)
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await stage.until_state("speaking")
        await asyncio.sleep(2.0)
        stage.ears.hang_up()
        await running
    assert not stage.session.closed
    first = stage.mouth.sound.size
    position = stage.events[-1].at
    await asyncio.sleep(5.0)  # in a tunnel
    stage.ears, stage.mouth = VirtualEars(), VirtualMouth()
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        assert (ended.ended, ended.text) == ("finished", reply)
    second = stage.mouth.sound.size
    assert stage.all(CallStarted)[1].resumed
    # Together they are the reply, once: nothing lost, nothing said twice (but for filling up packets).
    whole = sum(hum(len(s.text)).size for s in stage.models.spoken)
    assert abs(first + second - whole) <= 3 * SPOKEN_RATE // 50
    assert all(later.at >= position for later in stage.events[-5:])
    ats = [e.at for e in stage.events]
    assert ats == sorted(ats)
    no_task_left()


@in_virtual_time
async def test_a_turn_cut_off_by_the_network_is_answered_in_the_next_call() -> None:
    stage = Stage()
    stage.voice.say(500, 1400)
    stage.ears.hang_up(at=at_ms(1400))
    async with stage.mouth:
        await stage.session.run(stage.ears, stage.mouth)
    assert stage.all(TurnEnded)[0].end == at_ms(1400)
    await asyncio.sleep(1.0)
    stage.ears, stage.mouth = VirtualEars(), VirtualMouth()
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)


@in_virtual_time
async def test_close_in_the_middle_leaves_nothing(no_task_left: NoTaskLeft) -> None:
    for moment in (1.0, 1.7, 2.2, 2.5, 3.5):
        stage = Stage(dialogue={"partial_every_ms": 200})
        stage.voice.say(500, 1500)
        async with stage.mouth:
            running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
            await asyncio.sleep(moment)
            await stage.session.close("shutdown", "the server stops")
            await running
        ended = stage.events[-1]
        assert isinstance(ended, CallEnded)
        assert (ended.reason, ended.detail) == ("shutdown", "the server stops")
        no_task_left()


@in_virtual_time
async def test_after_the_end_nothing_is_taken() -> None:
    stage = Stage(dialogue={"interruptions": "push-to-talk"})
    async with stage.up():
        await stage.session.close("hangup")
        count = len(stage.events)
        stage.session.push_to_talk(True)
        stage.session.configure(Configure(language="de"))
        stage.session.interrupt()
        await stage.session.submit_text("hello?")
        await stage.session.close("again")
    assert len(stage.events) == count


@in_virtual_time
async def test_the_memory_window() -> None:
    stage = Stage(ScriptedModels(words=["one", "two", "three"]), dialogue={"memory_turns": 1, "partial_every_ms": 0})
    async with stage.up():
        for count in (1, 2, 3):
            await stage.session.submit_text(f"turn {count}")
            await stage.until(ReplyEnded, count)
    assert [u.text for u in stage.models.answers[2].history] == ["turn 2", REPLY]


@in_virtual_time
async def test_a_memory_is_gone_on_with_in_its_language() -> None:
    before = Stage(dialogue={"partial_every_ms": 0})
    async with before.up():
        before.session.configure(Configure(language="de"))
        await before.session.submit_text("hallo")
        await before.until(ReplyEnded)
    memory = Memory.from_json(5, before.session.memory.to_json())
    after = Stage(memory=memory)
    async with after.up():
        assert (await after.until(CallStarted)).language == "de"
        await after.session.submit_text("noch da?")
        await after.until(ReplyEnded)
    assert after.models.answers[0].history == [Utterance("user", "hallo"), Utterance("assistant", REPLY)]
    assert after.models.spoken[0].language == "de"
