"""One call: a session, whoever carries it now, and what they ask of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from voxrtc.commands import AnyCommand, Configure, ExportMemory, HangUp, Interrupt, PushToTalk, Text, ToolResult, parse
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
from voxrtc.media.peer import Peer
from voxrtc.media.totals import LinkTotals
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

STATS_EVERY_S = 2.0
WAITING_PEERS = 4
"""Peers that may wait to carry one call, connected or not; a caller who re-offers faster than this is turned away."""
ASK_S = 0.5
"""Seconds in which a caller may show that it is still on its old line when it comes back on another."""
COMMANDS = 32
"""Commands that may wait to be obeyed; one more is dropped, and the caller is told."""


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
        self.peer: Peer | None = None
        """Who carries it now."""
        self.ending: Ending | None = None
        """Set once it is to end; nobody can take it up any more."""
        self._coming: deque[Peer] = deque()
        self._aside = Tasks(self._broke)
        self._closing: set[asyncio.Task[None]] = set()
        self._recap = Recap()
        self._changed = asyncio.Event()
        self._commands: asyncio.Queue[AnyCommand] = asyncio.Queue(COMMANDS)
        self._dropping = False
        self._told_lost = False
        self._talked = False
        self._left = "lost", ""
        self._resume_s = settings.dialogue.resume_s
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

    async def live(self) -> None:
        """Let one peer after another carry the session, until the call is to end or nobody comes back."""
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

    def take(self, peer: Peer, silent_s: float | None = None) -> None:
        """Let ``peer`` carry the call once it is connected, or at once where no other does. ``silent_s``: for how long
        the caller has had nothing on its old line. Raises CallsFull when too many wait for that already."""
        # Whoever offers anew has given up what it offered before, where that is not connected.
        self._put_down(earlier for earlier in tuple(self._coming) if not earlier.up)
        if len(self._coming) + len(self._closing) >= WAITING_PEERS:
            raise CallsFull("this call is being reconnected too often; try again in a moment", 1)
        peer.channel.on_message = self._on_message
        peer.channel.on_bad_message = self._on_bad_message
        peer.on_change = self._changed.set
        self._coming.append(peer)
        self._changed.set()
        if self.peer is not None:
            if silent_s is not None:
                self.peer.missed(silent_s)
            self._aside.spawn(self.peer.ask(ASK_S), "asking on the old line")

    def end(self, ending: Ending) -> None:
        """End the call, if it is not ending already: ``live`` returns when everything below it is gone."""
        if self.ending is None:
            self.ending = ending
            self._changed.set()

    def emit(self, event: Event) -> None:
        """Tell the metrics, and the caller if there is one."""
        self._metrics.observe(event)
        if self.peer is not None:
            self.peer.channel.send(event.to_json())
            for told in self._recap.add(event):
                self.peer.channel.send(told.to_json())
        else:
            self._recap.add(event)
        if isinstance(event, CallEnded):
            logger.info("call %s: over (%s) after %.0f s", self.id, event.reason, monotonic() - self._began)

    @property
    def carried(self) -> bool:
        """Whether a peer carries the call, or is about to."""
        return self.peer is not None or bool(self._coming)

    @property
    def newest(self) -> Peer | None:
        """The peer that was taken last, where it is not gone."""
        return self._coming[-1] if self._coming else self.peer

    async def _until(self, happened: Callable[[], bool]) -> None:
        """Wait until the call is to end, or something has happened that the peers tell."""
        while self.ending is None and not happened():
            self._changed.clear()
            await self._changed.wait()

    def _succeeded(self) -> bool:
        """Whether another peer is connected; those that are gone are put down."""
        self._put_down(gone for gone in tuple(self._coming) if gone.gone)
        return any(peer.up for peer in self._coming)

    def _next(self) -> Peer:
        """Who is to carry the call: the newest that is connected, or else the newest; those that came before it are
        given up."""
        chosen = next((peer for peer in reversed(self._coming) if peer.up), self._coming[-1])
        self._put_down(itertools.takewhile(lambda peer: peer is not chosen, tuple(self._coming)))
        self._coming.remove(chosen)
        return chosen

    def _put_down(self, peers: Iterable[Peer]) -> None:
        for peer in peers:
            self._coming.remove(peer)
            self._close(peer)

    def _close(self, peer: Peer) -> None:
        """Free ``peer``; nobody waits for that but the end of the call."""
        if peer.up and self.ending is None:
            peer.channel.send(CallMoved(call=self.id, at=self._session.position, time=time()).to_json())
        closing = asyncio.create_task(_see_off(peer), name="closing a peer")
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
                waits_s=self._resume_s,
            )
            self.emit(lost)
        try:
            async with asyncio.timeout(self._resume_s):
                await self._until(lambda: bool(self._coming))
        except TimeoutError:
            self.end(Ending(reason, "The caller did not come back."))

    async def _carry(self, peer: Peer) -> None:
        """Run the session on ``peer`` until it is gone, another one is connected, or the call is to end."""
        self.peer = peer
        conversing = asyncio.create_task(self._converse(peer), name="call-peer")
        changing = asyncio.create_task(self._until(self._succeeded), name="call-change")
        try:
            await asyncio.wait({conversing, changing}, return_when=asyncio.FIRST_COMPLETED)
            self._tell_stats(peer)
            self._totals.join()
            if self.ending is not None:  # the caller can still be told
                await self._session.close(self.ending.reason, self.ending.detail)
                await peer.finish()
        finally:
            peer.leave()
            for task in (conversing, changing):
                task.cancel()
            await asyncio.gather(conversing, changing, return_exceptions=True)
            self.peer = None
            self._close(peer)

    async def _converse(self, peer: Peer) -> None:
        """As _talk; what nobody expected ends this call with a reason, and no other."""
        try:
            await self._talk(peer)
        except Exception as error:  # noqa: BLE001 - other calls must not end of it
            # Not logger.exception: the message of an error may hold what a caller said.
            logger.error("call %s: broke of %s", self.id, frames(error))  # noqa: TRY400
            self.end(Ending("error", "Something broke in this call; please call again."))

    async def _talk(self, peer: Peer) -> None:
        """One peer's time: connect, talk, until it is gone. Ends the call only where it cannot go on."""
        try:
            await peer.connected()
        except VoxrtcError as error:
            logger.info("call %s: %s", self.id, error)
            if not self._talked and not self._coming:
                self.end(Ending("lost", str(error)))
            return
        self._talked, self._told_lost = True, False
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._report_stats(peer)), group.create_task(self._obey())]
            await self._session.run(peer.ears, peer.mouth)
            for task in beside:
                task.cancel()
        if self._session.closed:
            self.end(Ending("expired"))  # by itself, and it has said why
            return
        reason = await peer.closed()
        logger.info("call %s: its peer is gone (%s) %s", self.id, reason, peer.detail)
        if reason == "error":
            self.end(Ending("error", peer.detail))
        # Also after a proper goodbye it is waited for: a page that is loaded anew says one, and comes back.
        self._left = "hangup" if reason == "hangup" else "lost", peer.detail

    async def _report_stats(self, peer: Peer) -> None:
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            self._tell_stats(peer)

    def _tell_stats(self, peer: Peer) -> None:
        """Tell what the link has counted, while the call is not over."""
        if not self._session.closed:
            counted = self._totals.of(peer.stats())
            self.emit(MediaStats(call=self.id, at=self._session.position, time=time(), **counted))

    # -- what the data channel brings ------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        try:
            command = parse(message)
        except ValueError as error:
            self._on_bad_message(str(error))
            return
        if isinstance(command, HangUp):
            self.end(Ending("hangup"))
            return
        try:
            self._commands.put_nowait(command)
        except asyncio.QueueFull:
            if not self._dropping:  # one notice a flood: the caller does not read a flood of them either
                self._dropping = True
                self._notice("too_many_messages", "Messages come faster than they can be followed; some are dropped.")

    def _on_bad_message(self, why: str) -> None:
        self._notice("bad_message", f"A message was not understood: {why.rstrip('.')}.")

    def _notice(self, code: str, message: str) -> None:
        self.emit(Notice(call=self.id, at=self._session.position, time=time(), code=code, message=message))

    async def _obey(self) -> None:
        while True:
            command = await self._commands.get()
            self._dropping = False
            match command:
                case Text(text=text):
                    await self._session.submit_text(text)
                case Interrupt():
                    self._session.interrupt()
                case PushToTalk(pressed=pressed):
                    self._session.push_to_talk(pressed)
                case Configure(language=language, voice=voice, interruptions=interruptions, tools=tools):
                    self._session.configure(language=language, voice=voice, interruptions=interruptions, tools=tools)
                case ToolResult(id=call, result=result, error=error):
                    self._session.tool_result(call, result, error)
                case ExportMemory():
                    self._session.export_memory()


async def _see_off(peer: Peer) -> None:
    """Let ``peer`` have what was sent to it, and free it."""
    await peer.finish()
    await peer.close()
