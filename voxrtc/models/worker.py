"""Native work in threads of its own, given as async streams: the bridge between an engine and the host's loop.

The function that does the work takes its Job: it emits results, and asks ``job.stops()`` between its native steps.
That is true once the stream was closed; the thread is then free after the step that is running.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import FIRST, Urgency

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work. The worker's thread calls ``emit`` and ``stops``; the stream reads."""

    def __init__(self, work: Callable[[Job[T]], None], urgency: Urgency) -> None:
        self.work = work
        self.cancelled = False
        """Nobody reads any more."""
        self.gave_way = False
        """It was told to stop for something more urgent, and did."""
        self._urgency = urgency
        self._told = False
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[tuple[T | None, BaseException | None, bool]] = asyncio.Queue()
        """Bounded by the work itself: a transcript, the tokens of one answer, the samples of one clause."""

    @property
    def priority(self) -> int:
        return self._urgency.level

    @property
    def hurried(self) -> bool:
        """Something more urgent waits: give what there is and end."""
        return self._told and self._urgency.level > FIRST

    def hurry(self) -> None:
        """Something more urgent has come. Of no effect on what a caller waits for, or will wait for by then."""
        self._told = True

    def stops(self) -> bool:
        """Asked between the native steps: whether to stop."""
        self.gave_way = self.gave_way or self.hurried
        return self.cancelled or self.gave_way

    def emit(self, item: T) -> None:
        self._put(item, None, False)

    def run(self) -> None:
        """Do the work in this thread; how it ends goes to the reader."""
        try:
            if not self.cancelled:
                self.work(self)
        except BaseException as error:  # noqa: BLE001 - carried to the reader, who raises it
            self._put(None, error, True)
        else:
            self._put(None, None, True)

    def refuse(self, error: ModelsError) -> None:
        """End it unstarted."""
        self._put(None, error, True)

    async def results(self) -> AsyncGenerator[T, None]:
        try:
            while True:
                item, error, last = await self._results.get()
                if error is not None:
                    raise error
                if last:
                    return
                assert item is not None
                yield item
        finally:
            self.cancelled = True

    def _put(self, item: T | None, error: BaseException | None, last: bool) -> None:
        if not self._loop.is_closed():  # else the host is gone, and with it the reader
            self._loop.call_soon_threadsafe(self._results.put_nowait, (item, error, last))


class Worker:
    """``threads`` threads that work off one queue, the most urgent first, then in order of arrival.

    When ``bound`` jobs wait already, the oldest of the least urgent gives way to the new one (GaveWay), if it may and
    is no more urgent than that; else the new one is refused: its stream raises ModelsError.
    """

    def __init__(self, name: str, bound: int, threads: int = 1) -> None:
        self._name = name
        self._bound = bound
        self._waiting: list[Job[object]] = []
        """In order of arrival; a list, since urgencies change while they wait."""
        self._running: set[Job[object]] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._loop, name=f"{name}-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    async def stream(self, work: Callable[[Job[T]], None], urgency: Urgency | int = FIRST) -> AsyncGenerator[T, None]:
        """What ``work`` emits, as it comes; raises what it raises. Closing it cancels the job."""
        job = Job(work, urgency if isinstance(urgency, Urgency) else Urgency(urgency))
        self._add(job)  # type: ignore[arg-type]  # a queue of jobs of any kind
        results = job.results()
        try:
            async for item in results:
                yield item
        finally:
            await results.aclose()

    def hurry(self, level: int = FIRST) -> None:
        """Tell whatever runs or waits, and is less urgent than ``level``, to give way."""
        with self._changed:
            for job in (*self._running, *self._waiting):
                if job.priority > level:
                    job.hurry()

    def close(self) -> None:
        """Cancel what runs, refuse what waits, and wait for the threads, that is, for the native steps under way."""
        with self._changed:
            self._closed = True
            for job in self._running:
                job.cancelled = True
            for job in self._waiting:
                job.refuse(self._is_closed())
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _add(self, job: Job[object]) -> None:
        with self._changed:
            if self._closed:
                raise self._is_closed()
            self._waiting = [other for other in self._waiting if not other.cancelled]
            if len(self._waiting) >= self._bound:
                self._make_room(job)
            self._waiting.append(job)
            for other in self._running:
                if other.priority > job.priority:
                    other.hurry()
            self._changed.notify()

    def _is_closed(self) -> ModelsError:
        return ModelsError(f"{self._name} is closed")

    def _make_room(self, newcomer: Job[object]) -> None:
        busy = ModelsError(f"{self._name} has {self._bound} requests waiting; try again shortly")
        least = max(self._waiting, key=lambda job: job.priority)  # max() gives the first among equals: the oldest
        if least.priority == FIRST or least.priority < newcomer.priority:
            raise busy
        self._waiting.remove(least)
        least.refuse(GaveWay(str(busy)))

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = min(self._waiting, key=lambda job: job.priority)  # min() too: the oldest
                self._waiting.remove(job)
                self._running.add(job)
            job.run()
            with self._changed:
                self._running.discard(job)
