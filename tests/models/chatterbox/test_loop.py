"""The loop over both models, with scripted ones: who gets what, when, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.chatterbox.scripted import Clock, Listener, Sound, Tokens, request
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.chatterbox import spoken
from voxrtc.models.chatterbox.loop import FADE, Loop
from voxrtc.models.chatterbox.parts import TOKEN_SAMPLES
from voxrtc.models.urgency import LAST, SPECULATIVE


class Bench:
    """A loop and its models, stepped by the test."""

    def __init__(self, rows: int = 4, batch: int = 4, waiting: int = 64, **times: float) -> None:
        self.clock = Clock()
        self.tokens = Tokens(self.clock, rows, times.get("step_s", 0.005))
        self.sound = Sound(self.clock, batch, times.get("call_s", 0.05))
        self.broken: list[ModelsError] = []
        self.loop = Loop(self.tokens, self.sound, max_waiting=waiting, clock=self.clock, on_broken=self.broken.append)

    def ask(self, wanted) -> Listener:
        listener = Listener()

        def hear(sounded) -> None:
            listener.sounds.append(sounded)
            listener.at.append(self.clock.now)

        self.loop.submit(wanted, hear, listener.ends.append)
        return listener

    def run(self) -> None:
        for _ in range(20_000):
            if not self.loop.step():
                break
        left = self.loop.statistics()
        assert (left.waiting, left.speaking) == (0, 0)
        assert sorted(self.loop._free) == list(range(self.tokens.rows)), "all rows are free again"


def expected(seed: int, tokens: int):
    return np.repeat(np.asarray([seed * 100 + n for n in range(tokens)], np.float32) / 1e6, TOKEN_SAMPLES)


@settings(max_examples=60, deadline=None)
@given(
    asked=st.lists(st.tuples(st.integers(1, 89), st.integers(0, 12), st.booleans()), min_size=1, max_size=12),
    rows=st.integers(1, 5),
    batch=st.integers(1, 4),
)
def test_everybody_hears_all_of_their_own_and_nothing_else(asked, rows, batch) -> None:
    bench = Bench(rows, batch)
    listeners = []
    for seed, (tokens, steps, cancelled) in enumerate(asked, 1):
        wanted = request(seed, tokens)
        listeners.append((bench.ask(wanted), cancelled))
        for _ in range(steps):
            bench.loop.step()
        if cancelled:
            bench.loop.cancel(wanted)
    bench.run()
    for seed, ((listener, cancelled), (tokens, _, _)) in enumerate(zip(listeners, asked, strict=True), 1):
        assert listener.ends == [None]
        samples, whole = listener.samples(), expected(seed, tokens)
        assert np.array_equal(samples, whole[: samples.size])
        assert cancelled or samples.size == whole.size
        spans = [(one.start, one.end) for one in listener.sounds]
        assert all(a[1] == b[0] and a[0] <= a[1] for a, b in itertools.pairwise(spans))
        assert cancelled or (spans[0][0], spans[-1][1]) == (0, tokens)


def test_the_first_chunk_is_small_and_later_ones_are_larger() -> None:
    bench = Bench()
    bench.ask(request(1, 88))
    bench.run()
    sizes = [size for call in bench.sound.calls for _, size in call]
    assert sizes[0] == 13, "10 and the look-ahead"
    assert sizes[:-1] == sorted(sizes[:-1])
    assert sum(sizes) == 88


def test_chunks_that_are_due_at_once_are_made_in_one_call() -> None:
    bench = Bench(rows=4, batch=4)
    for seed in (1, 2, 3, 4):
        bench.ask(request(seed, 40))
    bench.run()
    assert [seed for seed, _ in bench.sound.calls[0]] == [1, 2, 3, 4]


def test_a_newcomers_first_chunk_goes_before_what_others_can_wait_for() -> None:
    bench = Bench(step_s=0.01, call_s=0.05)
    bench.ask(request(1, 88))
    while len(bench.sound.calls) < 2:
        bench.loop.step()
    newcomer = bench.ask(request(2, 30))
    came, before = bench.clock.now, len(bench.sound.calls)
    while not newcomer.sounds:
        bench.loop.step()
    assert newcomer.at[0] - came < 13 * 0.01 + 2 * 0.05 + 0.02
    assert len(bench.sound.calls) - before <= 2


def test_nobody_starves_while_the_models_are_fast_enough() -> None:
    bench = Bench(rows=8, batch=8, step_s=0.006, call_s=0.08)
    for seed in range(1, 9):
        bench.ask(request(seed, 80))
        for _ in range(3):
            bench.loop.step()
    bench.run()
    assert bench.loop.statistics().starved == 0


@pytest.mark.parametrize("most", [12, 25])
def test_a_runaway_is_ended_faded_out_and_counted(most: int, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.INFO):
        listener = bench.ask(request(1, 90, most=most))
        bench.run()
    samples, whole = listener.samples(), expected(1, most)
    assert samples.size == most * TOKEN_SAMPLES
    assert np.array_equal(samples[:-FADE], whole[:-FADE])
    assert samples[-1] == 0.0
    assert np.abs(np.diff(samples[-FADE:])).max() < whole[-1] / 100, "without a click"
    assert listener.ends == [None]
    assert bench.loop.statistics().runaways == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"a clause was ended after {most} speech tokens: its voice ran away"
    ]


def test_a_clause_that_ends_of_itself_is_not_faded() -> None:
    bench = Bench()
    listener = bench.ask(request(1, 24, most=25))
    bench.run()
    assert np.array_equal(listener.samples(), expected(1, 24))
    assert bench.loop.statistics().runaways == 0


def test_an_utterance_without_tokens_ends_without_sound() -> None:
    bench = Bench()
    listener = bench.ask(request(1, 0))
    bench.run()
    assert (listener.sounds, listener.ends) == ([], [None])
    assert not bench.sound.calls


def test_the_tail_ends_each_clause() -> None:
    bench = Bench()
    loop = Loop(bench.tokens, bench.sound, tail=(150, 151), clock=bench.clock)
    listener = Listener()
    loop.submit(request(1, 5), listener.sounds.append, listener.ends.append)
    while loop.step():
        pass
    assert listener.samples().size == 7 * TOKEN_SAMPLES


def test_a_guess_gives_its_row_to_what_a_caller_waits_for() -> None:
    bench = Bench(rows=1)
    guess = bench.ask(request(1, 60, SPECULATIVE))
    bench.loop.step()
    urgent = bench.ask(request(2, 20))
    bench.run()
    assert isinstance(guess.ends[0], GaveWay)
    assert urgent.ends == [None]


def test_a_guess_that_was_released_does_not_give_way() -> None:
    bench = Bench(rows=1)
    wanted = request(1, 60, SPECULATIVE)
    guess = bench.ask(wanted)
    bench.loop.step()
    wanted.urgency.release()
    bench.ask(request(2, 20))
    bench.run()
    assert guess.ends == [None]


def test_of_too_many_the_least_urgent_are_turned_away() -> None:
    bench = Bench(rows=1, waiting=2)
    listeners = [bench.ask(request(1, 30))]
    bench.loop.step()
    listeners += [bench.ask(request(seed, 10, level)) for seed, level in ((2, LAST), (3, 0), (4, 0))]
    bench.run()
    assert isinstance(listeners[1].ends[0], GaveWay)
    assert [one.ends for one in (listeners[0], *listeners[2:])] == [[None]] * 3


def test_a_call_that_fails_is_told_to_those_it_was_for_without_what_was_said() -> None:
    bench = Bench()
    listener = bench.ask(request(1, 30))
    bench.tokens.fails = True
    bench.loop.step()
    assert str(listener.ends[0]) == "Chatterbox failed (RuntimeError)"
    bench.tokens.fails = False
    later = bench.ask(request(2, 30))
    bench.run()
    assert later.ends == [None]
    assert not bench.broken


def test_three_failures_in_a_row_break_it() -> None:
    bench = Bench()
    bench.tokens.fails = True
    for seed in (1, 2, 3):
        bench.ask(request(seed, 30))
        bench.loop.step()
    assert len(bench.broken) == 1
    with pytest.raises(ModelsError, match="started again"):
        bench.ask(request(4, 3))


def test_a_sound_model_that_always_fails_breaks_it_though_tokens_come() -> None:
    bench = Bench()

    def failing(chunks):
        raise RuntimeError("no sound")

    bench.sound.sound = failing  # type: ignore[method-assign]
    for seed in (1, 2, 3):
        bench.ask(request(seed, 30))
        while bench.loop.step():
            pass
    assert len(bench.broken) == 1


def test_a_guess_whose_tokens_are_all_there_is_not_given_up_for_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(rows=1)
    with monkeypatch.context() as silent:
        silent.setattr(bench.loop, "_due", list)  # no sound is made yet
        guess = bench.ask(request(1, 3, SPECULATIVE))
        while not bench.loop._free or not bench.loop._speaking:
            bench.loop.step()
        bench.ask(request(2, 60))
        bench.loop.step()
        assert not bench.loop._free
        third = bench.ask(request(3, 10))
        bench.loop.step()
        assert guess.ends == []
    bench.run()
    assert guess.ends == third.ends == [None]


async def test_coroutines_hear_their_own_from_one_thread() -> None:
    bench = Bench(rows=3, batch=2)
    bench.loop.start()
    try:

        async def hear(seed: int):
            return np.concatenate([one.samples async for one in spoken.say(bench.loop, request(seed, 10 + seed))])

        heard = await asyncio.gather(*(hear(seed) for seed in range(1, 13)))
        for seed, samples in enumerate(heard, 1):
            assert np.array_equal(samples, expected(seed, 10 + seed))
        stream = spoken.say(bench.loop, request(50, 80))
        await anext(stream)
        await stream.aclose()
    finally:
        await asyncio.to_thread(bench.loop.close)
    assert bench.loop.statistics().speaking == 0
    with pytest.raises(ModelsError, match="closed"):
        await anext(spoken.say(bench.loop, request(1, 3)))
