"""Many callers at once, through the real loop: prompts arrive while others' answers are being said.

Each caller takes turns: 6 s of sound become a guess at the answer and a transcript, both of which wait for nobody until
the turn's end releases them (after 0.3 s in the mean: before the prompt is read, or while the answer is being said);
the answer goes on the session's own memory; then the caller thinks, for an exponential time, and speaks again. Every
eighth answer is interrupted. All times are drawn from one seed.
"""

from __future__ import annotations

import heapq
import itertools
import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.bench.voxtral.releases import figures, waited
from voxrtc.bench.voxtral.sound import EOS, Words
from voxrtc.bench.voxtral.timing import Wait, spread
from voxrtc.bench.voxtral.watched import Watched
from voxrtc.errors import GaveWay, ModelsError, VoxrtcError
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Request
from voxrtc.models.voxtral.sequence import Clip, Pick, Runner

INTERRUPTED = 8
"""One answer of so many is cancelled."""
PATIENCE_S = 120.0
LEAST_TOKENS = 8
"""Of a stream whose rate counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``callers`` who begin turns for ``seconds``; what is under way then comes to its end.

    ``pause_s``: from the guess to the end of the turn, in the mean (drawn from 0 to its double). ``thinking_s``: from
    an answer's last token to the caller's next guess, in the mean. ``answer`` (some 150 words), ``transcript``: their
    tokens. ``interrupted_s``: from the end of a turn until its answer is cancelled."""

    callers: int = 32
    seconds: float = 10.0
    seed: int = 0
    pause_s: float = 0.3
    thinking_s: float = 0.5
    answer: int = 200
    transcript: int = 24
    interrupted_s: float = 0.15


@dataclass(eq=False, slots=True)
class Stream:
    """One request: a reply or a transcript. Times are of ``perf_counter``; written by the loop's thread."""

    caller: _Caller
    reply: bool
    request: Request
    submitted: float
    times: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    cancelled: float | None = None
    ended: float | None = None
    end: End | ModelsError | None = None


@dataclass(eq=False, slots=True)
class _Caller:
    """A conversation, and the turn that is under way in it."""

    number: int
    session: str
    sessions: int = 0
    ids: list[int] = field(default_factory=list)
    clips: dict[int, Clip] = field(default_factory=dict)
    turn: int = 0
    urgency: Urgency = field(default_factory=Urgency)
    released: float | None = None
    reply: Stream | None = None
    open: int = 0
    """Its requests that have not ended."""


def measure(runner: Runner, sound: Samples, vocabulary: int, wait: Wait, plan: Plan) -> dict[str, Any]:
    """The slowest stream, the longest gap and delay, what a release and a cancel take. Raises VoxrtcError."""
    watched = Watched(runner, wait)
    loop = Loop(watched, max_waiting=4 * plan.callers)
    loop.start()
    try:
        driver = _Driver(loop, sound, Words(vocabulary, plan.seed), plan, runner.context)
        began = perf_counter()
        driver.run()
        took = perf_counter() - began
        longest = loop.statistics().longest_delay_ms
    finally:
        loop.close()
    return driver.figures() | {
        "callers": plan.callers,
        "seconds": round(took, 2),
        "longest_delay_ms": round(longest, 2),
        "step_ms": spread(watched.steps),
        "rows": {"mean": round(float(np.mean(watched.rows_of_steps)), 1), "max": max(watched.rows_of_steps)},
        "chunk_ms": spread(watched.chunks),
        "encoder_stage_ms": spread(watched.stages),
    }


class _Driver:
    """The callers. Everything but the loop's two callbacks happens in the thread that calls run()."""

    def __init__(self, loop: Loop, sound: Samples, words: Words, plan: Plan, context: int) -> None:
        self._loop = loop
        self._sound = sound
        self._words = words
        self._plan = plan
        self._context = context
        self._draws = np.random.default_rng(plan.seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._ended: queue.Queue[Stream] = queue.Queue(4 * plan.callers)  # two requests of each, at the most
        self._callers = [_Caller(number, f"caller {number}.0") for number in range(plan.callers)]
        self._streams: list[Stream] = []
        self._waits: list[tuple[bool, float] | None] = []
        """What each release took."""
        self._began = 0.0
        self.gave_way = 0

    def run(self) -> None:
        """Until every turn that was begun is over. Raises VoxrtcError where one does not end."""
        self._began = perf_counter()
        for caller in self._callers:
            self._at(float(self._draws.exponential(self._plan.thinking_s)), self._speaks, caller)
        while True:
            self._do_what_is_due()
            if not self._due and not any(caller.open for caller in self._callers):
                return
            wait = self._due[0][0] - perf_counter() if self._due else PATIENCE_S
            try:
                self._over(self._ended.get(timeout=max(0.0, wait)))
            except queue.Empty:
                if not self._due:
                    raise VoxrtcError(f"the mix stood still for {PATIENCE_S:g} s") from None

    def _do_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= perf_counter():
            heapq.heappop(self._due)[2]()

    def _at(self, seconds: float, what: Callable[[_Caller], None], caller: _Caller) -> None:
        due = perf_counter() + seconds
        heapq.heappush(self._due, (due, next(self._count), lambda: what(caller)))

    # -- a turn ---------------------------------------------------------------------------------------------

    def _speaks(self, caller: _Caller) -> None:
        """The caller pauses: a guess, and a transcript."""
        if caller.turn and perf_counter() > self._began + self._plan.seconds:
            return  # but everybody has one turn
        clip = Clip(self._sound)
        if (
            len(caller.ids) + clip.tokens + self._plan.answer + 16 > self._context
        ):  # a new call, in place of a window that slides
            caller.sessions += 1
            caller.session = f"caller {caller.number}.{caller.sessions}"
            caller.ids, caller.clips = [], {}
        caller.clips[clip.key] = clip
        caller.ids += self._words.turn(clip) if caller.ids else self._words.prompt(clip)
        caller.turn += 1
        caller.urgency, caller.released = Urgency(SPECULATIVE), None
        caller.reply = self._submit(caller, True)
        self._submit(caller, False, clip)
        self._at(float(self._draws.uniform(0.0, 2.0 * self._plan.pause_s)), self._ends_turn, caller)

    def _submit(self, caller: _Caller, reply: bool, clip: Clip | None = None) -> Stream:
        if clip is None:
            request = Request(
                list(caller.ids),
                self._plan.answer,
                clips=dict(caller.clips),
                session=caller.session,
                urgency=caller.urgency,
            )
        else:
            ids = self._words.transcription(clip)
            request = Request(ids, self._plan.transcript, clips={clip.key: clip}, urgency=caller.urgency)
        stream = Stream(caller, reply, request, perf_counter())

        def on_pick(pick: Pick) -> None:
            stream.times.append(perf_counter())
            stream.tokens.append(pick.token)

        def on_end(end: End | ModelsError) -> None:
            stream.ended, stream.end = perf_counter(), end
            self._ended.put_nowait(stream)

        caller.open += 1
        self._loop.submit(request, on_pick, on_end)
        self._streams.append(stream)
        return stream

    def _ends_turn(self, caller: _Caller) -> None:
        """The end of the turn releases what was a guess; where that gave way, it is asked for anew."""
        caller.released = perf_counter()
        caller.urgency.release()
        reply = caller.reply
        assert reply is not None
        if isinstance(reply.end, GaveWay):
            caller.reply = self._submit(caller, True)
        if caller.turn % INTERRUPTED == caller.number % INTERRUPTED:
            self._at(self._plan.interrupted_s, self._interrupts, caller)

    def _interrupts(self, caller: _Caller) -> None:
        reply = caller.reply
        if reply is not None and reply.ended is None:
            reply.cancelled = perf_counter()
            self._loop.cancel(reply.request)

    def _over(self, stream: Stream) -> None:
        """A request ended."""
        caller = stream.caller
        caller.open -= 1
        if isinstance(stream.end, GaveWay):
            self.gave_way += 1
            if stream is caller.reply and caller.released is not None:
                caller.reply = self._submit(caller, True)
            return
        if isinstance(stream.end, ModelsError):
            raise stream.end
        if stream is not caller.reply:
            return
        caller.ids += [*stream.tokens, EOS]
        if caller.released is not None:
            self._waits.append(waited(stream.times, caller.released))
        self._at(float(self._draws.exponential(self._plan.thinking_s)), self._speaks, caller)

    # -- what came of it ------------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        streams = [stream for stream in self._streams if len(stream.times) >= LEAST_TOKENS]
        if not streams:
            raise VoxrtcError("no answer of the mix had enough tokens to be measured")
        rates = [_rate(stream) for stream in streams]
        gaps = [1e3 * float(gap) for stream in streams for gap in np.diff(stream.times)]
        firsts = [1e3 * (s.times[0] - s.submitted) for s in self._streams if s.times]
        cancels = [1e3 * (s.ended - s.cancelled) for s in self._streams if s.cancelled and s.ended]
        tokens = sum(len(stream.times) for stream in self._streams)
        last = max(stream.times[-1] for stream in streams)
        return {
            "stream_min_tok_s": round(min(rates), 1),
            "stream_tok_s": {name: round(value, 1) for name, value in _low(rates).items()},
            "longest_gap_ms": round(max(gaps), 2),
            "gap_ms": spread(gaps),
            "release_to_first_token_ms": figures(self._waits),
            "first_token_ms": spread(firsts),
            "cancel_ms": spread(cancels) if cancels else None,
            "streams": len(self._streams),
            "tokens_per_s": round(tokens / (last - self._began), 1),
            "gave_way": self.gave_way,
        }


def _rate(stream: Stream) -> float:
    """Tokens a second, from the first to the last."""
    return (len(stream.times) - 1) / max(1e-6, stream.times[-1] - stream.times[0])


def _low(rates: list[float]) -> dict[str, float]:
    p5, p50 = np.percentile(rates, (5, 50))
    return {"min": min(rates), "p5": float(p5), "p50": float(p50)}
