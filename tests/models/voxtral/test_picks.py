"""The loop in its thread, asked from coroutines."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.models.voxtral.asking import clip
from tests.models.voxtral.scripted_runner import ScriptedRunner, alone
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.picks import Picks
from voxrtc.models.voxtral.request import End, Ended, Picked, Request
from voxrtc.models.voxtral.sequence import Pick, Row


class Gate(ScriptedRunner):
    """For tests only: decodes when it is let, and says when a step waits for that."""

    def __init__(self, *, shut: bool = False, **sizes: int) -> None:
        super().__init__(**sizes)
        self.open = threading.Event()
        self.reached = threading.Event()
        if not shut:
            self.open.set()

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        self.reached.set()
        self.open.wait()
        return super().decode(rows)


@contextlib.asynccontextmanager
async def running(runner: ScriptedRunner) -> AsyncIterator[tuple[Loop, Picks]]:
    loop = Loop(runner)
    loop.start()
    try:
        yield loop, Picks(loop)
    finally:
        if isinstance(runner, Gate):
            runner.open.set()
        await asyncio.to_thread(loop.close)
        loop._slots.check()


async def tokens(picks: Picks, request: Request) -> list[int]:
    return [pick.token async for pick in picks.stream(request)]


async def test_many_callers_at_once() -> None:
    async with running(ScriptedRunner(pages=400, rows=8)) as (loop, picks):

        async def call(number: int) -> None:
            said = [number, 7, number + 1]
            for _ in range(4):
                request = Request(said, 8, session=str(number))
                expected = alone(request, 64)
                assert await tokens(picks, request) == expected
                assert request.end is End.MAX_TOKENS
                said = [*said, *expected, 3]

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(call(number))
        assert loop.statistics().tokens == 20 * 4 * 8
        assert loop.statistics().running == 0


async def test_reply_and_transcript_hear_one_clip() -> None:
    runner = ScriptedRunner()
    async with running(runner) as (_, picks):
        heard = clip()
        asked = picks.ask_together(*(Request([n, *heard.ids()[:9]], 6, {heard.key: heard}) for n in (1, 2)))
        for answer in asked:
            assert [pick.token async for pick in answer] == alone(answer.request, 64)
        assert runner.encoded == [heard.key]


async def test_of_those_asked_together_none_is_begun_where_one_is_too_long() -> None:
    async with running(ScriptedRunner(context=8)) as (loop, picks):
        with pytest.raises(ModelsError, match="context_tokens"):
            picks.ask_together(Request([1], 5), Request(list(range(20)), 5))
        assert len(await tokens(picks, Request([1], 5))) == 5
        assert loop.statistics().tokens == 5


async def test_closing_the_stream_cancels() -> None:
    runner = Gate(shut=True)
    async with running(runner) as (loop, picks):
        request = Request([1, 2, 3], 50, session="a")
        stream = picks.stream(request)
        await anext(stream)
        await stream.aclose()
        runner.open.set()
        assert await tokens(picks, after := Request([1, 2, 3], 2, session="a")) == alone(after, 64)
        assert request.end is End.CANCELLED
        assert loop.statistics().running == 0


async def test_a_failure_is_raised_to_who_asked() -> None:
    runner = ScriptedRunner()
    runner.fails = {1}
    async with running(runner) as (_, picks):
        with pytest.raises(ModelsError, match="Voxtral failed"):
            await tokens(picks, Request([1, 2, 3], 5))
        assert len(await tokens(picks, Request([1, 2, 3], 5))) == 5


async def test_too_long_is_raised_to_who_asked() -> None:
    async with running(ScriptedRunner(context=8)) as (_, picks):
        with pytest.raises(ModelsError, match="context_tokens"):
            await tokens(picks, Request(list(range(20)), 5))


async def test_a_guess_is_told_that_it_gave_way() -> None:
    runner = Gate(shut=True, pages=4, page_size=4, context=16)
    async with running(runner) as (_, picks):
        guess = picks.ask(Request([1, 2], 10, urgency=Urgency(SPECULATIVE)))
        await asyncio.to_thread(runner.reached.wait)
        urgent = picks.ask(Request([3, 4], 10))
        runner.open.set()
        assert [pick.token async for pick in urgent] == alone(urgent.request, 16)
        with pytest.raises(GaveWay):
            async for _ in guess:
                pass


class Untold(Loop):
    """For tests only: a loop whose picks the test makes."""

    def __init__(self) -> None:
        super().__init__(ScriptedRunner())
        self.tell: list[tuple[Picked, Ended]] = []

    def submit_together(self, asks: Sequence[tuple[Request, Picked, Ended]]) -> None:
        self.tell += [(on_pick, on_end) for _, on_pick, on_end in asks]


async def test_picks_of_one_step_wake_the_event_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Untold()
    picks = Picks(loop)
    asked = [picks.ask(Request([n], 5)) for n in range(16)]
    events = asyncio.get_running_loop()
    woken, wake = [], events.call_soon_threadsafe
    monkeypatch.setattr(events, "call_soon_threadsafe", lambda *args: (woken.append(args), wake(*args))[1])
    for step in range(2):
        for number, (on_pick, _) in enumerate(loop.tell):
            on_pick(Pick(number, -1.0))
        assert len(woken) == step + 1
        assert [(await anext(answer)).token for answer in asked] == list(range(16))
    for _, on_end in loop.tell:
        on_end(End.STOP)
    assert [[pick async for pick in answer] for answer in asked] == [[]] * 16


async def test_closing_the_loop_ends_the_streams_and_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Gate(shut=True)
    async with running(runner) as (loop, picks):
        asked = picks.ask(Request([1, 2, 3], 50))
        await asyncio.to_thread(runner.reached.wait)
        refuse = loop._refuse
        # The step under way is done once the loop is being closed, not before.
        monkeypatch.setattr(loop, "_refuse", lambda why: (refuse(why), runner.open.set()))
        await asyncio.to_thread(loop.close)
        with pytest.raises(ModelsError, match="closed"):
            async for _ in asked:
                pass
        with pytest.raises(ModelsError, match="closed"):
            picks.ask(Request([1], 1))
        assert "voxtral" not in {thread.name for thread in threading.enumerate()}


async def test_a_broken_runner_is_told_once_and_the_thread_ends() -> None:
    runner = ScriptedRunner()
    runner.fails = set(range(1, 100))
    told: list[ModelsError] = []
    loop = Loop(runner, on_broken=told.append)
    loop.start()
    picks = Picks(loop)
    asked = [picks.ask(Request([n], 5)) for n in range(5)]
    for answer in asked:
        with pytest.raises(ModelsError):
            await anext(answer)
    await asyncio.to_thread(loop._thread.join)
    assert len(told) == 1
    loop.close()


async def test_nothing_runs_when_there_is_nothing_to_do() -> None:
    async with running(ScriptedRunner()) as (loop, picks):
        await tokens(picks, Request([1, 2], 3))
        steps, real = [], loop.step

        def counted() -> bool:
            steps.append(1)
            return real()

        loop.step = counted  # type: ignore[method-assign]
        await asyncio.sleep(0.05)  # not to wait for anything: what would go on without end shows in it
        assert len(steps) <= 1
        assert len(await tokens(picks, Request([1, 2], 3))) == 3
