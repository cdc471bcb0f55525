"""How soon many callers hear their first sound, on a clock of the models' own: steps of 4 ms, texts read in 4 ms, calls
of the sound model of 20 ms and 1.5 ms for each chunk, as a large GPU takes them about.

Each caller is given a reply of two clauses, of which the second is asked for when the first has come and is still being
heard, then thinks for a moment, and is given the next.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import numpy as np
import pytest

from tests.models.chatterbox.scripted import Clock, Listener, Sound, Tokens, request
from voxrtc.audio import SPOKEN_RATE
from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import loop
from voxrtc.models.chatterbox.request import Sounded

CLAUSES = (50, 100)


class Hall:
    """Callers until ``seconds`` have passed. ``tells``: the second clause says how much is still to be heard."""

    def __init__(self, callers: int, tells: bool, together: bool = False, seconds: float = 30.0) -> None:
        self.clock = Clock()
        tokens = Tokens(self.clock, 32, 0.004, begin_s=0.004)
        self.loop = loop.Loop(tokens, Sound(self.clock, 16, 0.02, chunk_s=0.0015), clock=self.clock)
        self.tells, self.until = tells, self.clock.now + (0.0 if together else seconds)
        self.firsts: list[float] = []
        self.gaps: list[float] = []
        self.asked = 0
        self._draws = random.Random(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        for number in range(callers):
            self.at(self.clock.now + (0.0 if together else self._thought()), Caller(self, number).ask)
        more = True
        while self._events or more:
            if not more:
                self.clock.now = max(self.clock.now, self._events[0][0])
            while self._events and self._events[0][0] <= self.clock.now:
                heapq.heappop(self._events)[2]()
            more = self.loop.step()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, len(self.firsts) * 1000 + len(self._events), what))

    def later(self, heard: float, what: Callable[[], None]) -> None:
        if heard < self.until:
            self.at(heard + self._thought(), what)

    def _thought(self) -> float:
        return self._draws.expovariate(2.0)

    def first_ms(self, share: float) -> float:
        return 1000 * float(np.percentile(self.firsts, share))


class Caller:
    def __init__(self, hall: Hall, number: int) -> None:
        self.hall, self.number = hall, number

    def ask(self) -> None:
        self.came, self.heard, self.clause = self.hall.clock.now, 0.0, 0
        self._ask_clause()

    def _ask_clause(self) -> None:
        wanted = request(self.number + 1, CLAUSES[self.clause], most=200)
        if self.hall.tells and self.clause:
            wanted.ahead = max(0.0, self.heard - self.hall.clock.now)
        self.hall.loop.submit(wanted, self._hear, self._ended)

    def _hear(self, sounded: Sounded) -> None:
        now = self.hall.clock.now
        if not self.heard:
            self.hall.firsts.append(now - self.came)
        elif now > self.heard:
            self.hall.gaps.append(now - self.heard)
        self.heard = max(self.heard, now) + sounded.samples.size / SPOKEN_RATE

    def _ended(self, end: ModelsError | None) -> None:
        assert end is None
        self.clause += 1
        if self.clause < len(CLAUSES):
            self._ask_clause()
        else:
            self.hall.later(self.heard, self.ask)


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hall]:
    """As it would be with no bound on prompts, nobody held back, and clauses that do not say what comes before them."""

    def hall(callers: int) -> Hall:
        with monkeypatch.context() as plain:
            plain.setattr(loop, "PROMPTS", 1000)
            plain.setattr(loop, "GATHERED", 0)
            return Hall(callers, tells=False)

    return hall


@pytest.mark.parametrize("callers", [16, 32])
def test_who_hears_nothing_yet_goes_before_clauses_that_follow(before: Callable[..., Hall], callers: int) -> None:
    plain, now = before(callers), Hall(callers, tells=True)
    assert now.first_ms(50) < plain.first_ms(50)
    assert now.first_ms(95) < 0.97 * plain.first_ms(95)
    assert not now.gaps, "nobody pays for it"


def test_sixteen_at_one_instant_are_heard_soon() -> None:
    hall = Hall(16, tells=True, together=True)
    assert len(hall.firsts) == 16
    assert hall.first_ms(95) < 200


def test_a_burst_does_not_keep_who_speaks_from_a_next_token_for_long() -> None:
    clock = Clock()
    tokens = Tokens(clock, 32, 0.004, begin_s=0.004)
    speaking = loop.Loop(tokens, Sound(clock), clock=clock)
    listeners = [Listener() for _ in range(20)]
    for seed, listener in enumerate(listeners, 1):
        speaking.submit(request(seed, 20), listener.sounds.append, listener.ends.append)
    waits, steps = [], 0
    while len(tokens.under_way) < 20:
        began = clock.now
        speaking.step()
        steps += 1
        waits.append(clock.now - began)
    assert max(waits) == pytest.approx(loop.PROMPTS * tokens.begin_s + tokens.step_s)
    while speaking.step():
        pass
    assert all(listener.ends == [None] for listener in listeners)


def test_a_clause_that_follows_is_made_in_time_and_late_ones_are_counted() -> None:
    clock = Clock()
    speaking = loop.Loop(Tokens(clock), Sound(clock), clock=clock)
    wanted, listener = request(1, 40), Listener()
    wanted.ahead = 2.0
    speaking.submit(wanted, listener.sounds.append, listener.ends.append)
    while speaking.step():
        pass
    assert speaking.statistics().starved == 0
    late = request(2, 40)
    late.ahead = 0.01
    speaking.submit(late, listener.sounds.append, listener.ends.append)
    while speaking.step():
        pass
    assert speaking.statistics().starved == 1
    assert 0 < speaking.statistics().longest_gap_ms < 200
