"""One WebRTC connection of a caller: answers the offer, carries sound both ways and messages on the data channel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from aiortc import RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

from voxrtc.audio import AudioIn, AudioOut
from voxrtc.errors import SdpError, VoxrtcError
from voxrtc.lines import Dialect, Gone, Message
from voxrtc.media import dtls, ice, sdp, seam
from voxrtc.media.channel import Channel
from voxrtc.media.connection import Connection
from voxrtc.media.inbound import Inbound
from voxrtc.media.outbound import PACKET_S, Outbound
from voxrtc.media.presence import Presence
from voxrtc.media.sending import Report
from voxrtc.media.site import Site
from voxrtc.plain import Plain
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

PROBE_S = 2.0
"""Seconds at most, before a silent caller counts as lost, in which it is asked whether it is there."""

LINGER_S = 1.0
"""Seconds at most that the caller has to take what was sent to it before the line is cut."""

CLOSE_S = 5.0

_REFUSALS = (
    AssertionError,
    AttributeError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    LookupError,
    OperationError,
    TypeError,
    ValueError,
)
"""What aiortc raises on a description it cannot use."""


class Peer:
    """A caller's connection, one kind of voxrtc.lines.Line. Made by ``answer()``; over once ``closed()`` returns;
    ``close()`` ends it from here."""

    def __init__(self, offer: sdp.Offer, settings: Settings, site: Site, dialect: Dialect) -> None:
        """Use ``answer()``."""
        self.sdp = ""
        """The answer, once ``answer()`` has returned."""
        self.channel = Channel(dialect.label, dialect.max_message, self._fail, self._over)
        self.on_change: Callable[[], None] = _nothing
        """Told when the peer is connected, and when it is gone."""
        self.detail = ""
        """A sentence about why the peer is gone, where there is more to say than the reason."""
        self._offer = offer
        self._site = site
        self._settings = settings.media
        self._reason: Gone | None = None
        self._connected = asyncio.Event()
        self._gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._candidates = 0
        self._presence = Presence()
        self._settled = False
        self._ears = Inbound(settings.media.jitter_start_ms, settings.media.jitter_max_ms, self._fail)
        self._mouth = Outbound(settings.media)
        self._pc = seam.PeerConnection(ice.configuration(), partial(Connection, site))
        dtls.accept_rsa(self._pc)
        line = self._pc.addTransceiver("audio")
        self._receiver = line.receiver
        seam.divert(line.receiver, self._ears.receive, self._fail)
        seam.feed(line.sender, self._mouth.next, self._fail)
        seam.reports(line.sender, self._reported)
        self._pc.on("connectionstatechange", self._state_changed)
        self._pc.on("datachannel", self.channel.take)

    @classmethod
    async def answer(
        cls, offer: str, settings: Settings, site: Site | None = None, dialect: Dialect | None = None
    ) -> Peer:
        """A peer that answers ``offer``; ``sdp`` holds the answer. ``site``: where this server is on the network.
        ``dialect``: that its data channel is for; the plain one if none.

        Raises SdpError on an offer that cannot be answered, CallsFull where no port is free.
        """
        peer = cls(sdp.read(offer), settings, site or Site(settings), dialect or Plain())
        try:
            await peer._negotiate()
        except BaseException:
            await peer.close()
            raise
        peer._own(peer._watch())
        return peer

    # -- what a call uses --------------------------------------------------------------------------------

    @property
    def ears(self) -> AudioIn:
        """The caller's audio."""
        return self._ears

    @property
    def mouth(self) -> AudioOut:
        """Where the assistant's audio goes."""
        return self._mouth

    @property
    def on_message(self) -> Callable[[Message], None]:
        """Told of each message on the data channel. Set it before the loop runs on."""
        return self.channel.on_message

    @on_message.setter
    def on_message(self, handler: Callable[[Message], None]) -> None:
        self.channel.on_message = handler

    @property
    def on_bad_message(self) -> Callable[[str], None]:
        """Told, in a sentence, of one that is too long."""
        return self.channel.on_bad_message

    @on_bad_message.setter
    def on_bad_message(self, handler: Callable[[str], None]) -> None:
        self.channel.on_bad_message = handler

    def send(self, message: str) -> None:
        """One message on the data channel, in order; kept until it opens, dropped once it is over."""
        self.channel.send(message)

    async def add_candidate(self, candidate: str, sdp_mid: str | None, sdp_mline_index: int | None) -> None:
        """A candidate that the caller found after its offer; an empty string says that there are no more.

        Raises SdpError on what is no candidate, names no line of the offer, or is one too many.
        """
        if not candidate.strip():
            return  # sdp.py says why the end of candidates is not passed on
        mid = self._offer.transport_mid(sdp_mid, sdp_mline_index)
        if mid is None:
            raise SdpError("The candidate is for a line that the offer does not have, or that was refused.")
        self._candidates += 1
        if self._candidates > sdp.MAX_CANDIDATES:
            raise SdpError(f"More than {sdp.MAX_CANDIDATES} candidates were sent.")
        parsed = ice.parse(candidate)
        if parsed is not None and self._reason is None:
            parsed.sdpMid = mid
            await self._pc.addIceCandidate(parsed)

    async def late_candidates(self, wait: bool) -> list[ice.Trickled]:
        """Our candidates that were found since the answer, and not told yet. ``wait``: until all are known."""
        found = await self._ice.late_candidates(wait)
        mid, index = self._offer.transport
        return [ice.Trickled(f"candidate:{candidate.to_sdp()}", mid, index) for candidate in found]

    @property
    def up(self) -> bool:
        """Whether media can flow."""
        return self._connected.is_set() and self._reason is None

    @property
    def gone(self) -> bool:
        """Whether it is over."""
        return self._reason is not None

    def missed(self, silent_s: float) -> None:
        """The caller says on another way that nothing has come for so long."""
        self._presence.missed(asyncio.get_running_loop().time() - silent_s)

    def catch_up(self) -> None:
        """Nothing waits: what comes is heard when it is said."""

    async def ask(self, timeout: float) -> None:
        """Learn whether the caller is there, where its packets do not tell."""
        loop = asyncio.get_running_loop()
        self._note_arrival()
        if not self._presence.fresh(loop.time()) and await seam.answers(self._receiver, timeout):
            self._presence.came(loop.time())

    def leave(self) -> None:
        """Say no more here: the caller is on another line. What left and did not arrive is taken back."""
        self._settle()
        self._mouth.stop()

    async def connected(self) -> None:
        """Return once media can flow. Raises VoxrtcError if the peer is gone before that."""
        waits = [asyncio.ensure_future(self._connected.wait()), asyncio.ensure_future(self._gone.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._connected.is_set():
            raise VoxrtcError(self.detail or "The caller left before the call was connected.")

    async def closed(self) -> Gone:
        """Wait for the end and say why: the caller hung up or was lost, an error (see ``detail``), or ``close()``."""
        await self._gone.wait()
        assert self._reason is not None
        return self._reason

    def stats(self) -> dict[str, Any]:
        """The caller's link: the fields of events.MediaStats."""
        jitter = self._ears.jitter
        drift = jitter.drift_ppm
        sending = self._mouth.sending
        return {
            "received": jitter.received,
            "lost": jitter.lost,
            "recovered": self._ears.recovered,
            "concealed": self._ears.concealed,
            "late": jitter.late,
            "duplicates": jitter.duplicates,
            "dropped": self._ears.dropped,
            "jitter_ms": round(jitter.jitter_ms, 1),
            "buffer_ms": round(jitter.wait_ms, 1),
            "drift_ppm": None if drift is None else round(drift, 1),
            "route": seam.route(self._receiver),
            "sent_lost_percent": None if sending.loss is None else round(100 * sending.loss, 1),
            "rtt_ms": None if sending.rtt_s is None else round(1000 * sending.rtt_s, 1),
        }

    async def finish(self) -> None:
        """Close the data channel; return once the caller has all that was sent on it, after LINGER_S at the most."""
        if not self.channel.close():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._gone.wait()  # the end of the channel is the end of the peer

    async def close(self) -> None:
        """End the connection and free everything; returns when that is done. May be called again."""
        self._end("closed")
        await self._gone.wait()

    # -- connecting --------------------------------------------------------------------------------------

    async def _negotiate(self) -> None:
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
            await self._pc.setLocalDescription()
        except _REFUSALS as error:
            logger.warning("aiortc refused an offer", exc_info=True)
            raise SdpError(f"The offer cannot be answered: {error or type(error).__name__}.") from error
        self.sdp = sdp.answer(self._pc.localDescription.sdp, self._offer, whole=self._site.relay is None)
        if self._offer.direction == "sendonly":
            self._mouth.stop()

    async def _watch(self) -> None:
        """The peer's own timers: a connection that does not come about, and a caller that vanishes."""
        limit = self._settings.connect_timeout_s
        try:
            async with asyncio.timeout(limit):
                await self._connected.wait()
        except TimeoutError:
            self._end("lost", f"No connection came about within {limit:g} s.")
            return
        loop = asyncio.get_running_loop()
        patience = self._settings.lost_after_s
        probe = min(PROBE_S, patience / 2)
        alive = loop.time()
        while True:
            alive = max(alive, self._ears.heard_at or 0.0)
            silent = loop.time() - alive
            if silent < patience - probe:
                await asyncio.sleep(patience - probe - silent)
            elif await seam.answers(self._receiver, max(0.1, patience - silent)):
                # No sound, but there: a microphone that is switched off or being replaced.
                alive = loop.time()
                self._presence.came(alive)
            elif (self._ears.heard_at or 0.0) <= alive:
                self._end("lost", f"Nothing came from the caller for {patience:g} s.")
                return

    def _state_changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self._connected.set()
            self._presence.came(asyncio.get_running_loop().time())
            self._ears.start()
            self.on_change()
        elif state == "failed":
            self._end("lost", "The connection failed.")
        elif state == "closed":
            self._over()

    # -- the end -----------------------------------------------------------------------------------------

    @property
    def _ice(self) -> Connection:
        connection = seam.connection(self._receiver)
        assert isinstance(connection, Connection)
        return connection

    def _over(self) -> None:
        """The connection was closed: by the caller, or because it answered no more."""
        if self._ice.expired:
            self._end("lost", "The caller answered no more.")
        else:
            self._end("hangup")

    def _fail(self, detail: str) -> None:
        logger.error("peer failed: %s", detail)
        self._end("error", detail)

    def _end(self, reason: Gone, detail: str = "") -> None:
        if self._reason is None:
            self._reason, self.detail = reason, detail
            self.channel.stop()
            if reason == "hangup":  # it has just said goodbye
                self._presence.came(asyncio.get_running_loop().time())
            self._settle()
            self.on_change()
            self._own(self._tear_down())

    def _settle(self) -> None:
        """Take back what left and was not heard, once."""
        if self._settled:
            return
        self._settled = True
        now = asyncio.get_running_loop().time()
        self._note_arrival()
        until = self._presence.heard_until(now)
        if until < now:
            self._mouth.take_back(until)

    def _note_arrival(self) -> None:
        if self._ears.heard_at is not None:
            self._presence.came(self._ears.heard_at)

    def _reported(self, report: Report) -> None:
        self._mouth.sending.reported(report)
        if report.fraction_lost is not None:
            now = asyncio.get_running_loop().time()
            self._presence.reported(now, report.behind * PACKET_S, report.rtt_s)

    async def _tear_down(self) -> None:
        this = asyncio.current_task()
        self._ears.close()
        self._mouth.stop()
        others = [task for task in self._tasks if task is not this]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._pc.close()
        except Exception:
            logger.exception("a peer connection did not close")
        finally:
            self._gone.set()

    def _own(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a peer's task failed", exc_info=error)
            self._end("error", f"The connection could not be watched: {error}")


def _nothing() -> None:
    pass
