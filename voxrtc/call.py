"""One call: a session, whoever carries it now, and what they ask of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time

from voxrtc.asked import Asked
from voxrtc.commands import AnyCommand, HangUp
from voxrtc.dialogue.functions import Function
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.recap import Recap
from voxrtc.dialogue.session import Session
from voxrtc.dialogue.tasks import Tasks
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.networks import Networks
from voxrtc.errors import CallsFull, VoxrtcError, frames
from voxrtc.events import CallEnded, CallMoved, ConnectionLost, Event, MediaStats, Notice
from voxrtc.lines import Leg, Line, Message
from voxrtc.media.totals import LinkTotals
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

STATS_EVERY_S = 2.0
WAITING_LINES = 4
"""Lines that may wait to carry one call, connected or not; a caller who re-offers faster than this is turned away."""
ASK_S = 0.5
"""Seconds in which a caller may show that it is still on its old line when it comes back on another."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a call ends, as events.CallEnded tells it."""

    reason: str
    detail: str = ""


class Call:
    """One session, and whoever carries it now. Its one task, ``live``, owns everything below it."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        networks: Networks,
        phrases: Phrases,
        metrics: Metrics,
        functions: Sequence[Function] = (),
        memory: Memory | None = None,
    ) -> None:
        """``memory``: of an earlier conversation, to go on with."""
        self.id = secrets.token_urlsafe(9)
        self.resume = secrets.token_urlsafe(24)
        self.leg: Leg | None = None
        """Who carries it now."""
        self.ending: Ending | None = None
        """Set once it is to end; nobody can take it up any more."""
        self.waits_s = settings.dialogue.resume_s
        """For a caller who is gone."""
        self._coming: deque[Leg] = deque()
        self._aside = Tasks(self._broke)
        self._closing: set[asyncio.Task[None]] = set()
        self._recap = Recap()
        self._changed = asyncio.Event()
        self._told_lost = False
        self._talked = False
        self._left = "lost", ""
        self._metrics = metrics
        self._totals = LinkTotals()
        self._began = monotonic()
        self._session = Session(
            call=self.id,
            settings=settings,
            models=models,
            detector=Detector(settings.endpointing, networks.silero),
            prosody=networks.prosody,
            emit=self.emit,
            phrases=phrases,
            functions=functions,
            memory=memory,
        )
        self._asked = Asked(self._session.obey, self._notice)

    async def live(self) -> None:
        """Let one line after another carry the session, until the call is to end or nobody comes back."""
        try:
            while self.ending is None:
                if self._coming:
                    await self._carry(self._next())
                else:
                    await self._await_return()
        finally:
            ending = self.ending or Ending("error")
            self.end(ending)
            self._put_down(tuple(self._coming))
            await self._session.close(ending.reason, ending.detail)
            await self._aside.close()
            await asyncio.gather(*self._closing)

    def take(self, leg: Leg, silent_s: float | None = None) -> None:
        """Let ``leg`` carry the call once it is connected, or at once where no other does. ``silent_s``: for how long
        the caller has had nothing on its old line. Raises CallsFull when too many wait for that already."""
        # Whoever comes anew has given up the lines from before that are not connected.
        self._put_down(earlier for earlier in tuple(self._coming) if not earlier.line.up)
        if len(self._coming) + len(self._closing) >= WAITING_LINES:
            raise CallsFull("this call is being reconnected too often; try again in a moment", 1)
        leg.line.on_message = partial(self._on_message, leg)
        leg.line.on_bad_message = self._asked.misunderstood
        leg.line.on_change = self._changed.set
        self._coming.append(leg)
        self._changed.set()
        if self.leg is not None:
            if silent_s is not None:
                self.leg.line.missed(silent_s)
            self._aside.spawn(self.leg.line.ask(ASK_S), "asking on the old line")

    def end(self, ending: Ending) -> None:
        """End the call, if it is not ending already: ``live`` returns when everything below it is gone."""
        if self.ending is None:
            self.ending = ending
            self._changed.set()

    def emit(self, event: Event) -> None:
        """Tell the metrics, and the caller if there is one."""
        self._metrics.observe(event)
        again = self._recap.add(event)
        if self.leg is not None:
            for told in (event, *again):
                self.leg.tell(told)
        if isinstance(event, CallEnded):
            logger.info("call %s: over (%s) after %.0f s", self.id, event.reason, monotonic() - self._began)

    @property
    def carried(self) -> bool:
        """Whether a line carries the call, or is about to."""
        return self.leg is not None or bool(self._coming)

    @property
    def newest(self) -> Line | None:
        """The line that was taken last, where it is not gone."""
        leg = self._coming[-1] if self._coming else self.leg
        return leg.line if leg is not None else None

    async def _until(self, happened: Callable[[], bool]) -> None:
        """Wait until the call is to end, or something has happened that the lines tell."""
        while self.ending is None and not happened():
            self._changed.clear()
            await self._changed.wait()

    def _succeeded(self) -> bool:
        """Whether another line is connected; those that are gone are put down."""
        self._put_down(leg for leg in tuple(self._coming) if leg.line.gone)
        return any(leg.line.up for leg in self._coming)

    def _next(self) -> Leg:
        """Who is to carry the call: the newest that is connected, or else the newest; those that came before it are
        given up."""
        chosen = next((leg for leg in reversed(self._coming) if leg.line.up), self._coming[-1])
        self._put_down(itertools.takewhile(lambda leg: leg is not chosen, tuple(self._coming)))
        self._coming.remove(chosen)
        return chosen

    def _put_down(self, legs: Iterable[Leg]) -> None:
        for leg in legs:
            self._coming.remove(leg)
            self._close(leg)

    def _close(self, leg: Leg) -> None:
        """Free its line; nobody waits for that but the end of the call."""
        if leg.line.up and self.ending is None:
            leg.tell(CallMoved(call=self.id, at=self._session.position, time=time()))
        closing = asyncio.create_task(_see_off(leg.line), name="closing a line")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _broke(self, task: str) -> None:
        self.end(Ending("error", f"An error in the server ended the call (in its task '{task}'); please call again."))

    async def _await_return(self) -> None:
        reason, detail = self._left
        if not self._told_lost:
            self._told_lost = True
            lost = ConnectionLost(
                call=self.id,
                at=self._session.position,
                time=time(),
                reason=reason,
                detail=detail,
                waits_s=self.waits_s,
            )
            self.emit(lost)
        try:
            async with asyncio.timeout(self.waits_s):
                await self._until(lambda: bool(self._coming))
        except TimeoutError:
            self.end(Ending(reason, "The caller did not come back."))

    async def _carry(self, leg: Leg) -> None:
        """Run the session on ``leg`` until its line is gone, another one is connected, or the call is to end."""
        self.leg = leg
        conversing = asyncio.create_task(self._converse(leg.line), name="call-line")
        changing = asyncio.create_task(self._until(self._succeeded), name="call-change")
        try:
            await asyncio.wait({conversing, changing}, return_when=asyncio.FIRST_COMPLETED)
            self._tell_stats(leg.line)
            self._totals.join()
            if self.ending is not None:  # the caller can still be told
                await self._session.close(self.ending.reason, self.ending.detail)
                await leg.line.finish()
        finally:
            leg.line.leave()
            for task in (conversing, changing):
                task.cancel()
            await asyncio.gather(conversing, changing, return_exceptions=True)
            self.leg = None
            self._close(leg)

    async def _converse(self, line: Line) -> None:
        """As _talk; what nobody expected ends this call with a reason, and no other."""
        try:
            await self._talk(line)
        except Exception as error:  # noqa: BLE001 - other calls must not end of it
            # Not logger.exception: the message of an error may hold what a caller said.
            logger.error("call %s: broke of %s", self.id, frames(error))  # noqa: TRY400
            self.end(Ending("error", "Something broke in this call; please call again."))

    async def _talk(self, line: Line) -> None:
        """One line's time: connect, talk, until it is gone. Ends the call only where it cannot go on."""
        try:
            await line.connected()
        except VoxrtcError as error:
            logger.info("call %s: %s", self.id, error)
            if not self._talked and not self._coming:
                self.end(Ending("lost", str(error)))
            return
        self._talked, self._told_lost = True, False
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._report_stats(line)), group.create_task(self._asked.serve())]
            await self._session.run(line.ears, line.mouth)
            for task in beside:
                task.cancel()
        if self._session.closed:
            self.end(Ending("expired"))  # by itself, and it has said why
            return
        reason = await line.closed()
        logger.info("call %s: its line is gone (%s) %s", self.id, reason, line.detail)
        if reason == "error":
            self.end(Ending("error", line.detail))
        # Also after a proper goodbye it is waited for: a page that is loaded anew says one, and comes back.
        self._left = "hangup" if reason == "hangup" else "lost", line.detail

    async def _report_stats(self, line: Line) -> None:
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            self._tell_stats(line)

    def _tell_stats(self, line: Line) -> None:
        """Tell what the link has counted, while the call is not over."""
        if not self._session.closed:
            counted = line.stats()
            if counted is not None:
                totals = self._totals.of(counted)
                self.emit(MediaStats(call=self.id, at=self._session.position, time=time(), **totals))

    # -- what the caller asks ---------------------------------------------------------------------------------

    def _on_message(self, leg: Leg, message: Message) -> None:
        try:
            for asked in leg.dialect.read(message):
                if isinstance(asked, str):
                    self._asked.answer(leg, asked)
                else:
                    self.ask(asked, leg)
        except ValueError as error:
            self._asked.misunderstood(str(error))

    def ask(self, command: AnyCommand, leg: Leg | None = None) -> None:
        """Have the session do ``command``, which came on ``leg``, once those before it are done, and a line carries the
        call."""
        if isinstance(command, HangUp):
            self.end(Ending("hangup"))
        else:
            self._asked.command(command, leg)

    def _notice(self, code: str, message: str) -> None:
        self.emit(Notice(call=self.id, at=self._session.position, time=time(), code=code, message=message))


async def _see_off(line: Line) -> None:
    """Let the caller have what was sent on ``line``, and free it."""
    await line.finish()
    await line.close()
