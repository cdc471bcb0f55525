"""Until when a caller heard what left for it."""

import pytest

from voxrtc.media.presence import FRESH_S, PLAYOUT_S, RTT_S, Presence


def test_who_sends_is_there() -> None:
    presence = Presence()
    presence.came(10.0)
    assert presence.heard_until(10.0 + FRESH_S / 2) == 10.0 + FRESH_S / 2


def test_a_line_that_fell_silent() -> None:
    """What was on its way there and back when the last packet came, or waited to be played, does not count."""
    presence = Presence()
    presence.came(10.0)
    assert presence.heard_until(12.0) == pytest.approx(10.0 - RTT_S - PLAYOUT_S)
    presence.reported(10.0, 0.02, 0.3)
    assert presence.heard_until(12.0) == pytest.approx(10.0 - 0.3 - PLAYOUT_S)


def test_a_caller_that_is_heard_and_not_reached() -> None:
    presence = Presence()
    presence.reported(10.0, 2.0, 0.1)
    presence.came(10.5)
    assert not presence.fresh(10.5)
    assert presence.heard_until(10.5) == pytest.approx(8.0 - PLAYOUT_S)
    presence.reported(11.0, 0.05, 0.1)  # it is again
    assert presence.heard_until(11.0) == 11.0


def test_a_caller_that_says_so_itself() -> None:
    presence = Presence()
    presence.came(10.0)
    presence.missed(8.5)
    assert presence.heard_until(10.0) == pytest.approx(8.5 - PLAYOUT_S)


def test_nobody_was_ever_heard() -> None:
    assert Presence().heard_until(5.0) == pytest.approx(5.0 - PLAYOUT_S)
