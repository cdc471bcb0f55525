"""ICE (RFC 8445, RFC 8838) as a server needs it: aioice's Connection, but that nothing in it waits without need.

What differs from aioice, and why:

- Candidates are this machine's addresses as the Site knows them, on its ports, and its public address. No server is
  asked meanwhile: the answer is out at once.
- A place on the TURN server is taken in the background, and joins the check list when it is there.
- A check by the caller makes us check that pair anew, although our first check is still under way (RFC 8445, 7.3.1.4).
  That one was lost: a TURN server drops it, as does a NAT, until the caller has sent something to us. aioice sends it
  again after 0.5 s.
- ``connect()`` returns when a pair is nominated, not at the next beat of 20 ms. Checks that it breaks off may be made
  again, so that a caller may change to another pair later.
- Consent (RFC 7675) is lost after 30 s without an answer, however slow the answers are; aioice takes every answer that
  needs more than 0.5 s for none.
- What is no STUN by its first byte (RFC 7983, 7) is not parsed as such, and no queue grows without bound.
- A handshake is taken from the caller only: one datagram of anybody else's, an alert say, would end it. The caller is
  whoever has sent a check that proves it knows our password, from where it did, or named the place itself. RTP needs
  no such look, as SRTP proves each packet.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from typing import Any, cast

from aioice import Candidate, stun
from aioice import Connection as IceConnection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import ICE_COMPLETED, CandidatePair, StunProtocol

from voxrtc.errors import CallsFull
from voxrtc.media import turn
from voxrtc.media.site import Site

logger = logging.getLogger(__name__)

PACE_S = 0.02
"""Seconds from one check to the next (RFC 8445, 14.2: at least 5 ms)."""

CONSENT_EVERY_S = 5.0
CONSENT_S = 30.0
"""RFC 7675, 5.1."""

MAX_PAIRS = 256
"""A caller with ever new addresses gets no more; with 64 candidates and two addresses of ours there are 128."""

MAX_WAITING = 512
"""Datagrams that wait for DTLS; a call has a handful."""


class Protocol(StunProtocol):
    """A socket, or a place on a TURN server."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        datagram = cast(bytes, data)
        if not datagram:
            return
        if datagram[0] <= 3:
            try:
                super().datagram_received(datagram, addr)
            except (struct.error, LookupError) as error:  # by aioice's parser; the event loop would log each at length
                logger.debug("malformed STUN from %s: %s", addr[:2], error)
        elif 127 < datagram[0] < 192 or cast("Connection", self.receiver).knows(addr[0], addr[1]):
            self.receiver.data_received(datagram, 1)


class Connection(IceConnection):
    """One ICE connection of this server, made known to aiortc by ``seam.PeerConnection``."""

    def __init__(self, site: Site, username: str, password: str) -> None:
        super().__init__(ice_controlling=False, local_username=username, local_password=password)
        self._site = site
        self._requests: dict[CandidatePair, stun.Message] = {}
        self._relaying: asyncio.Task[None] | None = None
        self._dropping: asyncio.Task[None] | None = None
        self._late: list[Candidate] = []
        self.expired = False
        """Closed because the caller's consent was lost."""
        self.dropped = 0
        """Datagrams that came faster than they were read."""

    # -- candidates --------------------------------------------------------------------------------------

    async def gather_candidates(self) -> None:
        """Take a socket on each address. Raises CallsFull where there is none, or no port is free."""
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        for address in self._site.addresses.now():
            await self._listen(address)
        if not self._local_candidates:
            raise CallsFull("this server has no network address at present; try again in a moment", 10)
        hosts = list(self._local_candidates)
        public = self._site.known_as([candidate.host for candidate in hosts])
        self._local_candidates += [_reflexive(host, public[host.host]) for host in hosts if host.host in public]
        self._local_candidates_end = True
        if self._site.relay is not None and not self._closing:
            self._relaying = asyncio.create_task(self._relay(self._site.relay), name="relay")

    async def _listen(self, address: str) -> None:
        try:
            bound = self._site.bind(address)
        except OSError as error:
            logger.info("%s is no longer an address of this machine (%s)", address, error)
            self._site.addresses.forget()
            return
        try:
            _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Protocol(self), sock=bound)
        except BaseException:
            bound.close()
            raise
        host, port = bound.getsockname()[:2]
        preference = 65_535 - len(self._local_candidates)  # RFC 8445, 5.1.2.1: each its own
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host", preference),
            host=host,
            port=port,
            type="host",
        )
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)

    async def _relay(self, relay: turn.Relay) -> None:
        """Take a place on the TURN server, and let it join, where there is no connection by then."""
        protocol = await relay.allocate(lambda: Protocol(self))
        if protocol is None:
            return
        if self._closing or self._nominated:
            await turn.release(protocol)
            return
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)
        self._late.append(protocol.local_candidate)
        if self._early_checks_done:
            for remote in self._remote_candidates:
                self._pair_remote_candidate(remote)
            self.sort_check_list()

    async def late_candidates(self, wait: bool) -> list[Candidate]:
        """Candidates found since the answer and not told yet; ``wait`` until it is known whether there are any.

        There is nothing to tell once a connection is up.
        """
        if wait and self._relaying is not None and not self._nominated:
            await asyncio.wait({self._relaying})
        late, self._late = self._late, []
        return late if not self._nominated else []

    # -- checks ------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Check pairs until the caller has nominated one. Raises ConnectionError if that fails."""
        if not self._local_candidates_end or self.remote_username is None or self.remote_password is None:
            raise ConnectionError("local candidates or the remote user name and password are missing")
        for remote in self._remote_candidates:
            self._pair_remote_candidate(remote)
        self.sort_check_list()
        self._unfreeze_initial()
        early, self._early_checks_done = list(self._early_checks), True
        self._early_checks.clear()
        for check in early:
            self.check_incoming(*check)
        outcome = await self._pace()
        self._break_off()
        if outcome != ICE_COMPLETED:
            raise ConnectionError("ICE negotiation failed")
        self._query_consent_task = asyncio.create_task(self.query_consent(), name="consent")
        self._dropping = asyncio.create_task(self._drop_relay(), name="unused relay")

    async def _pace(self) -> int:
        """Start a check every PACE_S until the list is done; its outcome."""
        while True:
            self._check_periodic()
            try:
                async with asyncio.timeout(PACE_S):
                    return await self._check_list_state.get()
            except TimeoutError:
                continue

    def _break_off(self) -> None:
        """End the checks that are under way. Failed, not in progress: the caller's next check starts them again."""
        for pair in self._check_list:
            if pair.task is not None:
                pair.task.cancel()
                pair.task = None
                if pair.state is not CandidatePair.State.SUCCEEDED:
                    self.check_state(pair, CandidatePair.State.FAILED)
        self._requests.clear()

    def knows(self, host: str, port: int) -> bool:
        """Whether the caller is to be found there: it sent a check from there, or named the place."""
        return any(pair.remote_addr == (host, port) for pair in self._check_list) or any(
            early[1][:2] == (host, port) for early in self._early_checks
        )

    def build_request(self, pair: CandidatePair, nominate: bool) -> stun.Message:
        request = super().build_request(pair, nominate)
        if pair.state is CandidatePair.State.IN_PROGRESS:
            self._requests[pair] = request
        return request

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Answer the caller's check with one of our own on the same pair, at once."""
        if len(self._check_list) >= MAX_PAIRS and not any(pair.remote_addr == addr for pair in self._check_list):
            return
        super().check_incoming(message, addr, protocol)
        for pair in self._check_list:
            if pair.protocol is protocol and pair.remote_addr == addr:
                request = self._requests.get(pair)
                if pair.state is CandidatePair.State.IN_PROGRESS and request is not None:
                    protocol.send_stun(request, addr)  # the same transaction: either answer will do
                return

    # -- while it lasts ----------------------------------------------------------------------------------

    def data_received(self, data: bytes, component: int) -> None:
        if self._queue.qsize() < MAX_WAITING:
            self._queue.put_nowait((data, component))
        else:
            self.dropped += 1

    async def query_consent(self) -> None:
        """Ask the caller every few seconds whether it is there; close if it has not said so for CONSENT_S."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while loop.time() - heard < CONSENT_S:
            await asyncio.sleep(CONSENT_EVERY_S * random.uniform(0.8, 1.2))
            pair = self._nominated.get(1)
            if pair is not None and await self._consents(pair):
                heard = loop.time()
        self._query_consent_task = None
        self.expired = True
        await self.close()

    async def _consents(self, pair: CandidatePair) -> bool:
        assert self.remote_password is not None
        request = self.build_request(pair, nominate=False)
        key = self.remote_password.encode()
        try:
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=2)
        except stun.TransactionError:
            return False
        return True

    # -- the end -----------------------------------------------------------------------------------------

    async def _drop_relay(self) -> None:
        """Give up the place on the TURN server, or the wait for one, where the call goes another way."""
        if self._relaying is not None:
            self._relaying.cancel()
            await asyncio.wait({self._relaying})
        used = {pair.protocol for pair in self._nominated.values()}
        for protocol in [one for one in self._protocols if one.local_candidate.type == "relay" and one not in used]:
            self._protocols.remove(protocol)
            for pair in [one for one in self._check_list if one.protocol is protocol]:
                self._check_list.remove(pair)
            await turn.release(protocol)

    async def close(self) -> None:
        """Close every socket; nothing of the connection is left when this returns."""
        self._closing = True
        self._nominated.clear()
        self._break_off()
        for task in (self._relaying, self._dropping):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
        relays = [protocol for protocol in self._protocols if protocol.local_candidate.type == "relay"]
        self._protocols = [protocol for protocol in self._protocols if protocol not in relays]
        for protocol in self._protocols:
            protocol.transport.close()  # all at once; aioice would wait for one after the other
        await super().close()
        for protocol in relays:
            await turn.release(protocol)


def _reflexive(host: Candidate, public: str) -> Candidate:
    """``host`` as it is seen from beyond the NAT. The private address stays in the answer, and is preferred: a caller
    that can reach it, in the same cloud or office, need not go round by the NAT, and may not be able to."""
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", host.host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "srflx", (host.priority >> 8) & 0xFFFF),
        host=public,
        port=host.port,
        type="srflx",
        related_address=host.host,
        related_port=host.port,
    )
