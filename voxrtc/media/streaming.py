"""A caller's line over an ordered stream of messages (WebSocket, TCP), where sound comes and goes as samples.

Nothing is lost or reordered there, so there is no jitter buffer; but nothing paces it either. What is said is sent a
little ahead of when it is to be heard (LEAD_S), never more: so what was heard is known as well as on a WebRTC line, and
an interruption has little to take back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.errors import frames
from voxrtc.lines import Gone, Message
from voxrtc.media.stream_ears import StreamEars
from voxrtc.media.stream_mouth import StreamMouth
from voxrtc.settings import Media

logger = logging.getLogger(__name__)

UNSENT = 512
"""Messages that may wait for a caller who does not read; of more, the oldest are dropped and counted."""
FINISH_S = 1.0


class Order(Enum):
    """What a caller is told of the sound that it was sent."""

    CLEAR = "clear"
    """What has not been played yet is void."""


Outgoing = str | Samples | Order
"""A message, sound (n,) at 24 kHz, or what is to become of the sound before."""


class Stream:
    """voxrtc.lines.Line. Whoever owns the connection gives it what comes (``hear``, ``receive``), sends what
    ``outgoing`` yields until that ends, and says when the connection is gone (``end``)."""

    def __init__(self, settings: Media) -> None:
        self.on_message: Callable[[Message], None] = _ignore
        self.on_bad_message: Callable[[str], None] = _ignore
        self.on_change: Callable[[], None] = _nothing
        self.detail = ""
        self.unsent = 0
        """Messages dropped because the caller did not take them."""
        self._ears = StreamEars()
        self._mouth = StreamMouth(settings, self._put, self._void)
        self._outgoing: deque[Outgoing] = deque()
        self._waiting = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._reason: Gone | None = None
        self._gone = asyncio.Event()
        self._closing = False

    # -- for who owns the connection ---------------------------------------------------------------------

    def hear(self, samples: Samples, rate: int) -> None:
        """The caller's next samples (n,) at ``rate`` Hz. Raises AudioError where that cannot be heard."""
        self._ears.hear(samples, rate)

    def receive(self, message: Message) -> None:
        """A message that is not sound."""
        if self.gone:
            return
        try:
            self.on_message(message)
        except Exception as error:  # noqa: BLE001 - it ends this line, and says so
            logger.error("a message handler failed: %s", frames(error))  # noqa: TRY400 - its message may hold words
            self.end("error", f"A message could not be handled ({type(error).__name__}).")

    def refuse(self, why: str) -> None:
        """What came was no message that can be taken; ``why`` is a sentence."""
        if not self.gone:
            self.on_bad_message(why)

    async def outgoing(self) -> AsyncIterator[Outgoing]:
        """What is to be sent, in order; ends with the line. One item counts as sent when the next is asked for."""
        while True:
            while self._outgoing:
                yield self._outgoing.popleft()
            self._written.set()
            if self.gone:
                return
            self._waiting.clear()
            await self._waiting.wait()

    def end(self, reason: Gone, detail: str = "") -> None:
        """The connection is gone, or to be ended."""
        if self._reason is None:
            self._reason, self.detail = reason, detail
            self._ears.close()
            self._mouth.stop()
            self._waiting.set()
            self._gone.set()
            self.on_change()

    # -- Line --------------------------------------------------------------------------------------------

    @property
    def ears(self) -> StreamEars:
        return self._ears

    @property
    def mouth(self) -> StreamMouth:
        return self._mouth

    @property
    def up(self) -> bool:
        return self._reason is None

    @property
    def gone(self) -> bool:
        return self._reason is not None

    def send(self, message: str) -> None:
        """One message to the caller, in order; dropped once the line is over."""
        if self.gone or self._closing:
            return
        if len(self._outgoing) >= UNSENT:
            self._outgoing.popleft()
            self.unsent += 1
        self._append(message)

    async def connected(self) -> None:
        """At once: a stream is up when it is made."""

    async def closed(self) -> Gone:
        await self._gone.wait()
        assert self._reason is not None
        return self._reason

    def stats(self) -> dict[str, Any] | None:
        """None: there are no packets to count."""
        return None

    def missed(self, silent_s: float) -> None:
        self._mouth.take_back(asyncio.get_running_loop().time() - silent_s)

    async def ask(self, timeout: float) -> None:
        """Nothing: TCP tells when nobody is there."""

    def catch_up(self) -> asyncio.Future[None]:
        return self._ears.catch_up()

    def leave(self) -> None:
        self._mouth.stop()

    async def finish(self) -> None:
        """Return once the caller was sent everything, after FINISH_S at the most."""
        self._closing = True
        try:
            async with asyncio.timeout(FINISH_S):
                await self._written.wait()
        except TimeoutError:
            logger.debug("a caller did not take its last messages")

    async def close(self) -> None:
        self.end("closed")

    # -- inside ------------------------------------------------------------------------------------------

    def _put(self, samples: Samples) -> None:
        if len(self._outgoing) >= UNSENT:
            self.end("lost", "The caller does not take what it is sent.")
        elif not self.gone:
            self._append(samples)

    def _void(self) -> None:
        """Sound that is still here is not sent any more; what was sent is not to be played."""
        kept = [item for item in self._outgoing if not isinstance(item, np.ndarray)]
        self._outgoing.clear()
        self._outgoing.extend(kept)
        self._append(Order.CLEAR)

    def _append(self, item: Outgoing) -> None:
        self._outgoing.append(item)
        self._written.clear()
        self._waiting.set()


def _ignore(_: object) -> None:
    pass


def _nothing() -> None:
    pass
