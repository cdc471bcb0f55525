"""The lines of one call, one after another: one that breaks is replaced, with the resume token of the call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc import RTCIceServer

from voxrtc.client.desk import Desk
from voxrtc.client.ear import Ear
from voxrtc.client.failed import CallFailed
from voxrtc.client.line import Line, OnEvent
from voxrtc.client.microphone import Microphone

logger = logging.getLogger(__name__)

GRACE_S = 0.25
"""For a silent line of a server that answers; and the first pause between two tries to get a broken call back."""
LONGEST_PAUSE_S = 4.0


@dataclass(frozen=True, slots=True)
class Persistence:
    """``reconnect_s``: for how long a broken line is tried to be replaced, 0 for not at all. ``silent_s``: with neither
    a packet nor an event for this long, the server is asked by another way whether it still lives."""

    reconnect_s: float
    silent_s: float


class Lines:
    """``connect`` first, ``leave`` at the end. ``on_end`` is told why there will be no line any more, and whether that
    is because one broke; ``up`` is set while there is one. ``first`` is the first of them."""

    def __init__(
        self,
        desk: Desk,
        microphone: Microphone,
        ear: Ear,
        persistence: Persistence,
        ice_servers: Sequence[RTCIceServer] | None,
        on_event: OnEvent,
        on_end: Callable[[str, bool], None],
    ) -> None:
        self._desk, self._microphone, self._ear = desk, microphone, ear
        self._keep, self._ice_servers = persistence, ice_servers
        self._on_event, self._on_end = on_event, on_end
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._wake = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.up = asyncio.Event()
        self.first: Line | None = None
        self.session: str | None = None
        self.token: str | None = None

    async def connect(self, how: dict[str, Any]) -> None:
        """The first line; ``how``: what its offer tells beside its SDP. Raises CallFailed."""
        await self._open(how)
        self._watching = asyncio.create_task(self._watch())

    def send(self, message: dict[str, Any]) -> None:
        """Raises CallFailed where it cannot be sent now."""
        if self._line is None:
            raise CallFailed("nothing can be sent: there is no call yet")
        self._line.send(message)

    async def let_go(self) -> None:
        """Whatever becomes of the line, it is the last one."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def leave(self) -> None:
        """Free everything without a word."""
        await self.let_go()
        if self._line is not None:
            await self._line.leave()

    async def _open(self, how: dict[str, Any]) -> None:
        if self.token is not None:
            how = how | {"resume": self.token}
        servers = self._ice_servers
        if servers is None:
            servers = [_ice_server(one) for one in await self._desk.ice_servers()]
        line = self._line = Line(self._desk, self._microphone, self._ear, servers, self._on_event, self._wake.set)
        self.first = self.first or line
        try:
            await line.connect(how)
        finally:
            self.session, self.token = line.session or self.session, line.resume or self.token
        self.up.set()

    # -- a line that breaks -----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Replace lines that break, until one had the last word, or cannot be replaced."""
        while True:
            line = self._line
            assert line is not None
            why = await self._until_broken(line)
            self.up.clear()
            if line.last_word:
                self._on_end(why, False)
                return
            if not await self._mend(line):
                self._on_end(why, True)
                return

    async def _until_broken(self, line: Line) -> str:
        """Why the line is not to be used any more: it has ended, or nothing comes on it."""
        while line.ended is None:
            left = self._keep.silent_s - self._silence(line)
            if left <= 0 and (gone := await self._doubt(line)) is not None:
                return gone
            self._wake.clear()
            try:
                async with asyncio.timeout(max(left, self._keep.silent_s / 4)):
                    await self._wake.wait()
            except TimeoutError:
                pass
        return line.ended

    async def _doubt(self, line: Line) -> str | None:
        """The line is silent: ask by another way. None where it is to be kept for now."""
        try:
            await self._desk.probe()
        except CallFailed as error:
            return f"the server is gone: {error}"
        if not self._keep.reconnect_s:
            return None
        await asyncio.sleep(GRACE_S)
        return "nothing comes on the line any more" if self._silence(line) >= self._keep.silent_s else None

    def _silence(self, line: Line) -> float:
        """Seconds for which nothing has come."""
        heard = max(self._ear.last_packet_at or 0.0, line.last_event_at or 0.0, line.offered_at)
        return self._loop.time() - heard

    async def _mend(self, line: Line) -> bool:
        """Get the call onto a new line, however many tries that takes; False where it cannot be."""
        silent_ms = round(self._silence(line) * 1e3)
        pause, until = 0.0, self._loop.time() + self._keep.reconnect_s
        await line.leave()
        while self.token is not None and self._loop.time() < until:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause or GRACE_S)
            try:
                await self._open({"silent_ms": silent_ms})
            except CallFailed as error:
                logger.info("the call is not back yet: %s", error)
                if self._line is not None:
                    await self._line.leave()
                if error.status is not None and 400 <= error.status < 500:
                    return False
            else:
                return True
        return False


def _ice_server(told: dict[str, Any]) -> RTCIceServer:
    return RTCIceServer(urls=told["urls"], username=told.get("username"), credential=told.get("credential"))
