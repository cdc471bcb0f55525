"""The switchboard: admits, makes, finds, resumes and ends calls; ties a Peer to a Session."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from voxrtc.commands import AnyCommand, Configure, HangUp, Interrupt, PushToTalk, Text, parse
from voxrtc.config import Settings
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.vad import SileroModel
from voxrtc.errors import CallsFull, UnknownCall, VoxrtcError
from voxrtc.events import Event, MediaStats, Notice
from voxrtc.media.peer import Peer
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models

logger = logging.getLogger(__name__)

STATS_EVERY_S = 2.0
INBOX = 4
"""Peers and endings that may wait for one call; a caller who re-offers faster than this is turned away."""


COMMANDS = 32
"""Commands that may wait to be obeyed; one more is dropped, and the caller is told."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ICE candidate that the caller trickled (W3C RTCIceCandidateInit); an empty string ends them."""

    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a caller gets for an offer: the call's name, our SDP answer, and the token that brings the session back."""

    session: str
    sdp: str
    resume: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a call ends, as events.CallEnded tells it."""

    reason: str
    detail: str = ""


class Call:
    """One session, and whoever carries it now. Its one task owns everything below it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.id = secrets.token_urlsafe(9)
        self.resume = secrets.token_urlsafe(24)
        self.peer: Peer | None = None
        self._talked = False
        self._resume_s = settings.dialogue.resume_s
        self._metrics = metrics
        self._inbox: asyncio.Queue[Peer | Ending] = asyncio.Queue(INBOX)
        self._commands: asyncio.Queue[AnyCommand] = asyncio.Queue(COMMANDS)

    async def live(self, session: Session) -> None:
        """Let one peer after another carry ``session``, until an Ending comes or nobody comes back."""
        self._session = session
        began = monotonic()
        now = await self._inbox.get()
        while isinstance(now, Peer):
            now = await self._carry_on(now)
        await session.close(now.reason, now.detail)
        while not self._inbox.empty():
            if isinstance(left := self._inbox.get_nowait(), Peer):
                await left.close()
        logger.info("call %s: over (%s) after %.0f s", self.id, now.reason, monotonic() - began)

    def post(self, what: Peer | Ending) -> None:
        """A new peer for the call, or its end. Raises CallsFull when neither can wait any more."""
        try:
            self._inbox.put_nowait(what)
        except asyncio.QueueFull:
            raise CallsFull("this call is being reconnected too often; try again in a moment", 1) from None

    def emit(self, event: Event) -> None:
        """Tell the metrics, and the caller if there is one."""
        self._metrics.observe(event)
        if self.peer is not None:
            self.peer.send(event.to_json())

    @property
    def carried(self) -> bool:
        """Whether a peer carries the call, or is about to."""
        return self.peer is not None or not self._inbox.empty()

    async def _carry_on(self, peer: Peer) -> Peer | Ending:
        """As _carry; what nobody expected ends this call with a reason, and no other."""
        try:
            return await self._carry(peer)
        except Exception:
            logger.exception("call %s: broke", self.id)
            return Ending("error", "Something broke in this call; the server's log says what.")

    async def _carry(self, peer: Peer) -> Peer | Ending:
        """Run the session on ``peer`` until it is gone; return what comes after it."""
        self.peer = peer
        peer.on_message = self._on_message
        peer.on_bad_message = self._on_bad_message
        carrying = asyncio.create_task(self._converse(peer), name=f"call-{self.id}-peer")
        coming = asyncio.create_task(self._inbox.get(), name=f"call-{self.id}-inbox")
        try:
            await asyncio.wait({carrying, coming}, return_when=asyncio.FIRST_COMPLETED)
            following = coming.result() if coming.done() else carrying.result()
            if isinstance(following, Ending):
                await self._session.close(following.reason, following.detail)  # while the caller can still be told
            if following is not None:
                return following
            self.peer = None
            await peer.close()
            # Also after a proper goodbye: a page that is loaded anew says one, and comes back.
            await asyncio.wait({coming}, timeout=self._resume_s)
            if coming.done():
                return coming.result()
            return Ending("hangup" if await peer.closed() == "hangup" else "lost", "The caller did not come back.")
        finally:
            for task in (carrying, coming):
                task.cancel()
            await asyncio.gather(carrying, coming, return_exceptions=True)
            if self.peer is peer:
                self.peer = None
            await peer.close()

    async def _converse(self, peer: Peer) -> Ending | None:
        """One peer's time: connect, talk, until it is gone. An Ending only where the call cannot go on."""
        session = self._session
        try:
            await peer.connected()
        except VoxrtcError as error:
            logger.info("call %s: %s", self.id, error)
            return None if self._talked else Ending("lost", str(error))
        self._talked = True
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._report_stats(peer)), group.create_task(self._obey())]
            await session.run(peer.ears, peer.mouth)
            for task in beside:
                task.cancel()
        if session.closed:
            return Ending("expired")  # by itself, and it has said why
        reason = await peer.closed()
        logger.info("call %s: its peer is gone (%s) %s", self.id, reason, peer.detail)
        return Ending("error", peer.detail) if reason == "error" else None

    async def _report_stats(self, peer: Peer) -> None:
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            at = self._session.position
            peer.send(MediaStats(call=self.id, at=at, time=time(), **peer.stats()).to_json())

    # -- what the data channel brings ------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        try:
            self._commands.put_nowait(parse(message))
        except ValueError as error:
            self._on_bad_message(str(error))
        except asyncio.QueueFull:
            self._notice("too_many_messages", "Messages come faster than they can be followed; one was dropped.")

    def _on_bad_message(self, why: str) -> None:
        self._notice("bad_message", f"A message was not understood: {why.rstrip('.')}.")

    def _notice(self, code: str, message: str) -> None:
        self.emit(Notice(call=self.id, at=self._session.position, time=time(), code=code, message=message))

    async def _obey(self) -> None:
        while True:
            match await self._commands.get():
                case Text(text=text):
                    await self._session.submit_text(text)
                case Interrupt():
                    self._session.interrupt()
                case PushToTalk(pressed=pressed):
                    self._session.push_to_talk(pressed)
                case Configure(language=language, voice=voice, interruptions=interruptions):
                    self._session.configure(language=language, voice=voice, interruptions=interruptions)
                case HangUp():
                    self.post(Ending("hangup"))


class Calls:
    """All calls of one server process. ``settings.server.max_calls`` bounds those that have a peer."""

    def __init__(self, settings: Settings, models: Models, silero: SileroModel, metrics: Metrics) -> None:
        self._settings = settings
        self._models = models
        self._silero = silero
        self._metrics = metrics
        self._phrases = Phrases()
        self._calls: dict[str, Call] = {}
        self._by_token: dict[str, Call] = {}
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self._answering = 0
        self._closing = False
        metrics.calls.set_function(lambda: self.active)

    async def warm(self) -> None:
        """Render the fixed phrases; call once, when the models are ready."""
        self._phrases = await Phrases.render(self._models, self._settings)

    @property
    def active(self) -> int:
        """Calls that have a peer, and offers being answered."""
        return self._answering + sum(call.carried for call in self._calls.values())

    @property
    def waiting(self) -> int:
        """Sessions whose caller has gone and may come back."""
        return sum(not call.carried for call in self._calls.values())

    async def offer(self, sdp: str, resume: str | None = None) -> Answered:
        """Answer a caller's offer with a new call, or with the session that ``resume`` names if it still lives.

        Raises CallsFull where there is no room (yet), SdpError where the offer cannot be answered.
        """
        back = self._by_token.get(resume) if resume else None
        self._admit(back)
        self._answering += 1
        try:
            peer = await Peer.answer(sdp, self._settings)
        finally:
            self._answering -= 1
        try:
            call = self._by_token.get(resume) if resume else None
            call = call or self._begin()
            call.post(peer)
        except CallsFull:
            await peer.close()
            raise
        return Answered(session=call.id, sdp=peer.sdp, resume=call.resume)

    async def add_candidates(self, call: str, candidates: Iterable[Candidate]) -> None:
        """Candidates that the caller trickled. Raises UnknownCall, SdpError."""
        peer = self._find(call).peer
        if peer is None:
            raise UnknownCall(f"call {call} has no connection at present")
        for one in candidates:
            await peer.add_candidate(one.candidate, one.sdp_mid, one.sdp_mline_index)

    async def hang_up(self, call: str) -> None:
        """End a call; returns when everything below it is gone. Raises UnknownCall."""
        await self._end(self._find(call), Ending("hangup"))

    async def close(self) -> None:
        """Admit nobody any more and end every call."""
        self._closing = True
        await asyncio.gather(*(self._end(call, Ending("shutdown")) for call in list(self._calls.values())))

    def _admit(self, back: Call | None) -> None:
        if self._closing:
            raise CallsFull("the server is shutting down", 10, "closing")
        if self._models.ready is None and back is None:
            raise CallsFull("the models are not ready yet; try again in a moment", 2, "loading")
        limit = self._settings.server.max_calls
        if self.active >= limit and (back is None or back.peer is None):
            raise CallsFull(f"all {limit} lines are taken; try again in a moment")

    def _begin(self) -> Call:
        call = Call(self._settings, self._metrics)
        session = Session(
            call=call.id,
            settings=self._settings,
            models=self._models,
            detector=Detector(self._settings.endpointing, self._silero),
            emit=call.emit,
            phrases=self._phrases,
        )
        self._calls[call.id] = self._by_token[call.resume] = call
        task = asyncio.create_task(call.live(session), name=f"call-{call.id}")
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._forget(call))
        logger.info("call %s: begun", call.id)
        return call

    def _forget(self, call: Call) -> None:
        """The call is over. What its task died of, if it did, is raised to the loop's handler, which logs it."""
        del self._calls[call.id], self._by_token[call.resume]
        self._tasks.pop(call).result()

    def _find(self, name: str) -> Call:
        try:
            return self._calls[name]
        except KeyError:
            raise UnknownCall(f"there is no call {name!r} here; it may have ended") from None

    async def _end(self, call: Call, ending: Ending) -> None:
        task = self._tasks[call]
        call.post(ending)
        await asyncio.shield(task)
