"""One thread that owns models on a GPU and does what any number of others ask of them: what all such loops share.

What is asked arrives in an inbox, waits, is under way, and ends: of itself, with a failure, or with the whole loop when
that is closed or broken. What is done next, and with whom, is the business of the class that is made of this one.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.gpu import faults
from voxrtc.models.urgency import FIRST

FAILURES = 3
"""Calls of a model in a row that fail: the CUDA context is taken for dead then."""

Within = Callable[[], AbstractContextManager[None]]


class Asked(Protocol):
    """What is asked for, from its arrival to its end."""

    number: int
    """In order of arrival, from 1."""

    @property
    def level(self) -> int:
        """Of urgency."""

    def rank(self) -> tuple[float, ...]:
        """Who goes first: the least."""


Run = TypeVar("Run", bound=Asked)
Told = TypeVar("Told")


class Driver(abc.ABC, Generic[Run]):
    """Done by a thread of its own (start()), or by step(), in tests.

    ``title``: of the model, for people. ``things``: what is asked of it, many of them. ``remedy``: what helps where the
    GPU's memory is too small. ``max_waiting``: how many may wait; of more, the least urgent are turned away.
    ``on_broken`` is called in the loop's thread when the models do not work any more; all has ended by then.
    ``within``: what the thread's work is done in.
    """

    def __init__(
        self,
        title: str,
        things: str,
        remedy: str,
        *,
        max_waiting: int,
        on_broken: Callable[[ModelsError], None],
        within: Within = contextlib.nullcontext,
    ) -> None:
        self._title = title
        self._things = things
        self._remedy = remedy
        self._max_waiting = max_waiting
        self._on_broken = on_broken
        self._within = within
        self._waiting: list[Run] = []
        self._arrived = 0
        self._failures = 0
        self._failed_in_a_row: collections.Counter[str] = collections.Counter()
        """By what failed: that one model works does not mean that another does."""
        self._thread = threading.Thread(target=self._drive, name=title.lower(), daemon=True)
        # Shared with other threads, under _changed:
        self._changed = threading.Condition()
        self._inbox: list[Run] = []
        self._refusal = ""
        """Why nothing is taken any more."""

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all and wait for the thread, that is, for the call of a model under way."""
        self._refuse(f"{self._title} is being closed")
        if not self._thread.is_alive():
            self._end_all()
        elif threading.current_thread() is not self._thread:
            self._thread.join()

    # -- what differs ---------------------------------------------------------------------------------------

    @abc.abstractmethod
    def step(self) -> bool:
        """One iteration. False when there is nothing left to do. Only for the thread that owns the loop."""

    @abc.abstractmethod
    def _under_way(self) -> Sequence[Run]:
        """Those that have begun."""

    @abc.abstractmethod
    def _end(self, run: Run, end: ModelsError) -> None:
        """Forget ``run``, waiting or under way, and tell its end."""

    def _arrives(self, run: Run) -> None:
        """``run`` was taken out of the inbox."""

    # -- any thread -----------------------------------------------------------------------------------------

    def _hand_in(self, runs: Sequence[Run]) -> None:
        """All or none. Raises ModelsError where nothing is taken (any more)."""
        with self._changed:
            if self._refusal:
                raise ModelsError(self._refusal)
            if len(self._inbox) > self._max_waiting:
                raise self._busy()
            self._inbox += runs
            self._changed.notify()

    @property
    def _queue(self) -> int:
        """How many are not under way yet."""
        return len(self._inbox) + len(self._waiting)

    # -- the thread -----------------------------------------------------------------------------------------

    def _drive(self) -> None:
        try:
            with self._within():
                while self._awaits_work():
                    while not self._refusal and self.step():
                        pass
        except Exception as error:  # noqa: BLE001 - a fault here must be told to all who wait, and to the host
            faults.log(f"the loop of {self._title}", error)
            self._break(ModelsError(f"{self._title} failed ({type(error).__name__}); it must be started again"))
        finally:
            self._end_all()

    def _awaits_work(self) -> bool:
        """Wait for something to do; False when the loop is to end."""
        with self._changed:
            while not self._inbox and not self._refusal:
                self._changed.wait()
            return not self._refusal

    def _take_in(self) -> None:
        with self._changed:
            arrived, self._inbox = self._inbox, []
            self._waiting += arrived
        for run in arrived:
            self._arrived += 1
            run.number = self._arrived
            self._arrives(run)

    def _turn_away(self) -> None:
        """End those that wait beyond ``max_waiting``: the least urgent, of these the last."""
        for run in sorted(self._waiting, key=lambda run: run.rank())[self._max_waiting :]:
            guess = run.level > FIRST
            self._end(run, GaveWay(f"given up: too many {self._things} wait") if guess else self._busy())

    def _tell(self, what: str, told: Callable[[Told], None], item: Told) -> bool:
        """Call ``told``, whoever asked, with ``item``. False where it fails: it must not end the others."""
        try:
            told(item)
        except Exception as error:  # noqa: BLE001 - one reader's fault must not end the others
            faults.log(f"telling {what}", error)
            return False
        return True

    # -- failures -------------------------------------------------------------------------------------------

    def _worked(self, key: str = "") -> None:
        """A call of a model worked; ``key``: of which kind, where one kind may fail while others work."""
        self._failed_in_a_row.pop(key, None)

    def _failed(self, runs: Iterable[Run], what: str, error: Exception, key: str = "") -> None:
        """``what``, a call of a model, failed, which was for ``runs``."""
        faults.log(what, error)
        self._failures += 1
        self._failed_in_a_row[key] += 1
        for run in list(runs):
            self._end_failed(run, ModelsError(faults.sentence(error, self._title, self._remedy)))

    def _end_failed(self, run: Run, error: ModelsError) -> None:
        """As _end(), where a call for ``run`` failed."""
        self._end(run, error)

    def _break_if_dead(self) -> None:
        if max(self._failed_in_a_row.values(), default=0) >= FAILURES and not self._refusal:
            self._break(ModelsError(f"the GPU failed three times in a row; {self._title} must be started again"))

    def _break(self, error: ModelsError) -> None:
        self._refuse(str(error))
        self._end_all()
        self._on_broken(error)

    def _refuse(self, why: str) -> None:
        with self._changed:
            self._refusal = self._refusal or why
            self._changed.notify()

    def _end_all(self) -> None:
        self._take_in()
        for run in [*self._waiting, *self._under_way()]:
            self._end(run, ModelsError(self._refusal))

    def _busy(self) -> ModelsError:
        return ModelsError(f"{self._title} has {self._max_waiting} {self._things} waiting; try again shortly")
