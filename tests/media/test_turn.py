"""TURN: credentials, and a real coturn, started from the configuration that voxrtc ships."""

import asyncio
import base64
import hashlib
import hmac
import logging
import time

import pytest
from aioice.ice import StunProtocol

from tests.calling import idle
from tests.coturn import INSTALLED, SECRET, Coturn, coturn, free
from voxrtc.media import turn
from voxrtc.media.connection import Connection, Protocol
from voxrtc.media.site import Site
from voxrtc.settings import IceServer, Settings, Turn

pytestmark = pytest.mark.timeout(60)
needs_coturn = pytest.mark.skipif(not INSTALLED, reason="there is no turnserver (tests/packages.sh installs it)")
URLS = ["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org"]


def test_credentials_are_those_of_the_turn_rest_api() -> None:
    username, password = turn.credentials(Turn(urls=URLS, secret="north", ttl_s=600), now=1_000_000.5)
    expiry, _, name = username.partition(":")
    assert expiry == "1000600"
    assert len(name) >= 16
    assert base64.b64decode(password) == hmac.new(b"north", username.encode(), hashlib.sha1).digest()
    assert turn.credentials(Turn(urls=URLS, secret="north")).username != username


def test_callers_are_told_of_all_servers() -> None:
    fixed = IceServer(urls=["stun:stun.example.org"])
    assert turn.ice_servers(Turn(ice_servers=[fixed])) == [{"urls": ["stun:stun.example.org"]}]
    first, second = turn.ice_servers(Turn(ice_servers=[fixed], urls=URLS, secret="north", ttl_s=600))
    assert first == {"urls": ["stun:stun.example.org"]}
    assert second["urls"] == URLS
    assert 590 < int(second["username"].split(":")[0]) - time.time() < 610


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("turn:turn.example.org", ("turn.example.org", 3478, "udp", False)),
        ("turn:10.0.0.1:80?transport=tcp", ("10.0.0.1", 80, "tcp", False)),
        ("turns:turn.example.org", ("turn.example.org", 5349, "tcp", True)),
        ("turns:[2001:db8::1]:443?transport=tcp", ("2001:db8::1", 443, "tcp", True)),
    ],
)
def test_urls_are_read(url: str, server: tuple[str, int, str, bool]) -> None:
    assert turn.read(url) == server


def of(server: Coturn, *urls: str, secret: str = SECRET, ttl_s: int = 600) -> turn.Relay:
    return turn.Relay(Turn(urls=list(urls or server.urls), secret=secret, ttl_s=ttl_s, relay=True))


async def place(relay: turn.Relay) -> StunProtocol | None:
    settings = Settings()
    return await relay.allocate(lambda: Protocol(Connection(Site(settings), "user", "p" * 22)))


@needs_coturn
async def test_a_place_over_udp_tcp_and_tls_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    async with coturn() as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
        for url in server.urls:
            protocol = await place(of(server, url))
            assert protocol is not None
            assert protocol.local_candidate.type == "relay"
            assert protocol.local_candidate.host == "127.0.0.1"
            inner = protocol.transport._TurnTransport__inner_protocol.transport  # type: ignore[attr-defined]
            await turn.release(protocol)
            assert inner.is_closing()
    assert not await idle(before)


@needs_coturn
@pytest.mark.parametrize(("secret", "ttl_s"), [("another secret", 600), (SECRET, -600)])
async def test_a_wrong_secret_and_what_has_expired_are_refused(
    secret: str, ttl_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with coturn() as server:
        settings = Turn(urls=server.urls[:2], secret=secret, relay=True).model_copy(update={"ttl_s": ttl_s})
        assert await place(turn.Relay(settings)) is None
    assert "401" in caplog.text


@needs_coturn
async def test_a_certificate_that_nobody_knows_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with coturn() as server:
        assert await place(of(server, server.tls)) is None
    assert "certificate" in caplog.text


@needs_coturn
async def test_the_next_url_is_tried_and_remembered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turn, "TRY_S", 0.3)
    async with coturn() as server:
        relay = of(server, f"turn:127.0.0.1:{free('127.0.0.1')}?transport=tcp", server.tcp)
        for _ in range(2):
            protocol = await place(relay)
            assert protocol is not None
            await turn.release(protocol)
            assert relay._urls[0] == server.tcp
    before = asyncio.all_tasks()
    for _ in range(2):
        assert await place(relay) is None
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert not await idle(before)


@needs_coturn
async def test_a_server_that_died_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    async with coturn() as server:
        places = [await place(of(server, url)) for url in server.urls[:2]]
    for protocol in places:
        assert protocol is not None
        protocol.transport.sendto(b"x", ("127.0.0.1", 9))  # waits for a channel that will never be
        async with asyncio.timeout(3 * turn.RELEASE_S + 5):
            await turn.release(protocol)
    assert not await idle(before)


@needs_coturn
async def test_inner_networks_cannot_be_reached_through_it() -> None:
    """What the shipped configuration denies: no channel to the metadata service, nor to a private address."""
    async with coturn(peers=("192.0.2.0-192.0.2.255",)) as server:
        protocol = await place(of(server, server.udp))
        assert protocol is not None
        inner = protocol.transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        for host in ("169.254.169.254", "10.0.0.1", "192.168.0.1", "127.0.0.1", "100.64.0.1", "0.0.0.0"):
            with pytest.raises(Exception, match="403"):
                await inner.send_data(b"x", (host, 80))
        await inner.send_data(b"x", ("192.0.2.1", 80))
        await turn.release(protocol)
