"""Native work in threads of its own, given as async streams: the bridge between an engine and the host's loop.

The function that does the work takes its Job: it emits results, and looks at ``job.cancelled`` between its native
steps. Closing the stream sets that flag; the thread is then free after the step that is running.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from voxrtc.errors import ModelsError

T = TypeVar("T")

FIRST = 0
"""Priority of what a caller waits for."""
LAST = 1
"""Priority of what may also not happen: it is told to give way as soon as something more urgent waits."""


class Job(Generic[T]):
    """One piece of work. The worker's thread calls ``emit``, ``cancelled`` and ``hurried``; the stream reads."""

    def __init__(self, work: Callable[[Job[T]], None], priority: int) -> None:
        self.work = work
        self.priority = priority
        self.cancelled = False
        """Nobody reads any more."""
        self.hurried = False
        """Something more urgent waits: give what there is and end."""
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[tuple[T | None, BaseException | None, bool]] = asyncio.Queue()
        """Bounded by the work itself: a transcript, the tokens of one answer, the samples of one clause."""

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

    When ``bound`` jobs wait already, the oldest of those that give way (LAST) is refused for the new one; if there is
    none, the new one is: its stream raises ModelsError.
    """

    def __init__(self, name: str, bound: int, threads: int = 1) -> None:
        self._name = name
        self._bound = bound
        self._heap: list[tuple[int, int, Job[object]]] = []
        self._numbers = itertools.count()
        self._running: set[Job[object]] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._loop, name=f"{name}-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    async def stream(self, work: Callable[[Job[T]], None], priority: int = FIRST) -> AsyncGenerator[T, None]:
        """What ``work`` emits, as it comes; raises what it raises. Closing it cancels the job."""
        job = Job(work, priority)
        self._add(job)  # type: ignore[arg-type]  # a queue of jobs of any kind
        results = job.results()
        try:
            async for item in results:
                yield item
        finally:
            await results.aclose()

    def hurry(self) -> None:
        """Tell whatever runs or waits at LAST to give way."""
        with self._changed:
            for job in (*self._running, *(entry[2] for entry in self._heap)):
                job.hurried = job.hurried or job.priority >= LAST

    def close(self) -> None:
        """Cancel what runs, refuse what waits, and wait for the threads, that is, for the native steps under way."""
        with self._changed:
            self._closed = True
            for job in self._running:
                job.cancelled = True
            for _, _, job in self._heap:
                job.refuse(self._is_closed())
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _add(self, job: Job[object]) -> None:
        with self._changed:
            if self._closed:
                raise self._is_closed()
            self._heap = [entry for entry in self._heap if not entry[2].cancelled]
            heapq.heapify(self._heap)
            if len(self._heap) >= self._bound:
                self._make_room()
            heapq.heappush(self._heap, (job.priority, next(self._numbers), job))
            for other in self._running:
                other.hurried = other.hurried or other.priority > job.priority
            self._changed.notify()

    def _is_closed(self) -> ModelsError:
        return ModelsError(f"{self._name} is closed")

    def _make_room(self) -> None:
        busy = ModelsError(f"{self._name} has {self._bound} requests waiting; try again shortly")
        giving_way = [entry for entry in self._heap if entry[0] >= LAST]
        if not giving_way:
            raise busy
        oldest = min(giving_way, key=lambda entry: entry[1])
        self._heap.remove(oldest)
        heapq.heapify(self._heap)
        oldest[2].refuse(busy)

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._heap and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = heapq.heappop(self._heap)[2]
                self._running.add(job)
            job.run()
            with self._changed:
                self._running.discard(job)
