import asyncio
import threading

import pytest

from voxrtc.errors import ModelsError
from voxrtc.models.urgency import LAST, SPECULATIVE, Urgency
from voxrtc.models.worker import Worker


@pytest.fixture
def worker():
    worker = Worker("the test", bound=3)
    yield worker
    worker.close()


class Gate:
    """Work that says it has begun, then waits to be let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.job = None

    def __call__(self, job) -> None:
        self.job = job
        self.begun.set()
        self.go.wait()
        job.emit("gate")


async def collect(stream):
    return [item async for item in stream]


def saying(*items):
    def work(job):
        for item in items:
            job.emit(item)

    return work


async def test_gives_what_the_work_emits(worker):
    assert await collect(worker.stream(saying(1, 2, 3))) == [1, 2, 3]


async def test_raises_what_the_work_raises(worker):
    def work(job):
        job.emit(1)
        raise ModelsError("no")

    stream = worker.stream(work)
    assert await anext(stream) == 1
    with pytest.raises(ModelsError, match="no"):
        await anext(stream)
    assert await collect(worker.stream(saying(2))) == [2], "the thread lives on"


async def test_works_in_another_thread(worker):
    def work(job):
        job.emit(threading.current_thread())

    (thread,) = await collect(worker.stream(work))
    assert thread is not threading.current_thread()


async def test_closing_the_stream_cancels_the_work(worker):
    ended = threading.Event()

    def work(job):
        number = 0
        while not job.cancelled:
            number += 1
            job.emit(number)
            threading.Event().wait(0.001)
        ended.set()

    stream = worker.stream(work)
    assert await anext(stream) == 1
    await stream.aclose()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_cancelled_before_its_turn_it_never_runs(worker):
    gate, ran = Gate(), []
    first = asyncio.create_task(collect(worker.stream(gate)))
    await asyncio.to_thread(gate.begun.wait)
    second = asyncio.create_task(collect(worker.stream(lambda job: ran.append(1))))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.go.set()
    assert await first == ["gate"]
    assert await collect(worker.stream(saying(1))) == [1]
    assert ran == []


async def test_the_urgent_goes_first_and_hurries_the_other(worker):
    gate, order = Gate(), []

    def noting(name):
        return lambda job: order.append(name)

    looking = asyncio.create_task(collect(worker.stream(gate, LAST)))
    await asyncio.to_thread(gate.begun.wait)
    later = asyncio.create_task(collect(worker.stream(noting("look"), LAST)))
    await asyncio.sleep(0)
    assert not gate.job.hurried
    now = asyncio.create_task(collect(worker.stream(noting("answer"))))
    await asyncio.sleep(0)
    assert gate.job.hurried
    gate.go.set()
    await asyncio.gather(looking, later, now)
    assert order == ["answer", "look"]


async def test_hurry_tells_only_what_gives_way(worker):
    for priority, told in ((0, False), (LAST, True)):
        gate = Gate()
        task = asyncio.create_task(collect(worker.stream(gate, priority)))
        await asyncio.to_thread(gate.begun.wait)
        worker.hurry()
        assert gate.job.hurried is told
        gate.go.set()
        await task


async def test_a_guess_goes_between_and_is_promoted_by_its_release(worker):
    for released, expected in ((False, ["answer", "guess", "look"]), (True, ["guess", "answer", "look"])):
        gate, order, guess = Gate(), [], Urgency(SPECULATIVE)
        tasks = [asyncio.create_task(collect(worker.stream(gate)))]
        await asyncio.to_thread(gate.begun.wait)
        for name, urgency in (("look", LAST), ("guess", guess), ("answer", 0)):

            def note(job, name=name, order=order):
                order.append(name)

            tasks.append(asyncio.create_task(collect(worker.stream(note, urgency))))
            await asyncio.sleep(0)
        if released:
            guess.release()
        gate.go.set()
        await asyncio.gather(*tasks)
        assert order == expected


async def test_a_released_guess_gives_way_no_more(worker):
    gate, guess = Gate(), Urgency(SPECULATIVE)
    task = asyncio.create_task(collect(worker.stream(gate, guess)))
    await asyncio.to_thread(gate.begun.wait)
    worker.hurry()
    assert gate.job.hurried
    guess.release()
    assert not gate.job.hurried
    gate.go.set()
    await task


async def test_full_of_guesses_a_look_is_refused_and_an_answer_is_not(worker):
    gate = Gate()
    tasks = [asyncio.create_task(collect(worker.stream(gate)))]
    await asyncio.to_thread(gate.begun.wait)
    guesses = [asyncio.create_task(collect(worker.stream(saying(i), SPECULATIVE))) for i in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ModelsError, match="waiting"):
        await collect(worker.stream(saying(9), LAST))
    answer = asyncio.create_task(collect(worker.stream(saying("answer"))))
    await asyncio.sleep(0)
    with pytest.raises(ModelsError, match="waiting"):
        await guesses[0]
    gate.go.set()
    assert await asyncio.gather(*tasks, *guesses[1:], answer) == [["gate"], [1], [2], ["answer"]]


async def test_full_of_urgent_work_it_refuses(worker):
    gate = Gate()
    tasks = [asyncio.create_task(collect(worker.stream(gate)))]
    await asyncio.to_thread(gate.begun.wait)
    tasks += [asyncio.create_task(collect(worker.stream(saying(i)))) for i in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ModelsError, match="3 requests waiting"):
        await collect(worker.stream(saying(9)))
    gate.go.set()
    assert await asyncio.gather(*tasks) == [["gate"], [0], [1], [2]]


async def test_full_of_looks_the_oldest_makes_room(worker):
    gate = Gate()
    running = asyncio.create_task(collect(worker.stream(gate)))
    await asyncio.to_thread(gate.begun.wait)
    looks = [asyncio.create_task(collect(worker.stream(saying(i), LAST))) for i in range(3)]
    await asyncio.sleep(0)
    newest = asyncio.create_task(collect(worker.stream(saying("new"), LAST)))
    await asyncio.sleep(0)
    with pytest.raises(ModelsError, match="waiting"):
        await looks[0]
    gate.go.set()
    assert await asyncio.gather(running, looks[1], looks[2], newest) == [["gate"], [1], [2], ["new"]]


async def test_closed_it_takes_nothing_and_leaves_no_thread():
    worker = Worker("the test", bound=3, threads=2)
    before = threading.active_count()
    worker.close()
    assert threading.active_count() == before - 2
    with pytest.raises(ModelsError, match="closed"):
        await collect(worker.stream(saying(1)))


async def test_close_ends_what_waits():
    worker = Worker("the test", bound=3)
    gate = Gate()
    running = asyncio.create_task(collect(worker.stream(gate)))
    await asyncio.to_thread(gate.begun.wait)
    waiting = asyncio.create_task(collect(worker.stream(saying(1))))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    with pytest.raises(ModelsError, match="closed"):
        await waiting
    gate.go.set()
    assert await running == ["gate"]
    await closing
