"""The figures of a call: where the time of the answers went, what was interrupted, what was made in vain."""

from __future__ import annotations

import pytest

from tests.web.script import (
    clause,
    ended,
    false_interruption,
    interrupted,
    metrics,
    spoken,
    started,
    state,
    stats,
    transcript,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def counts(seen, of: str = "counts") -> dict[str, str]:
    pairs = f"[...document.querySelectorAll('#{of} div')].map((row) => [...row.children].map((e) => e.textContent))"
    return dict(await seen.page.evaluate(pairs))


async def figures(seen) -> dict[str, str]:
    return await counts(seen, "link-figures")


async def table(seen) -> dict[str, list[str]]:
    rows = "[...document.querySelectorAll('#timing-table tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    return {name: values for name, *values in await seen.page.evaluate(rows)}


async def test_pictures_of_the_last_answers(seen) -> None:
    await seen.call()
    seen.server.say({"type": "speech_paused", "at": 3520, "end": 1600}, metrics(1))
    await seen.sees("#waterfalls", "610 ms")
    told = "Answer 1: first sound after 610 ms. Waited 600, heard 180, thought 140, voiced 80 ms, begun in your pause."
    assert await seen.page.get_attribute(".waterfall", "aria-label") == told
    for number in range(2, 8):
        seen.server.say(metrics(number, speculated=False, voice_to_voice_ms=1000.0 + number, first_audio_ms=1000.0))
    await seen.sees("#waterfalls", "1007 ms")
    assert await seen.page.locator(".waterfall").count() == 5
    title = await seen.page.locator(".waterfall").first.get_attribute("title")
    assert title.startswith("Answer 3: first sound after 1003 ms")
    await seen.page.locator(".waterfall").nth(2).click()
    assert (await seen.text("#timing-detail")).startswith("Answer 7: first sound after 1007 ms.")


async def test_the_timings_of_the_last_answers(seen) -> None:
    await seen.call()
    seen.server.say(metrics(1), metrics(2, speculated=False, voice_to_voice_ms=1234.4))
    await seen.sees("#waterfalls", "1234 ms")
    await seen.press("Details")
    assert await table(seen) == {
        "Answer": ["1", "2"],
        "End of turn": ["600", "600"],
        "Transcript": ["180", "180"],
        "First token": ["140", "140"],
        "First audio": ["520", "520"],
        "Voice to voice": ["610", "1234"],
        "Begun in your pause": ["yes", "no"],
    }
    await seen.press("Close details")
    await seen.page.locator("#details").wait_for(state="hidden")


async def test_what_is_counted(seen) -> None:
    await seen.call()
    seen.server.say(started(1), clause(1, 0, "One,"), spoken(1, 0, 0), interrupted(1), false_interruption(1))
    seen.server.say(interrupted(1), ended(1, "interrupted", "One"))  # that one was meant
    seen.server.say(started(2) | {"speculated": False}, false_interruption(2))  # it was never quite stopped
    seen.server.say(started(3), *[{"type": "speculation_dropped", "spent_ms": 450.0}] * 2, transcript(4, "done"))
    await seen.sees(".turn", "done")
    assert await counts(seen) == {
        "Interruptions": "1",
        "False interruptions": "2",
        "Answers begun in your pause, used": "2",
        "Answers begun in your pause, dropped": "2 (0.9 s of work)",
    }
    await seen.page.click("#hang-up")
    await seen.state("ready")
    assert (await counts(seen))["Interruptions"] == "1"  # to be looked at
    await seen.call()
    assert set((await counts(seen)).values()) == {"0"}


async def test_the_connection_is_told(seen) -> None:
    await seen.call()
    seen.server.say(stats(1000, 0), stats(1900, 100, "relay"), state("thinking"))
    await seen.state("thinking")
    assert await seen.text("#link") == "Relayed · 10.0 % lost · 3 ms jitter"
    await seen.press("Details")
    assert await seen.text("#link-detail") == "Relayed."
    assert await figures(seen) == {
        "Packets from you": "1900",
        "Lost, late": "100 (5.0 %), 1",
        "Restored from the next packet": "33",
        "Made up in place of the rest": "1.3 s",
        "Jitter, wait for a missing packet": "3 ms, 24 ms",
        "Lost on the way to you": "0.8 %",
        "There and back": "38 ms",
        "Your clock": "12 ppm slow",
    }
    unknown = {"drift_ppm": None, "sent_lost_percent": None, "rtt_ms": None, "dropped": 25}
    seen.server.say(stats(2000, 100) | unknown, state("listening"))
    await seen.state("listening")
    told = await figures(seen)
    assert told["Not heard, the server was too busy"] == "0.5 s"
    assert not told.keys() & {"Lost on the way to you", "There and back", "Your clock"}
    await seen.page.keyboard.press("Escape")
    await seen.page.click("#hang-up")
    await seen.state("ready")
    assert await seen.page.text_content("#link-detail") == "No call is up."
    assert await figures(seen) == {}


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
