"""Continuous batching: one thread owns the runner and decides, before every step, who goes next.

An iteration is at most one piece of prompt work (a chunk of a prompt, or a stage of the encoder) and one step of
decoding for all that run: Orca's iteration-level scheduling (Yu et al., OSDI 2022) with the chunked prefills of
Sarathi-Serve (Agrawal et al., arXiv:2403.02310), so that nobody's speech stutters while another's prompt is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.gpu.driver import Driver
from voxrtc.models.voxtral import turns
from voxrtc.models.voxtral.encodings import Encodings
from voxrtc.models.voxtral.figures import Figures, Statistics
from voxrtc.models.voxtral.limits import measure, most_tokens
from voxrtc.models.voxtral.request import End, Ended, Picked, Request, Run, Usage, spans_of
from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row, Runner
from voxrtc.models.voxtral.slots import Slots

STEP_MS = 30.0
"""How long prompt work may delay the next step of what runs. With a step of 6 ms that leaves 25 tokens a second."""
ALONE_MS = 100.0
"""The same where nothing decodes: how long somebody who comes then may have to wait."""
REMEDY = "lower models.gpu_memory_gb or models.context_tokens, or set models.quantize to int8 or int4"


class Loop(Driver[Run]):
    """Requests of any number of threads, done by one (start()), which calls their callbacks; or by step(), in tests.

    ``max_waiting``: requests that may wait for memory; of more, the least urgent are turned away. ``on_broken`` is
    called in the loop's thread when the runner does not work any more; all requests have ended by then. ``clock``:
    seconds.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        max_waiting: int = 64,
        on_broken: Callable[[ModelsError], None] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("Voxtral", "requests", REMEDY, max_waiting=max_waiting, on_broken=on_broken)
        self._runner = runner
        self._clock = clock
        self._slots = Slots(runner.pages, runner.page_size)
        self._most_tokens = most_tokens(runner)
        self._encodings = Encodings(runner)
        self._figures = Figures()
        self._reading: list[Run] = []
        self._decoding: list[Run] = []

    # -- any thread -----------------------------------------------------------------------------------------

    def submit(self, request: Request, on_pick: Picked, on_end: Ended) -> None:
        """Begin ``request``. The loop's thread calls ``on_pick`` with each token and ``on_end`` once, at last: with the
        reason, or GaveWay where a guess was given up for what a caller waits for, or another ModelsError.

        Raises ModelsError where the request is too long, or nothing is taken (any more).
        """
        self.submit_together([(request, on_pick, on_end)])

    def submit_together(self, asked: Sequence[tuple[Request, Picked, Ended]]) -> None:
        """As submit(), all or none: a clip that more than one of them hears is surely encoded once."""
        runs = []
        for request, on_pick, on_end in asked:
            runs.append(Run(request, on_pick, on_end, spans_of(request.ids, request.clips)))
            measure(request, self._runner)
        self._hand_in(runs)

    def cancel(self, request: Request) -> None:
        """End ``request`` before the next step. It is told no pick after the step under way."""
        request.cancelled = True

    def statistics(self) -> Statistics:
        figures, slots = self._figures, self._slots
        return Statistics(
            waiting=self._queue,
            running=len(self._reading) + len(self._decoding),
            steps=figures.steps,
            tokens=figures.tokens,
            prefilled=figures.prefilled,
            reused=figures.reused,
            encoded=self._encodings.encoded,
            gave_way=figures.gave_way,
            failures=self._failures,
            pages=self._runner.pages,
            pages_free=slots.free,
            pages_idle=slots.idle,
            sessions=slots.sessions,
            longest_delay_ms=figures.longest_delay * 1000,
        )

    def usage(self, session: str) -> Usage | None:
        """Of the last request of ``session`` that was admitted; remembered for the last 1,024 sessions."""
        return self._figures.usage(session)

    def forget_delays(self) -> None:
        """Let ``longest_delay_ms`` begin anew."""
        self._figures.longest_delay = 0.0

    # -- the thread -----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One iteration. False when there is nothing left to do. Only for the thread that owns the loop."""
        self._take_in()
        self._end_cancelled()
        self._admit()
        self._turn_away()
        self._read()
        self._decode()
        self._break_if_dead()
        return bool(self._inbox or self._waiting or self._reading or self._decoding)

    def _arrives(self, run: Run) -> None:
        self._encodings.join(clip for _, clip in run.spans)

    def _under_way(self) -> list[Run]:
        return [*self._reading, *self._decoding]

    def _end_cancelled(self) -> None:
        for runs in (self._waiting, self._reading, self._decoding):
            for run in [run for run in runs if run.request.cancelled]:
                self._end(run, End.CANCELLED)

    # -- memory ---------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give memory to those that wait, in their order: nobody overtakes who waits for memory."""
        for run in sorted(self._waiting, key=Run.rank):
            request = run.request
            tokens = len(request.ids)
            written = min(tokens + max(0, request.max_tokens - 1), self._most_tokens)  # the last token is not read
            self._make_way(run, self._slots.pages_for(written))
            slot = self._slots.take(request.session, request.ids, written, anew=min(1, request.max_tokens))
            if slot is None:
                return
            run.slot = slot
            request.usage = Usage(tokens, len(slot.ids))
            self._figures.admitted(request.session, request.usage)
            self._waiting.remove(run)
            self._reading.append(run)
            self._has_read(run)

    def _make_way(self, run: Run, pages: int) -> None:
        """End less urgent requests, as far as needed, for ``run``; none where that would not do."""
        short = pages - self._slots.available
        if short <= 0:
            return
        for victim in turns.victims(self._under_way(), run.level, short):
            self._figures.gave_way += 1
            self._end(victim, GaveWay("given up: its GPU memory was needed for what a caller waits for"))

    # -- prompts --------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """One piece of prompt work, for the most urgent."""
        if not self._reading:
            return
        run = min(self._reading, key=Run.rank)
        clip = next((clip for _, clip in run.spans if clip.embeds is None), None)
        if clip is None:
            self._prefill(run)
        else:
            self._encode(self._encodings.under_way(clip))

    def _encode(self, clip: Clip) -> None:
        try:
            self._encodings.stage(clip)
        except Exception as error:  # noqa: BLE001 - told to those that wait for it
            hearers = [run for run in (*self._waiting, *self._reading) if any(clip is c for _, c in run.spans)]
            self._failed(hearers, "the encoder", error)
        else:
            self._worked()

    def _prefill(self, run: Run) -> None:
        request, slot = run.request, run.memory
        rows = min(len(self._decoding), self._runner.rows)
        size = self._runner.chunk_size(rows, STEP_MS if rows else ALONE_MS)
        start = len(slot.ids)
        ids = request.ids[start : start + size]
        self._slots.extend(slot, len(ids))
        last = start + len(ids) == len(request.ids) and request.max_tokens > 0
        try:
            pick = self._runner.prefill(Chunk(ids, start, slot.pages, request.clips, last, request.sampling))
        except Exception as error:  # noqa: BLE001 - told to the one it was for
            self._failed([run], "a prefill", error)
            return
        self._worked()
        self._figures.prefilled += len(ids)
        slot.ids += ids
        self._has_read(run)
        if pick is not None:
            self._reading.remove(run)
            self._decoding.append(run)
            run.stepped = self._clock()
            self._picked(run, pick)

    def _has_read(self, run: Run) -> None:
        """Leave the clips that are read; end the request if there is nothing to read and nothing to answer."""
        read = len(run.memory.ids)
        while run.spans and run.spans[0][0] <= read:
            self._encodings.leave([run.spans.pop(0)[1]])
        if read == len(run.request.ids) and not run.request.max_tokens:
            self._end(run, End.MAX_TOKENS)

    # -- answers --------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        """One step."""
        runs = turns.rows(self._decoding, self._runner.rows)
        if not runs:
            return
        self._figures.steps += 1
        self._figures.longest_delay = max(self._figures.longest_delay, self._clock() - min(run.stepped for run in runs))
        rows = []
        for run in runs:
            slot = run.memory
            self._slots.extend(slot, 1)
            rows.append(Row(run.token, len(slot.ids), slot.pages, run.request.sampling))
        try:
            picks = self._runner.decode(rows)
        except Exception as error:  # noqa: BLE001 - told to those it was for
            self._failed(runs, "a step", error)
            return
        self._worked()
        now = self._clock()
        for run, pick in zip(runs, picks, strict=True):
            run.memory.ids.append(run.token)
            run.served = self._figures.steps
            run.stepped = now
            self._picked(run, pick)

    def _picked(self, run: Run, pick: Pick) -> None:
        request = run.request
        self._figures.tokens += 1
        run.picked += 1
        run.token = pick.token
        if request.cancelled:
            return
        if pick.token in request.stop:
            self._end(run, End.STOP)
            return
        if not self._tell("a token", run.on_pick, pick):
            self._end(run, ModelsError("whoever asked does not take the answer"))
            return
        if run.picked == request.max_tokens:
            self._end(run, End.MAX_TOKENS)
        elif len(request.ids) + run.picked >= self._most_tokens:
            self._end(run, End.CONTEXT)

    # -- ends -----------------------------------------------------------------------------------------------

    def _end(self, run: Run, end: End | ModelsError, *, keep: bool = True) -> None:
        """``keep``: what its memory holds is right."""
        for runs in (self._waiting, self._reading, self._decoding):
            if run in runs:
                runs.remove(run)
        self._encodings.leave(clip for _, clip in run.spans)
        run.spans = []
        if run.slot is not None:
            (self._slots.give if keep else self._slots.drop)(run.slot)
        run.request.end = end
        self._tell("the end of a request", run.on_end, end)

    def _end_failed(self, run: Run, error: ModelsError) -> None:
        self._end(run, error, keep=False)
