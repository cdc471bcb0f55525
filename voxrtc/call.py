"""One call: a session, whoever carries it now, and what they ask of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from voxrtc.commands import AnyCommand, Configure, ExportMemory, HangUp, Interrupt, PushToTalk, Text, ToolResult, parse
from voxrtc.config import Settings
from voxrtc.dialogue.functions import Function
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.networks import Networks
from voxrtc.errors import CallsFull, VoxrtcError, frames
from voxrtc.events import CallEnded, Event, MediaStats, Notice
from voxrtc.media.peer import Peer
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models

logger = logging.getLogger(__name__)

STATS_EVERY_S = 2.0
WAITING_PEERS = 4
"""Peers that may wait to carry one call; a caller who re-offers faster than this is turned away."""
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
        self._changed = asyncio.Event()
        self._commands: asyncio.Queue[AnyCommand] = asyncio.Queue(COMMANDS)
        self._dropping = False
        self._talked = False
        self._left = "lost"
        self._resume_s = settings.dialogue.resume_s
        self._metrics = metrics
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
                    await self._carry(self._coming.popleft())
                else:
                    await self._await_return()
        finally:
            ending = self.ending or Ending("error")
            self.end(ending)
            while self._coming:
                await self._coming.popleft().close()
            await self._session.close(ending.reason, ending.detail)

    def take(self, peer: Peer) -> None:
        """Let ``peer`` carry the call from now on. Raises CallsFull when too many wait for that already."""
        if len(self._coming) >= WAITING_PEERS:
            raise CallsFull("this call is being reconnected too often; try again in a moment", 1)
        peer.on_message = self._on_message
        peer.on_bad_message = self._on_bad_message
        self._coming.append(peer)
        self._changed.set()

    def end(self, ending: Ending) -> None:
        """End the call, if it is not ending already: ``live`` returns when everything below it is gone."""
        if self.ending is None:
            self.ending = ending
            self._changed.set()

    def emit(self, event: Event) -> None:
        """Tell the metrics, and the caller if there is one."""
        self._metrics.observe(event)
        if self.peer is not None:
            self.peer.send(event.to_json())
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

    async def _until_changed(self) -> None:
        """Wait for another peer or the end. Takes nothing, so that nothing is lost where the wait is cancelled."""
        while not self._coming and self.ending is None:
            self._changed.clear()
            await self._changed.wait()

    async def _await_return(self) -> None:
        try:
            async with asyncio.timeout(self._resume_s):
                await self._until_changed()
        except TimeoutError:
            self.end(Ending(self._left, "The caller did not come back."))

    async def _carry(self, peer: Peer) -> None:
        """Run the session on ``peer`` until it is gone, replaced, or the call is to end."""
        self.peer = peer
        conversing = asyncio.create_task(self._converse(peer), name="call-peer")
        changing = asyncio.create_task(self._until_changed(), name="call-change")
        try:
            await asyncio.wait({conversing, changing}, return_when=asyncio.FIRST_COMPLETED)
            if self.ending is not None:  # the caller can still be told
                await self._session.close(self.ending.reason, self.ending.detail)
                await peer.finish()
        finally:
            for task in (conversing, changing):
                task.cancel()
            await asyncio.gather(conversing, changing, return_exceptions=True)
            self.peer = None
            await peer.close()

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
            if not self._talked:
                self.end(Ending("lost", str(error)))
            return
        self._talked = True
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
        self._left = "hangup" if reason == "hangup" else "lost"

    async def _report_stats(self, peer: Peer) -> None:
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            at = self._session.position
            peer.send(MediaStats(call=self.id, at=at, time=time(), **peer.stats()).to_json())

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
