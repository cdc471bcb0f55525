"""The conversation as it is said: grey until it stands, cut where it was interrupted."""

from __future__ import annotations

import json

import pytest

from tests.web.script import (
    clause,
    ended,
    false_interruption,
    interrupted,
    spoken,
    started,
    tool_called,
    tool_ended,
    transcript,
    whole,
)
from voxrtc import commands

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_partials_grow_and_never_shrink(seen) -> None:
    await seen.call()
    seen.server.say(
        transcript(1, "I was won", False), transcript(1, "I was wondering", False), transcript(1, "I was", False)
    )
    await seen.sees("#transcript .turn.partial .said", "I was wondering")
    assert await seen.text("#announcer") == ""
    seen.server.say(transcript(1, "I was wandering."))
    await seen.sees("#transcript .turn:not(.partial) .said", "I was wandering.")
    assert await seen.page.locator("#transcript li").count() == 1
    assert await seen.text("#announcer") == "You: I was wandering."
    assert await seen.page.get_attribute("#transcript .said", "lang") == "en"


async def test_partial_words_look_unfinished(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "done"), transcript(2, "not d", False))
    await seen.sees("#transcript", "not d")
    final, partial = await seen.page.locator("#transcript .turn").evaluate_all(
        "(e) => e.map((x) => getComputedStyle(x).color)"
    )
    assert final != partial


async def test_noise_leaves_no_line(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "hm", False), {"type": "turn_dropped", "turn": 1, "reason": "no_words"})
    seen.server.say(transcript(2, "words"))
    await seen.sees("#transcript .turn", "words")
    assert await seen.page.locator("#transcript li").count() == 1


async def test_a_reply_turns_black_as_it_is_spoken(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "Cool and bright,"), clause(1, 1, "with no wind."))
    await seen.sees(".reply .ahead", "Cool and bright, with no wind.")
    seen.server.say(spoken(1, 0, 0))
    await seen.sees(".reply .heard", "Cool and bright,")
    assert (await seen.text(".reply .ahead")) == "with no wind."
    seen.server.say(ended(1, "finished", "Cool and bright, with no wind."))
    await seen.sees(".reply .heard", "Cool and bright, with no wind.")
    assert await seen.page.locator(".reply .ahead").count() == 0
    assert await seen.text("#announcer") == "Assistant: Cool and bright, with no wind."


async def test_an_interrupted_reply_is_cut_where_it_was_cut(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "It was built in 1890"), clause(1, 1, "on a bare rock."), spoken(1, 0, 0))
    seen.server.say({"type": "interrupted", "reply": 1, "decision_ms": 160.0}, ended(1, "interrupted", "It was built"))
    await seen.sees(".reply .heard", "It was built")
    assert await seen.page.text_content(".reply .heard") == "It was built"
    assert await seen.page.text_content(".reply s") == "Not heard:  in 1890 on a bare rock."
    line = await seen.page.locator(".reply s").evaluate("(e) => getComputedStyle(e).textDecorationLine")
    assert line == "line-through"
    await seen.sees(".reply .mark", "You interrupted")
    assert await seen.text("#announcer") == "Assistant: It was built (interrupted)"


async def test_an_interruption_is_shown_before_its_cut_is_known(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "It was built in 1890"), spoken(1, 0, 0), interrupted(1))
    await seen.sees(".reply .mark", "You interrupted")
    seen.server.say(ended(1, "interrupted", "It was"))
    await seen.sees(".reply s", "built in 1890")
    assert await seen.page.locator(".reply .mark").count() == 1


@pytest.mark.parametrize("already_cut", [False, True])
async def test_a_false_interruption_leaves_no_trace(seen, already_cut: bool) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "It was built"), clause(1, 1, "in 1890."), spoken(1, 0, 0), interrupted(1))
    if already_cut:
        seen.server.say(ended(1, "interrupted", "It was"))
    await seen.sees(".reply .mark", "You interrupted")
    seen.server.say(false_interruption(1))
    await seen.page.locator(".reply .mark").wait_for(state="hidden")
    assert await seen.page.locator(".reply s").count() == 0
    assert await seen.text(".reply .said") == "It was built in 1890."
    seen.server.say(spoken(1, 1, 12), ended(1, "finished", "It was built in 1890."))
    await seen.sees(".reply .heard", "It was built in 1890.")
    assert await seen.page.locator(".reply .mark").is_hidden()
    assert await seen.page.locator(".reply").count() == 1


async def test_words_stay_when_the_caller_goes_on_before_the_answer(seen) -> None:
    await seen.call()
    watch = """() => {
      window.lengths = [];
      const note = () => lengths.push(document.querySelector('#transcript .said')?.textContent.length ?? 0);
      new MutationObserver(note).observe(transcript, { childList: true, characterData: true, subtree: true });
    }"""
    await seen.page.evaluate(watch)
    seen.server.say(
        transcript(1, "I was wondering", False),
        {"type": "turn_ended", "turn": 1, "start": 0, "end": 16_000},
        {"type": "turn_dropped", "turn": 1, "reason": "continued"},
        transcript(2, "I was", False),
        transcript(2, "I was wondering whether", False),
        transcript(2, "I was wondering whether it rains."),
    )
    await seen.sees("#transcript .turn:not(.partial)", "I was wondering whether it rains.")
    assert await seen.page.locator("#transcript li").count() == 1
    lengths = await seen.page.evaluate("window.lengths")
    assert len(lengths) >= 2
    assert lengths == sorted(lengths)


async def test_noise_after_words_that_went_on_takes_them_away(seen) -> None:
    await seen.call()
    seen.server.say(
        transcript(1, "hm", False),
        {"type": "turn_dropped", "turn": 1, "reason": "continued"},
        {"type": "turn_dropped", "turn": 2, "reason": "no words"},
        transcript(3, "words"),
    )
    await seen.sees("#transcript .turn", "words")
    assert await seen.page.locator("#transcript li").count() == 1


async def test_a_function_is_a_small_line(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "Is it cold?"), started(1), clause(1, 0, "Let me look."))
    seen.server.say(tool_called("a", "get_weather", place="Oslo", day="<b>today</b>"))
    await seen.sees(".tool.running", "Using get_weather …")
    order = "[...transcript.children].map((li) => li.classList[0])"
    assert await seen.page.evaluate(order) == ["turn", "tool", "reply"]  # before the words that come of it
    seen.server.say(tool_ended("a", "get_weather"), clause(1, 1, "Four degrees."))
    await seen.sees(".tool:not(.running)", "Using get_weather … done in 0.4 s")
    assert await seen.page.is_hidden(".tool pre")
    await seen.page.click(".tool summary")
    assert json.loads(await seen.page.inner_text(".tool pre")) == {"place": "Oslo", "day": "<b>today</b>"}
    assert seen.server.said == []  # the server runs it itself


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("failed", "failed after 2.0 s"),
        ("timed out", "no answer in 2.0 s"),
        ("cancelled", "broken off after 2.0 s"),
        ("overtaken", "overtaken after 2.0 s"),
    ],
)
async def test_a_function_without_result(seen, how: str, told: str) -> None:
    await seen.call()
    seen.server.say(tool_called("a", "roll_dice"), tool_ended("a", "roll_dice", how, 2000.0))
    await seen.sees(".tool.failed", f"Using roll_dice … {told}")
    assert await seen.page.locator(".tool summary").count() == 0  # it was given nothing to look at


async def test_a_function_that_the_call_did_not_live_to_see(seen) -> None:
    await seen.call()
    seen.server.say(tool_called("a", "roll_dice"))
    await seen.sees(".tool.running", "roll_dice")
    await seen.page.click("#hang-up")
    await seen.sees(".tool.failed", "Using roll_dice … broken off")


async def test_a_function_of_another_program_is_declined(seen) -> None:
    await seen.call()
    seen.server.say(tool_called("a", "open_door", local=False))
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "tool_result", "id": "a", "error": "This page has no functions of its own."}]
    assert commands.parse(seen.server.said[0])


async def test_a_reply_of_which_nothing_was_heard(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "Never mind."), ended(1, "cancelled", ""))
    seen.server.say(started(2), clause(2, 0, "It is late."), ended(2, "interrupted", ""))
    seen.server.say(started(3), clause(3, 0, "Well,"), ended(3, "failed", "Well,"))
    await seen.sees(".reply .mark", "The answer broke off")
    assert await seen.page.locator(".reply").count() == 2
    assert "It is late." in await seen.page.text_content(".reply s")


async def test_a_late_transcript_goes_before_its_answer(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "Yes."), transcript(1, "Is it?"))
    await seen.sees(".turn", "Is it?")
    assert await seen.page.locator("#transcript li").evaluate_all("(e) => e.map((x) => x.classList[0])") == [
        "turn",
        "reply",
    ]


async def test_the_emotion_is_a_small_mark(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "Hooray!", "excited"), *whole(2, "Well."))
    await seen.sees(".emotion", "excited")
    assert await seen.page.locator(".emotion:visible").count() == 1


async def moods(seen) -> list[str]:
    return await seen.page.locator(".emotion").all_inner_texts()


async def test_moods_are_told_as_they_change_with_how_strong_they_are(seen) -> None:
    await seen.call()
    seen.server.say(
        started(1),
        clause(1, 0, "Great news,", "happy", 1.5),
        clause(1, 1, " my friend.", "happy", 1.5),
        clause(1, 2, " It is nine."),
        clause(1, 3, " The train left,", "sad", 0.7),
        clause(1, 4, " alas.", "sad", 1.0),
    )
    await seen.sees(".reply", "alas.")
    assert await moods(seen) == ["very happy", "a little sad", "sad"]
    seen.server.say(started(1), clause(1, 0, "Great news.", "excited", 1.0))
    await seen.sees(".emotion", "excited")
    assert await moods(seen) == ["excited"], "told once more, it is written over"


async def test_of_what_was_not_heard_no_mood_is_left(seen) -> None:
    await seen.call()
    seen.server.say(
        started(1),
        clause(1, 0, "Great news,", "happy"),
        clause(1, 1, " but the train left.", "sad"),
        interrupted(1),
        ended(1, "interrupted", "Great"),
    )
    await seen.sees(".reply .mark", "You interrupted")
    assert await moods(seen) == ["happy"]


async def test_words_are_text_not_markup(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "<img src=x onerror=alert(1)>"), *whole(1, "<b>no</b>"))
    await seen.sees(".reply", "<b>no</b>")
    assert await seen.page.locator("#transcript img, #transcript b").count() == 0


async def test_a_long_conversation_follows_until_scrolled_back(seen) -> None:
    await seen.call()
    for number in range(1, 31):
        seen.server.say(transcript(number, f"question {number}"), *whole(number, f"answer {number}"))
    await seen.sees(".reply", "answer 30")
    at_end = "conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight < 40"
    await seen.holds(at_end)
    assert await seen.page.is_hidden("#latest")
    await seen.page.evaluate("conversation.scrollTop = 0")
    await seen.page.wait_for_selector("#latest", state="visible")
    seen.server.say(transcript(31, "question 31"))
    await seen.sees(".turn", "question 31")
    assert await seen.page.evaluate("conversation.scrollTop") == 0
    await seen.page.click("#latest")
    await seen.holds(at_end)
    assert await seen.page.evaluate(
        "document.documentElement.scrollHeight <= innerHeight"
    )  # the page itself never scrolls


async def test_the_page_does_not_grow_for_ever(seen) -> None:
    await seen.call()
    for number in range(1, 251):
        seen.server.say(transcript(number, f"q{number}"), *whole(number, f"a{number}"))
    await seen.sees(".reply", "a250")
    assert await seen.page.locator("#transcript li").count() == 400
    assert await seen.page.locator("#announcer p").count() == 20


@pytest.mark.parametrize(
    ("full", "heard", "length"),
    [
        ("One two three", "One two", 7),
        ("One  two", "One two", 8),
        ("你好。世界", "你好。", 3),
        ("One", "", 0),
        ("One", "Other", 3),
    ],
)
async def test_where_a_reply_was_cut(seen, full: str, heard: str, length: int) -> None:
    assert (
        await seen.page.evaluate("async ([f, h]) => (await import('/transcript.js')).heardLength(f, h)", [full, heard])
        == length
    )
