"""The switchboard: admits, makes, finds, resumes and ends calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxrtc.call import Call, Ending
from voxrtc.commands import AnyCommand
from voxrtc.dialogue import functions
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import Phrases
from voxrtc.endpointing.networks import Networks
from voxrtc.errors import BadMemory, CallsFull, UnknownCall, frames
from voxrtc.lines import Dialect, Leg
from voxrtc.media.ice import Trickled
from voxrtc.media.peer import Peer
from voxrtc.media.site import Site
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models
from voxrtc.plain import Plain
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Joined:
    """What a caller gets for a line: the call's name, and the token that brings the session back."""

    session: str
    resume: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a caller gets for an offer: the call's name, our SDP answer, and the token that brings the session back."""

    session: str
    sdp: str
    resume: str


class Calls:
    """All calls of one server process. ``settings.server.max_calls`` bounds those that have a peer, and as many
    sessions more may wait for their callers to come back. Raises ConfigError where ``dialogue.tools`` cannot be had."""

    def __init__(self, settings: Settings, models: Models, networks: Networks, metrics: Metrics) -> None:
        self._settings = settings
        self._models = models
        self._networks = networks
        self._metrics = metrics
        self._site = Site(settings)
        self._phrases = Phrases()
        self._functions = functions.load(settings.dialogue.tools)
        self._calls: dict[str, Call] = {}
        self._by_token: dict[str, Call] = {}
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self._answering = 0
        self._closing = False
        metrics.calls.set_function(lambda: self.active)

    async def warm(self) -> None:
        """Render the fixed phrases, and begin to learn the public address; call once, when the models are ready."""
        self._site.open()
        self._phrases = await Phrases.render(self._models, self._settings)

    @property
    def active(self) -> int:
        """Calls that have a line, and offers being answered."""
        return self._answering + sum(call.carried for call in self._calls.values())

    @property
    def waiting(self) -> int:
        """Sessions whose caller has gone and may come back."""
        return sum(not call.carried for call in self._calls.values())

    async def offer(
        self,
        sdp: str,
        resume: str | None = None,
        memory: str | None = None,
        silent_ms: float | None = None,
        dialect: Dialect | None = None,
        first: Sequence[AnyCommand] = (),
        returns: bool = True,
    ) -> Answered:
        """Answer a caller's offer with a new call, or with the session that ``resume`` names if it still lives.
        A new call goes on from ``memory`` (Memory.to_json). ``silent_ms``: for how long the caller has had nothing on
        the connection that it had. ``dialect``: what is spoken on its data channel; the plain one if none.
        ``first``: what is asked of a new call before its caller asks anything.
        ``returns``: whether its caller can come back; else a new call is over when its line is.

        Raises CallsFull where there is no room (yet), SdpError where the offer cannot be answered, BadMemory.
        """
        back = self._resumed(resume)
        self._admit(back)
        if back is None:
            self._remembered(memory)  # before the work of a peer
        lines = 0 if back is not None and back.carried else 1  # who comes back before its peer is gone has one
        self._answering += lines
        dialect = dialect or Plain()
        try:
            peer = await Peer.answer(sdp, self._settings, self._site, dialect)
        finally:
            self._answering -= lines
        try:
            # Admitted once more: what lived may have ended meanwhile, and the server may be closing.
            joined = self.join(Leg(peer, dialect), resume, memory, silent_ms, first, returns)
        except (CallsFull, BadMemory):
            await peer.close()
            raise
        return Answered(session=joined.session, sdp=peer.sdp, resume=joined.resume)

    def join(
        self,
        leg: Leg,
        resume: str | None = None,
        memory: str | None = None,
        silent_ms: float | None = None,
        first: Sequence[AnyCommand] = (),
        returns: bool = True,
    ) -> Joined:
        """Let ``leg``, whose line may yet have to be connected, carry a new call or the session that ``resume`` names;
        the rest as ``offer``. Raises CallsFull or BadMemory, and then the line is the caller's to close."""
        back = self._resumed(resume)
        self._admit(back)
        call = back or self._begin(self._remembered(memory))
        if back is None:
            call.waits_s = call.waits_s if returns else 0.0
            for command in first:
                call.ask(command)
        call.take(leg, None if silent_ms is None else silent_ms / 1000)
        return Joined(session=call.id, resume=call.resume)

    async def add_candidates(self, call: str, candidates: Iterable[Trickled]) -> list[Trickled]:
        """Candidates that the caller trickled, for the peer it made last; returns what that peer found since its
        answer. Where the caller says that it has no more, that is waited for. Raises UnknownCall, SdpError."""
        peer = self._find(call).newest
        if not isinstance(peer, Peer):
            raise UnknownCall(f"call {call} has no WebRTC connection at present")
        complete = False
        for one in candidates:
            await peer.add_candidate(one.candidate, one.sdp_mid, one.sdp_mline_index)
            complete = complete or not one.candidate.strip()
        return await peer.late_candidates(wait=complete)

    async def hang_up(self, call: str) -> None:
        """End a call; returns when everything below it is gone. Raises UnknownCall."""
        ended = self._find(call)
        ended.end(Ending("hangup"))
        await asyncio.wait({self._tasks[ended]})

    async def close(self) -> None:
        """Admit nobody any more and end every call; returns when all are gone."""
        self._closing = True
        for call in self._calls.values():
            call.end(Ending("shutdown"))
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._site.close()

    def _resumed(self, token: str | None) -> Call | None:
        """The call that ``token`` brings back."""
        call = self._by_token.get(token) if token else None
        return call if call is not None and call.ending is None else None

    def _admit(self, back: Call | None) -> None:
        """Raise CallsFull if no peer may be taken now, for a new call or for ``back``."""
        if self._closing:
            raise CallsFull("the server is shutting down", 10, "closing")
        if self._models.ready is None and back is None:
            raise CallsFull("the models are not ready yet; try again in a moment", 2, "loading")
        limit = self._settings.server.max_calls
        if self.active >= limit and (back is None or not back.carried):
            raise CallsFull(f"all {limit} lines are taken; try again in a moment")

    def _remembered(self, memory: str | None) -> Memory | None:
        """The memory that a caller brings along. Raises BadMemory."""
        if memory is None:
            return None
        try:
            return Memory.from_json(self._settings.dialogue.memory_turns, memory)
        except ValueError as error:
            raise BadMemory(f"memory: {error}") from None

    def _begin(self, memory: Memory | None) -> Call:
        self._limit_waiting()
        call = Call(self._settings, self._models, self._networks, self._phrases, self._metrics, self._functions, memory)
        self._calls[call.id] = self._by_token[call.resume] = call
        task = asyncio.create_task(call.live(), name="call")
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._forget(call))
        logger.info("call %s: begun", call.id)
        return call

    def _limit_waiting(self) -> None:
        """Give up the oldest sessions that wait for their callers, where too many do: else callers who come and go
        faster than ``dialogue.resume_s`` would fill the memory. Only here, where a session is added: those whose lines
        go before the next one begins, max_calls at the most, wait as well until then."""
        waiting = [call for call in self._calls.values() if not call.carried and call.ending is None]
        for call in waiting[: max(0, len(waiting) - self._settings.server.max_calls)]:
            call.end(Ending("lost", "The caller did not come back, and the place was needed."))

    def _forget(self, call: Call) -> None:
        """The call is over."""
        del self._calls[call.id], self._by_token[call.resume]
        task = self._tasks.pop(call)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("call %s: did not end as it should: %s", call.id, frames(error))

    def _find(self, name: str) -> Call:
        try:
            return self._calls[name]
        except KeyError:
            raise UnknownCall(f"there is no call {name!r} here; it may have ended") from None
