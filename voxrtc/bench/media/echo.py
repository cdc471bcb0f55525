"""Two servers' worth of calls that echo: through voxrtc's media path, and as aiortc's own example does it.

Both take offers as ``voxrtc.calls.Calls`` does, so both are called through the same HTTP application.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from numpy.typing import NDArray

from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, AudioIn, AudioOut, Mark, Samples
from voxrtc.calls import Answered
from voxrtc.errors import UnknownCall, VoxrtcError
from voxrtc.media.peer import Peer
from voxrtc.media.site import Site
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

TAPS = 16
"""Samples at HEARD_RATE that each sample at SPOKEN_RATE is made of: 0.5 ms of delay."""

SURPLUS_BLOCKS = 100

ENDS_KEPT = 4_096


class Echoes(ABC):
    """Calls, each of which echoes. ``ends``: of the last, session, ``time.monotonic()`` of its end, and why."""

    def __init__(self) -> None:
        self.ends: deque[tuple[str, float, str]] = deque(maxlen=ENDS_KEPT)
        self._calls: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """Calls that are not over."""
        return len(self._calls)

    async def offer(self, sdp: str, *resumed: object) -> Answered:
        """Answer ``sdp``. Raises SdpError, or what aiortc raises."""
        session = secrets.token_urlsafe(8)
        call, answer = await self._answer(session, sdp)
        self._calls[session] = call
        return Answered(session, answer, "")

    async def hang_up(self, session: str) -> None:
        """End one. Raises UnknownCall."""
        if session not in self._calls:
            raise UnknownCall(f"there is no call {session}")
        await self._hang_up(self._calls[session])

    async def close(self) -> None:
        """End all; returns when they are over."""
        await asyncio.gather(*(self._hang_up(call) for call in list(self._calls.values())))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, session: str, why: str) -> None:
        if self._calls.pop(session, None) is not None:
            self.ends.append((session, monotonic(), why))

    def _own(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("an echo failed", exc_info=error)

    @abstractmethod
    def refresh(self) -> None:
        """Begin anew, with nothing waiting to be played, where that can be done."""

    @abstractmethod
    async def _answer(self, session: str, sdp: str) -> tuple[Any, str]: ...

    @abstractmethod
    async def _hang_up(self, call: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One of our calls."""

    peer: Peer
    echo: Echo


class Ours(Echoes):
    """``Peer.answer``, what its ears hear resampled to what its mouth speaks."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._site = Site(settings)
        self._site.open()

    async def close(self) -> None:
        await super().close()
        await self._site.close()

    async def add_candidates(self, session: str, candidates: Iterable[Any]) -> None:
        """Candidates that the caller trickled. Raises UnknownCall, SdpError."""
        if session not in self._calls:
            raise UnknownCall(f"there is no call {session}")
        for one in candidates:
            await self._calls[session].peer.add_candidate(one.candidate, one.sdp_mid, one.sdp_mline_index)

    def refresh(self) -> None:
        for line in self._calls.values():
            line.echo.refresh()

    async def _answer(self, session: str, sdp: str) -> tuple[Line, str]:
        peer = await Peer.answer(sdp, self._settings, self._site)
        line = Line(peer, Echo(peer.ears, peer.mouth))
        self._own(line.echo.run())
        self._own(self._until_over(session, peer))
        return line, peer.sdp

    async def _hang_up(self, call: Line) -> None:
        await call.peer.close()

    async def _until_over(self, session: str, peer: Peer) -> None:
        reason = await peer.closed()
        self._over(session, f"{reason}: {peer.detail}" if peer.detail else reason)


class Stock(Echoes):
    """aiortc alone, as its server example: the track that comes in, through a MediaRelay, goes out again."""

    def __init__(self) -> None:
        super().__init__()
        self._relay = MediaRelay()

    async def add_candidates(self, session: str, candidates: Iterable[Any]) -> None:
        """This bench's callers trickle nothing."""
        raise VoxrtcError("the stock server takes no candidates after the offer")

    def refresh(self) -> None:
        """It keeps nothing: what comes in goes out."""

    async def _answer(self, session: str, sdp: str) -> tuple[RTCPeerConnection, str]:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))

        @pc.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            pc.addTrack(self._relay.subscribe(track))

        @pc.on("connectionstatechange")
        async def on_change() -> None:
            if pc.connectionState in ("failed", "closed"):
                self._over(session, pc.connectionState)
                await pc.close()

        await pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return pc, pc.localDescription.sdp

    async def _hang_up(self, call: RTCPeerConnection) -> None:
        await call.close()


class Echo:
    """Says all that is heard.

    Who only says again what comes in stays as late as it ever was. So what was spared for all of SURPLUS_BLOCKS is left
    out, and is lost: it comes of a stall of this machine, since the delays and holes of a network use it up.
    """

    def __init__(self, ears: AudioIn, mouth: AudioOut) -> None:
        self._ears = ears
        self._mouth = mouth
        self._upsampler = Upsampler()
        self.refresh()

    def refresh(self) -> None:
        """Drop what waits to be said, and begin anew."""
        self._mouth.flush()
        self._mark = Mark()
        self._least, self._seen, self._skip = self._mark.queued, 0, 0

    async def run(self) -> None:
        """Until nothing is heard any more."""
        async for block in self._ears:
            samples = self._upsampler.push(block.samples)
            if self._skip:
                self._skip -= 1
                continue
            waiting = self._mark.queued - self._mark.heard
            self._least = min(self._least, waiting) if self._seen else waiting
            self._seen += 1
            if self._seen == SURPLUS_BLOCKS:
                self._skip, self._seen = self._least // SPOKEN_BLOCK, 0
            await self._mouth.play(samples, self._mark)


class Upsampler:
    """Blocks (BLOCK,) at HEARD_RATE to (SPOKEN_BLOCK,) at SPOKEN_RATE: a windowed sinc, continuous over blocks."""

    def __init__(self) -> None:
        self._weights = _weights()
        self._history: Samples = np.zeros(TAPS - 1 + BLOCK, dtype=np.float32)

    def push(self, block: Samples) -> Samples:
        """The next block."""
        history = self._history
        history[: TAPS - 1] = history[-(TAPS - 1) :]
        history[TAPS - 1 :] = block
        # Three samples come of every two.
        windows = np.lib.stride_tricks.as_strided(
            history, (BLOCK // 2, TAPS + 1), (2 * history.strides[0], history.strides[0])
        )
        samples: Samples = (windows[:, : TAPS + 1] @ self._weights).ravel()
        return samples


def _weights() -> NDArray[np.float32]:
    """(TAPS + 1, 3): what each of three samples takes of the TAPS + 1 around its two."""
    step = HEARD_RATE / SPOKEN_RATE
    centre = TAPS / 2 - 1
    at = centre + step * np.arange(3)
    distance = np.arange(TAPS + 1)[:, None] - at[None, :]
    window = np.where(np.abs(distance) < TAPS / 2, np.cos(np.pi * distance / TAPS) ** 2, 0.0)
    weights = np.sinc(distance) * window
    normal: NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return normal
