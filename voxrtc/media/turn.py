"""TURN servers: what callers are told of them (GET /ice), and this server's own place on one of them.

Credentials are those of the TURN REST API (draft-uberti-behave-turn-rest-00), which coturn takes with use-auth-secret.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from aioice import Connection, stun
from aioice.ice import StunProtocol, relayed_candidate

from voxrtc.errors import VoxrtcError
from voxrtc.settings import Turn
from voxrtc.urls import TURN_URL

logger = logging.getLogger(__name__)

TRY_S = 3.0
"""Seconds that one URL of a TURN server may take to give us a place, before the next is tried."""

RELEASE_S = 0.5
"""Seconds that a TURN server has to confirm the end of our place on it; it ends by itself after 10 minutes."""


class Credentials(NamedTuple):
    username: str
    password: str


def credentials(turn: Turn, now: float | None = None) -> Credentials:
    """A user name that is valid for ``turn.ttl_s`` seconds, and its password."""
    expiry = int((time.time() if now is None else now) + turn.ttl_s)
    username = f"{expiry}:{secrets.token_hex(8)}"
    password = hmac.digest(turn.secret.encode(), username.encode(), hashlib.sha1)
    return Credentials(username, base64.b64encode(password).decode())


def ice_servers(turn: Turn) -> list[dict[str, Any]]:
    """RTCConfiguration.iceServers for a caller (W3C WebRTC, 4.2.4): as configured, and with credentials made now."""
    told = [server.model_dump(exclude_none=True) for server in turn.ice_servers]
    if turn.urls:
        username, credential = credentials(turn)
        told.append({"urls": list(turn.urls), "username": username, "credential": credential})
    return told


class NoPlace(VoxrtcError):
    """A TURN server gave no allocation; says why."""


class Server(NamedTuple):
    """One URL of a TURN server, read (RFC 7065)."""

    host: str
    port: int
    transport: str
    tls: bool


def read(url: str) -> Server:
    """``url`` as the configuration's check has let it through."""
    match = TURN_URL.fullmatch(url)
    assert match is not None, url
    tls = match["scheme"] == "turns"
    transport = match["transport"] or ("tcp" if tls else "udp")
    return Server(match["host"].strip("[]"), int(match["port"] or (5349 if tls else 3478)), transport, tls)


class Relay:
    """Gives connections their place on the TURN server: over the URL that worked last, or else the next that does."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._urls = [url for url in turn.urls if _spoken(read(url))]
        self._complained = False
        self._context: ssl.SSLContext | None = None

    async def allocate(self, factory: Callable[[], StunProtocol]) -> StunProtocol | None:
        """An allocation (RFC 8656, 7), its ``local_candidate`` set; None where no URL gives one, which is logged."""
        reasons = []
        for url in list(self._urls):
            try:
                protocol = await self.ask(url, factory)
            except NoPlace as error:
                reasons.append(f"{url}: {error}")
                continue
            self._urls.remove(url)
            self._urls.insert(0, url)
            self._complained = False
            return protocol
        if not self._complained:
            told = "; ".join(reasons)
            logger.warning("turn.relay: no place on the TURN server; callers are answered without (%s)", told)
        self._complained = True
        return None

    async def ask(self, url: str, factory: Callable[[], StunProtocol]) -> StunProtocol:
        """As ``allocate``, over ``url`` alone. Raises NoPlace."""
        server = read(url)
        username, password = credentials(self._turn)
        if server.tls and self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)  # reads all certificates there are
        try:
            async with asyncio.timeout(TRY_S):
                _, protocol = await relayed_candidate(
                    component=1,
                    hide_related_address=False,
                    protocol_factory=factory,
                    turn_server=(server.host, server.port),
                    turn_username=username,
                    turn_password=password,
                    turn_ssl=cast(bool, self._context if server.tls else None),  # asyncio takes either
                    turn_transport=server.transport,
                )
        except (OSError, TimeoutError, stun.TransactionError) as error:
            raise NoPlace(str(error) or f"no answer within {TRY_S:g} s") from None
        return protocol


def _spoken(server: Server) -> bool:
    """Whether aioice can use ``server``: all but DTLS."""
    return not (server.tls and server.transport == "udp")


async def tried(turn: Turn) -> list[tuple[str, str]]:
    """Each of ``turn.urls`` that can be tried from here, and why it gives no place, empty where it does."""
    relay = Relay(turn)
    urls = [url for url in turn.urls if _spoken(read(url))]
    return list(zip(urls, await asyncio.gather(*(_problem(relay, url) for url in urls)), strict=True))


async def _problem(relay: Relay, url: str) -> str:
    try:
        await release(await relay.ask(url, lambda: StunProtocol(cast(Connection, _Nobody()))))
    except NoPlace as error:
        return str(error)
    return ""


class _Nobody:
    """For whom a place is asked for only to see whether there is one."""

    def data_received(self, data: bytes, component: int) -> None:
        pass

    def protocol_lost(self, protocol: StunProtocol) -> None:
        pass


async def release(protocol: StunProtocol) -> None:
    """Give the place back; returns when the socket is closed, RELEASE_S later where the server does not answer."""
    transport: Any = protocol.transport
    transport.close()
    closing: asyncio.Task[None] = transport._TurnTransport__close_task
    try:
        await asyncio.wait({closing}, timeout=RELEASE_S)
    finally:
        # aioice would ask on for half a minute; on its way out it closes the socket.
        tasks = {closing, *transport._TurnTransport__send_tasks}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
