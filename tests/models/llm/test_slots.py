from voxrtc.models.llm.slots import Slots


def take(slots: Slots, session: str) -> int:
    with slots.use(session) as slot:
        return slot


def test_a_session_keeps_its_slot():
    slots = Slots(2)
    a, b = take(slots, "a"), take(slots, "b")
    assert a != b
    assert [take(slots, s) for s in "abba"] == [a, b, b, a]


def test_the_longest_unused_slot_goes_to_a_newcomer():
    slots = Slots(2)
    a, b = take(slots, "a"), take(slots, "b")
    take(slots, "a")
    assert take(slots, "c") == b
    assert take(slots, "a") == a


def test_a_busy_slot_is_not_taken_while_another_is_free():
    slots = Slots(2)
    with slots.use("a") as a:
        assert take(slots, "b") != a
        assert take(slots, "c") != a


def test_more_sessions_at_once_than_slots_share_them():
    slots = Slots(1)
    with slots.use("a") as a, slots.use("b") as b:
        assert a == b == 0


def test_a_session_may_use_its_slot_twice_at_once():
    slots = Slots(2)
    with slots.use("a") as first, slots.use("a") as second:
        assert first == second
