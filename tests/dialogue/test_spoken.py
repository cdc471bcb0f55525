"""How far a clause was heard."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialogue.scripted import hum
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.dialogue.spoken import Growing, SpokenClause, to_word
from voxrtc.models.wire import Speech, pack
from voxrtc.speakable import speakable


def clause(text: str, *spans: tuple[int, int, int], closed: bool = True) -> SpokenClause:
    """``spans``: (samples, start, end) of each piece of speech."""
    made = SpokenClause(0, 0, text)
    for samples, start, end in spans:
        made.add(Speech(pack(np.zeros(samples, np.float32)), start, end))
    if closed:
        made.speech.close()
    return made


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        (0, ""),
        (100, ""),
        (250, "one"),
        (550, "one two"),
        (700, "one two"),
        (800, "one two"),
        (1100, "one two three"),
        (1300, "one two three"),
    ],
)
def test_inside_a_clause_it_is_proportional_to_the_word(heard: int, text: str) -> None:
    made = clause("one two three", (1300, 0, 13))
    made.mark.heard = heard
    assert made.heard_text() == text


def test_spans_are_exact() -> None:
    made = clause("one two three", (5000, 0, 3), (100, 3, 13))
    made.mark.heard = 5000
    assert made.heard_text() == "one"


def test_spans_count_in_the_text_without_its_leading_space() -> None:
    made = clause(" one two", (300, 0, 3), (400, 3, 7))
    made.mark.heard = 300
    assert made.heard_text() == " one"


def test_while_it_is_being_made_the_rest_is_unheard() -> None:
    made = clause("one two three", (300, 0, 3), closed=False)
    made.mark.heard = 300
    assert made.heard_text() == "one"
    assert not made.all_heard
    made.speech.close()
    assert made.all_heard
    assert made.heard_text() == "one two three"


def test_nothing_made_nothing_heard() -> None:
    assert clause("one two").heard_text() == ""


@in_virtual_time
async def test_after_a_rewind_it_goes_on_where_it_was_heard_last() -> None:
    made = SpokenClause(0, 0, "abcdef")
    samples = hum(6)
    for at in range(0, samples.size, 1000):
        made.add(Speech(pack(samples[at : at + 1000]), 0, 6))
    made.speech.close()
    made.mark.queued, made.mark.heard = 4000, 1500
    made.rewind()
    rest = [part async for part in made.unheard()]
    np.testing.assert_array_equal(np.concatenate(rest), samples[1500:])
    made.mark.heard = samples.size - 1500
    assert made.all_heard


@given(st.text(st.sampled_from("ab ,."), max_size=60), st.integers(0, 80))
def test_to_word_gives_whole_words_of_the_beginning(text: str, chars: int) -> None:
    text = speakable(text)  # one space at a time, as clauses have them
    cut = to_word(text, chars)
    assert text.startswith(cut)
    rest = text[len(cut) :]
    assert not rest or not cut or rest[0] == " " or cut[-1] == " "
    assert abs(len(cut) - min(chars, len(text))) <= max((len(w) for w in text.split(" ")), default=0)


def test_text_without_spaces_is_cut_where_it_is() -> None:
    assert to_word("私は元気です。" * 10, 9) == ("私は元気です。" * 10)[:9]


@in_virtual_time
async def test_growing_is_followed_to_its_end_by_many() -> None:
    growing: Growing[int] = Growing()

    async def follow(start: int) -> list[int]:
        return [item async for item in growing.follow(start)]

    tasks = [asyncio.create_task(follow(start)) for start in (0, 2)]
    for n in range(4):
        growing.append(n)
        await asyncio.sleep(0)
    growing.close()
    assert await asyncio.gather(*tasks) == [[0, 1, 2, 3], [2, 3]]


@in_virtual_time
async def test_growing_passes_an_error_on_after_its_items() -> None:
    growing: Growing[int] = Growing()
    growing.append(1)
    growing.close(ValueError("no more"))
    seen: list[int] = []

    async def follow() -> None:
        async for item in growing.follow():
            seen.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(ValueError, match="no more"):
        await follow()
    assert seen == [1]
