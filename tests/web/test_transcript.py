"""The conversation as it is said: grey until it stands, cut where it was interrupted."""

from __future__ import annotations

import pytest
from script import clause, ended, metrics, spoken, started, transcript, whole

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
    seen.server.say(started(1), clause(1, 0, "Hooray!", "cheerful"), *whole(2, "Well."))
    await seen.sees(".emotion", "cheerful")
    assert await seen.page.locator(".emotion:visible").count() == 1


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


async def test_waterfalls(seen) -> None:
    await seen.call()
    seen.server.say({"type": "speech_paused", "at": 3520, "end": 1600}, metrics(1))
    await seen.sees("#waterfalls", "610 ms")
    told = "Answer 1: first sound after 610 ms. Waited 600, heard 180, thought 140, voiced 80 ms, begun in your pause."
    assert await seen.page.get_attribute(".waterfall", "aria-label") == told
    for number in range(2, 8):
        seen.server.say(metrics(number, speculated=False, voice_to_voice_ms=1000.0 + number, first_audio_ms=1000.0))
    await seen.sees("#waterfalls", "1007 ms")
    assert await seen.page.locator(".waterfall").count() == 5
    await seen.page.locator(".waterfall").first.hover()
    assert (await seen.text("#timing-detail")).startswith("Answer 3: first sound after 1003 ms. Waited 600,")
    await seen.page.locator(".waterfall").nth(1).focus()
    assert (await seen.text("#timing-detail")).startswith("Answer 4:")
    await seen.page.locator(".waterfall").nth(2).click()
    assert (await seen.text("#timing-detail")).startswith("Answer 5:")
    await seen.page.click("summary")
    assert await seen.page.locator("#timing-rows tr").count() == 5
    assert await seen.text("#timing-rows tr:last-child") == "7 600 180 140 80 1007"


async def test_stages_of_an_answer(seen) -> None:
    stages = "async ([m, n]) => (await import('/waterfall.js')).stages(m, n)"
    # 120 ms of silence made the pause; hearing, thinking and voicing fit into the rest of it
    ahead = await seen.page.evaluate(stages, [metrics(first_audio_ms=500.0), 120])
    assert [ahead[k] for k in ("waited", "heard", "thought", "voiced")] == [
        [0, 600],
        [120, 300],
        [300, 440],
        [440, 500],
    ]
    after = await seen.page.evaluate(
        stages, [metrics(speculated=False, first_audio_ms=1000.0, voice_to_voice_ms=1010.0), 120]
    )
    assert [after[k] for k in ("heard", "voiced", "total")] == [[600, 780], [920, 1000], 1010]
    # heard while the caller still spoke: nothing begins before the voice ends
    early = await seen.page.evaluate(stages, [metrics(first_audio_ms=100.0, voice_to_voice_ms=50.0), 120])
    assert [early[k] for k in ("heard", "thought", "voiced", "total")] == [[0, 100], [100, 100], [100, 100], 100]
