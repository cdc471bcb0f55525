"""Speaking for all callers: one thread owns both models, and decides before every step what is done next.

An iteration is one step of the token model, for all clauses that have a row there, and at most one call of the sound
model, for those whose chunk is due. A clause's first chunk is small, so that it is heard soon, later ones are larger,
as each costs about the same; but nobody's listener is to run out of sound, and who would do so first goes first.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.chatterbox.parts import CODES, STOP, TOKENS_PER_S, Chunk, SoundModel, TokenModel
from voxrtc.models.chatterbox.request import Ended, Given, Request, Run, Sounded, Statistics
from voxrtc.models.gpu.driver import Driver, Within

logger = logging.getLogger(__name__)

LOOK_AHEAD = 3
"""Tokens that the sound model keeps back until more have come (its encoder's pre_lookahead_len)."""
CHUNKS = (10, 20, 35, 50)
"""Tokens of a clause's first chunk, second, third, and of each after that: 0.4 s, 0.8 s, 1.4 s, 2 s."""
LEAST = 8
"""Tokens that are worth a call before their chunk is whole, where a listener is about to run out."""
SOON_S = 0.3
"""A listener runs out soon with so much sound left, and as much as two calls of the sound model take."""
KEEPING_UP = 2 * TOKENS_PER_S
"""Steps of the token model for each second that a call of the sound model takes, before the next call: many callers
whose chunks are due one after another would otherwise keep it from its steps, and all would starve."""
PROMPTS = 8
"""Clauses whose text is read between two steps of the token model, at most: each takes about as long as a step, and all
that speak wait for it. With fewer, those who come at once are spread over more calls of the sound model."""
GATHERED = 2
"""Steps that a first chunk is held back, at most, for those of others who came at about the same time, so that one call
makes them all: one of their own would take as long as some ten steps."""
FADE = SPOKEN_RATE * 20 // 1000
"""Samples over which a clause that does not come to its end is faded out."""
REMEDY = "lower models.gpu_memory_gb or server.max_calls"


class Loop(Driver[Run]):
    """Clauses of any number of threads, said by one (start()), which calls their callbacks; or by step(), in tests.

    ``max_waiting``: clauses that may wait for a row; of more, the least urgent are turned away. ``tail``: tokens of
    silence that each clause ends with. ``on_broken`` is called in the loop's thread when the models do not work any
    more; all clauses have ended by then. ``within``: what the thread's work is done in. ``clock``: seconds.
    """

    def __init__(
        self,
        tokens: TokenModel,
        sound: SoundModel,
        *,
        max_waiting: int = 64,
        tail: Sequence[int] = (),
        on_broken: Callable[[ModelsError], None] = lambda error: None,
        within: Within = contextlib.nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("Chatterbox", "clauses", REMEDY, max_waiting=max_waiting, on_broken=on_broken, within=within)
        self._tokens = tokens
        self._sound = sound
        self._tail = list(tail)
        self._clock = clock
        self._speaking: list[Run] = []
        """Those that were admitted: in a row of the token model, or only to be made into sound."""
        self._free = list(range(tokens.rows))[::-1]
        self._call_s = 0.0
        """How long a call of the sound model takes, of late."""
        self._steps_since = 0
        """Steps of the token model since the last call of the sound model."""
        self._counts = dict.fromkeys(("steps", "tokens", "calls", "chunks", "gave_way", "starved", "runaways"), 0)
        self._longest_gap = 0.0

    # -- any thread -----------------------------------------------------------------------------------------

    def submit(self, request: Request, on_sound: Given, on_end: Ended) -> None:
        """Begin ``request``. The loop's thread calls ``on_sound`` with each stretch of sound and ``on_end`` once, at
        last: with None, GaveWay where a guess was given up for what a caller waits for, or another ModelsError.

        Raises ModelsError where nothing is taken (any more).
        """
        self._hand_in([Run(request, on_sound, on_end, self._clock())])

    def cancel(self, request: Request) -> None:
        """End ``request`` before the next step. It is told no sound after the call under way."""
        request.cancelled = True

    def statistics(self) -> Statistics:
        return Statistics(
            waiting=self._queue,
            speaking=len(self._speaking),
            failures=self._failures,
            longest_gap_ms=self._longest_gap * 1000,
            **self._counts,
        )

    # -- the thread -----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One iteration. False when there is nothing left to do. Only for the thread that owns the loop."""
        self._take_in()
        self._end_cancelled()
        self._admit()
        self._turn_away()
        self._next_tokens()
        self._make_sound()
        self._break_if_dead()
        return bool(self._inbox or self._waiting or self._speaking)

    def _under_way(self) -> list[Run]:
        return self._speaking

    def _end_cancelled(self) -> None:
        for run in [run for run in (*self._waiting, *self._speaking) if run.request.cancelled]:
            self._end(run, None)

    # -- rows -----------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give rows to those that wait, in their order, a few between two steps. A clause leaves its row with its last
        token; not more than twice as many as there are rows are under way, so that tokens do not pile up before a slow
        sound model."""
        for run in sorted(self._waiting, key=Run.rank)[:PROMPTS]:
            self._make_way(run)
            if not self._free or len(self._speaking) >= 2 * self._tokens.rows:
                return
            self._waiting.remove(run)
            self._speaking.append(run)
            run.row = self._free.pop()
            utterance = run.request.utterance
            try:
                run.stream = self._sound.open(utterance.voice, utterance.manner.seed)
                self._tokens.begin(run.row, utterance)
            except Exception as error:  # noqa: BLE001 - told to the one it was for
                self._failed([run], "the beginning of a clause", error, "the beginning of a clause")
            else:
                self._worked("the beginning of a clause")

    def _make_way(self, run: Run) -> None:
        """Where there is no row, end the least urgent, the youngest of these, if ``run`` is more urgent."""
        if self._free and len(self._speaking) < 2 * self._tokens.rows:
            return
        # Where rows are short, who has none any more (its tokens are all there) would be ended for nothing.
        others = [other for other in self._speaking if other.level > run.level]
        if not self._free:
            others = [other for other in others if other.row is not None]
        victim = max(others, key=Run.rank, default=None)
        if victim is not None:
            self._counts["gave_way"] += 1
            self._end(victim, GaveWay("given up: its place was needed for what a caller waits for"))

    def _release(self, run: Run) -> None:
        if run.row is not None:
            self._free.append(run.row)
            run.row = None

    # -- tokens -----------------------------------------------------------------------------------------------

    def _next_tokens(self) -> None:
        """One step, for all that have a row."""
        runs = [run for run in self._speaking if run.row is not None]
        if not runs:
            return
        self._counts["steps"] += 1
        self._steps_since += 1
        try:
            picked = self._tokens.step([run.row for run in runs if run.row is not None])
        except Exception as error:  # noqa: BLE001 - told to those it was for
            self._failed(runs, "a step of the voice", error, "a step of the voice")
            return
        self._worked("a step of the voice")
        for run, token in zip(runs, picked, strict=True):
            self._take(run, token)

    def _take(self, run: Run, token: int) -> None:
        self._counts["tokens"] += 1
        run.tokens += 1
        if token < CODES:
            run.pending.append(token)
        if token == STOP or run.tokens >= run.request.utterance.most:
            run.complete = True
            run.runaway = token != STOP
            if run.runaway:
                self._counts["runaways"] += 1
                logger.info("a clause was ended after %d speech tokens: its voice ran away", run.tokens)
            run.pending += self._tail
            self._release(run)
            if not run.pending and not run.sounded:
                self._end(run, None)  # nothing to say

    # -- sound ------------------------------------------------------------------------------------------------

    def _make_sound(self) -> None:
        """One call, for the chunks that are due."""
        if any(run.row is not None for run in self._speaking) and self._steps_since < KEEPING_UP * self._call_s:
            return
        runs = self._due()
        if not runs:
            return
        self._steps_since = 0
        chunks = []
        for run in runs:
            assert run.stream is not None, "not admitted yet"
            chunks.append(Chunk(run.stream, list(run.pending), run.complete))
        began = self._clock()
        self._counts["calls"] += 1
        try:
            sounds = self._sound.sound(chunks)
        except Exception as error:  # noqa: BLE001 - told to those it was for
            self._failed(runs, "the sound of a chunk", error, "the sound of a chunk")
            return
        self._worked("the sound of a chunk")
        now = self._clock()
        self._call_s += 0.3 * (now - began - self._call_s)
        for run, chunk, samples in zip(runs, chunks, sounds, strict=True):
            self._counts["chunks"] += 1
            run.chunks += 1
            run.sounded += len(chunk.tokens)
            run.pending.clear()
            heard = _faded(samples) if run.runaway and chunk.last else samples
            self._give(run, Sounded(heard, *run.span(chunk.last)), now)
            if chunk.last and run in self._speaking:
                self._end(run, None)

    def _due(self) -> list[Run]:
        """Those whose next chunk is to be made now, at most ``batch``, who starves first before the others.

        While somebody who hears nothing waits for a first chunk, chunks of those that have enough to listen to wait; so
        do clauses that follow one which is still being heard.
        """
        now = self._clock()
        due = [run for run in self._speaking if self._is_due(run, now)]
        waiting = [run for run in self._speaking if not run.chunks and self._soon(run, now)]
        if waiting:
            due = [run for run in due if self._soon(run, now)]
        if all(self._may_wait(run) for run in due) and any(0 < _short(run) <= GATHERED for run in waiting):
            return []
        return sorted(due, key=lambda run: (run.level, run.starves))[: self._sound.batch]

    def _may_wait(self, run: Run) -> bool:
        """Whether its first chunk, which is due, may wait for those of others that are due after a few more steps."""
        return not run.chunks and not run.complete and _short(run) > -GATHERED

    def _is_due(self, run: Run, now: float) -> bool:
        if run.complete:
            return True
        listens = run.samples > 0 or run.request.ahead > 0
        return _short(run) <= 0 or (listens and len(run.pending) >= LEAST and self._soon(run, now))

    def _soon(self, run: Run, now: float) -> bool:
        """Whether its listener runs out soon, or hears nothing yet."""
        return run.starves - now < SOON_S + 2 * self._call_s

    def _give(self, run: Run, sounded: Sounded, now: float) -> None:
        if not sounded.samples.size or run.request.cancelled:
            return
        late = now - run.starves
        if late > 0 and (run.samples or run.request.ahead):
            self._counts["starved"] += 1
            self._longest_gap = max(self._longest_gap, late)
        if not run.samples:
            run.heard = max(now, run.due)
        elif late > 0:
            run.heard += late  # the listener goes on from here
        run.samples += sounded.samples.size
        if not self._tell("a stretch of sound", run.on_sound, sounded):
            self._end(run, ModelsError("whoever asked does not take the sound"))

    # -- ends -------------------------------------------------------------------------------------------------

    def _end(self, run: Run, end: ModelsError | None) -> None:
        for runs in (self._waiting, self._speaking):
            if run in runs:
                runs.remove(run)
        self._release(run)
        run.stream = None
        self._tell("the end of a clause", run.on_end, end)


def _faded(samples: Samples) -> Samples:
    """``samples`` (n,) whose end is faded out: they break off in the middle of a sound."""
    size = min(FADE, samples.size)
    faded = samples.copy()
    faded[samples.size - size :] *= np.linspace(1.0, 0.0, size, dtype=np.float32)
    return faded


def _short(run: Run) -> int:
    """Tokens that its next chunk lacks; negative where there are more."""
    return CHUNKS[min(run.chunks, len(CHUNKS) - 1)] + (0 if run.chunks else LOOK_AHEAD) - len(run.pending)
