"""What the loops of Voxtral and Chatterbox share: a thread of its own, which says how it ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.gpu import faults
from voxrtc.models.gpu.driver import Driver
from voxrtc.models.urgency import SPECULATIVE

SAID = "what somebody said"


class Asked:
    def __init__(self, level: int = 0) -> None:
        self.level, self.number = level, 0
        self.ends: list[Exception | None] = []
        self.ended = threading.Event()

    def rank(self) -> tuple[int, int]:
        return self.level, self.number

    def end(self, end: Exception | None) -> None:
        self.ends.append(end)
        self.ended.set()


class Loop(Driver[Asked]):
    """Does all that waits in one step, with ``work``."""

    def __init__(self, work, max_waiting: int = 2) -> None:
        self.broken: list[ModelsError] = []
        super().__init__("Model", "asks", "buy more", max_waiting=max_waiting, on_broken=self.broken.append)
        self.work = work

    def ask(self, *runs: Asked) -> None:
        self._hand_in(runs)

    def step(self) -> bool:
        self._take_in()
        self._turn_away()
        for run in list(self._waiting):
            self.work(self, run)
        self._break_if_dead()
        return False

    def _under_way(self) -> Sequence[Asked]:
        return []

    def _end(self, run: Asked, end: ModelsError | None) -> None:
        self._waiting.remove(run)
        self._tell("an end", run.end, end)


def crash(loop: Loop, run: Asked) -> None:
    raise KeyError(SAID)


def test_a_fault_of_the_loop_itself_is_told_to_all_and_to_the_host(caplog: pytest.LogCaptureFixture) -> None:
    loop, asked = Loop(crash), [Asked(), Asked()]
    loop.ask(*asked)
    with caplog.at_level(logging.WARNING):
        loop.start()
        assert all(one.ended.wait(30) for one in asked)
        loop.close()
    assert {str(end) for one in asked for end in one.ends} == {"Model failed (KeyError); it must be started again"}
    assert len(loop.broken) == 1
    assert "the loop of Model failed with KeyError" in caplog.text
    assert SAID not in caplog.text
    with pytest.raises(ModelsError, match="started again"):
        loop.ask(Asked())


def test_failures_in_a_row_are_counted_by_what_failed() -> None:
    def work(loop: Loop, run: Asked) -> None:
        loop._worked("one")
        loop._failed([run], "two", RuntimeError("CUDA error"), "two")

    loop = Loop(work)
    for count in range(3):
        assert len(loop.broken) == 0, count
        loop.ask(Asked())
        loop.step()
    assert len(loop.broken) == 1


def test_closing_ends_what_waits_and_of_too_many_guesses_go_first() -> None:
    loop = Loop(lambda loop, run: None)
    asked, guess = [Asked(), Asked(), Asked()], Asked(SPECULATIVE)
    loop.ask(guess, *asked)
    loop.step()
    assert isinstance(guess.ends[0], GaveWay)
    assert str(asked[2].ends[0]) == "Model has 2 asks waiting; try again shortly"
    loop.close()
    assert [str(one.ends[0]) for one in asked[:2]] == ["Model is being closed"] * 2


def test_sentences_say_what_helps_and_nothing_that_was_said() -> None:
    assert faults.sentence(RuntimeError("CUDA out of memory"), "Model", "buy more").endswith("for Model; buy more")
    assert faults.sentence(RuntimeError("somebody's words"), "Model", "") == "Model failed (RuntimeError)"
    assert faults.sentence(ModelsError("as it is"), "Model", "") == "as it is"
