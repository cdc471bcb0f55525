"""KV memory in pages: what is reused, what is evicted, and that no page is lost."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrtc.models.voxtral.slots import Slot, Slots, common


def fill(slots: Slots, slot: Slot, ids: list[int]) -> None:
    """Read the rest of ``ids`` into ``slot``."""
    rest = ids[len(slot.ids) :]
    slots.extend(slot, len(rest))
    slot.ids += rest


def taken(slots: Slots, session: str, ids: list[int], most: int | None = None) -> Slot:
    slot = slots.take(session, ids, most or len(ids))
    assert slot is not None
    return slot


def keep(slots: Slots, session: str, ids: list[int]) -> None:
    slot = taken(slots, session, ids)
    fill(slots, slot, ids)
    slots.give(slot)
    slots.check()


def test_next_turn_reads_only_what_is_new() -> None:
    slots = Slots(8, 4)
    keep(slots, "a", list(range(10)))
    slot = taken(slots, "a", [*range(10), 90, 91])
    assert slot.ids == list(range(10))


def test_last_token_is_always_read_again_where_a_token_follows() -> None:
    slots = Slots(8, 4)
    keep(slots, "a", list(range(8)))
    slot = taken(slots, "a", list(range(8)))
    assert slot.ids == list(range(7))
    fill(slots, slot, list(range(8)))
    slots.give(slot)
    assert len(slots.take("a", list(range(8)), 8, anew=0).ids) == 8  # type: ignore[union-attr]


def test_what_differs_is_given_back() -> None:
    slots = Slots(4, 4)
    keep(slots, "a", list(range(16)))
    assert slots.free == 0
    slot = taken(slots, "a", [0, 1, 2, 3, 4, 99, 98])
    assert slot.ids == [0, 1, 2, 3, 4]
    assert len(slot.pages) == 2
    assert slots.free == 2
    slots.check()


def test_without_a_session_nothing_is_kept() -> None:
    slots = Slots(4, 4)
    keep(slots, "", list(range(16)))
    assert slots.free == 4
    assert slots.sessions == 0


def test_longest_unused_session_is_evicted_from_its_end() -> None:
    slots = Slots(6, 4)
    keep(slots, "old", list(range(100, 112)))
    keep(slots, "new", list(range(200, 212)))
    keep(slots, "third", list(range(8)))
    assert slots.sessions == 3
    new = taken(slots, "new", [*range(200, 212), 1])
    assert new.ids == list(range(200, 212))
    slots.give(new)
    assert taken(slots, "old", [*range(100, 112), 1]).ids == list(range(100, 104))
    slots.check()


def test_what_is_in_use_is_never_evicted() -> None:
    slots = Slots(4, 4)
    used = taken(slots, "a", list(range(12)))
    fill(slots, used, list(range(12)))
    assert slots.take("b", list(range(8)), 8) is None
    keep(slots, "b", [1, 2, 3, 4])
    keep(slots, "c", [5, 6, 7, 8])
    assert used.ids == list(range(12))
    assert slots.sessions == 1


def test_what_is_promised_can_be_had() -> None:
    slots = Slots(4, 4)
    slow = taken(slots, "a", [1], most=12)
    assert slots.take("b", [2], 8) is None
    keep(slots, "b", [2, 3, 4])
    fill(slots, slow, list(range(12)))
    slots.check()


def test_second_ask_of_a_session_has_a_slot_of_its_own_and_the_last_to_end_is_kept() -> None:
    slots = Slots(8, 4)
    keep(slots, "a", [1, 2, 3, 4, 5])
    first, second = taken(slots, "a", [1, 2, 3, 4, 5, 6]), taken(slots, "a", [1, 2, 3, 4, 5, 7])
    assert first.ids == [1, 2, 3, 4, 5]
    assert second.ids == []
    fill(slots, first, [1, 2, 3, 4, 5, 6])
    fill(slots, second, [1, 2, 3, 4, 5, 7])
    slots.give(second)
    slots.give(first)
    slots.check()
    assert taken(slots, "a", [1, 2, 3, 4, 5, 6, 8]).ids == [1, 2, 3, 4, 5, 6]


def test_an_ask_that_read_nothing_does_not_cost_what_was_kept() -> None:
    slots = Slots(8, 4)
    first = taken(slots, "a", [1, 2, 3])
    second = taken(slots, "a", [1, 2, 4])
    fill(slots, first, [1, 2, 3])
    slots.give(first)
    slots.give(second)
    slots.check()
    assert taken(slots, "a", [1, 2, 3, 4]).ids == [1, 2, 3]


def test_what_is_not_to_be_relied_on_is_dropped() -> None:
    slots = Slots(8, 4)
    slot = taken(slots, "a", [1, 2, 3])
    fill(slots, slot, [1, 2, 3])
    slots.drop(slot)
    slots.check()
    assert slots.free == 8
    assert taken(slots, "a", [1, 2, 3, 4]).ids == []


def test_no_more_than_was_promised() -> None:
    slots = Slots(8, 4)
    slot = taken(slots, "a", [1, 2, 3])
    with pytest.raises(AssertionError, match="promised"):
        slots.extend(slot, 5)


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)), st.integers(0, 700))
@settings(max_examples=300, deadline=None)
def test_common_prefix(one: list[int], other: list[int], length: int) -> None:
    ours, theirs = [*range(length), *one], [*range(length), *other]
    expected = 0
    while expected < min(len(ours), len(theirs)) and ours[expected] == theirs[expected]:
        expected += 1
    assert common(ours, theirs) == expected


@given(st.binary(min_size=1, max_size=120))
@settings(max_examples=2000, deadline=None)
def test_no_page_is_lost(script: bytes) -> None:
    """Any order of takes, extensions, gives and drops: pages are kept count of, and ids stand for what was written."""
    slots = Slots(script[0] % 12 + 1, script[0] % 3 + 1)
    chance = random.Random(script[0])
    using: list[tuple[Slot, list[int]]] = []
    for what in script[1:]:
        session, action = "abc "[what % 4].strip(), what // 4 % 4
        if action == 0 or not using:
            ids = [chance.randrange(2) for _ in range(what // 16 + 1)]
            if (slot := slots.take(session, ids, len(ids) + what % 5)) is not None:
                assert slot.ids == ids[: len(slot.ids)]
                assert len(slot.ids) < len(ids)
                using.append((slot, ids))
        elif action == 1:
            slot, ids = using[what % len(using)]
            piece = ids[len(slot.ids) : len(slot.ids) + 2]
            slots.extend(slot, len(piece))
            slot.ids += piece
        else:
            slot, _ = using.pop(what % len(using))
            (slots.give if action == 2 else slots.drop)(slot)
        slots.check()
