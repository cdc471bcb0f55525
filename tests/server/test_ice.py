"""What callers are told over real HTTP of where to send: TURN, used as told on a real coturn; addresses and ports."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import Any

import pytest
from aioice import stun, turn
from aiortc.sdp import candidate_from_sdp

from tests.coturn import INSTALLED, SECRET, coturn, free
from tests.media.test_public import known, serving
from tests.server.conftest import Serve
from voxrtc.media.addresses import Addresses, Interface
from voxrtc.media.turn import read

pytestmark = pytest.mark.timeout(60)
needs_coturn = pytest.mark.skipif(not INSTALLED, reason="there is no turnserver (tests/packages.sh installs it)")
STUN = {"urls": ["stun:stun.example.org:3478"]}


async def allocated(url: str, told: dict[str, Any], trusted: ssl.SSLContext) -> str:
    """The address that ``url`` gives to a caller with what it was ``told``."""
    server = read(url)
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        (server.host, server.port),
        told["username"],
        told["credential"],
        ssl=trusted if server.tls else None,
        transport=server.transport,
    )
    address: str = transport.get_extra_info("sockname")[0]
    transport.close()
    await transport._TurnTransport__close_task
    return address


@needs_coturn
async def test_the_credentials_are_good_over_udp_tcp_and_tls_until_they_end(serve: Serve) -> None:
    async with coturn() as server:
        trusted = ssl.create_default_context(cafile=str(server.ca))
        front = await serve(turn={"ice_servers": [STUN], "urls": server.urls, "secret": SECRET, "ttl_s": 60})
        async with front.http.get(front.url + "/ice") as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            first, told = (await answer.json())["ice_servers"]
        assert first == STUN
        assert told["urls"] == server.urls
        assert 0 < int(told["username"].split(":")[0]) - time.time() <= 61
        for url in told["urls"]:
            assert await allocated(url, told, trusted) == "127.0.0.1"
        async with front.http.get(front.url + "/ice") as answer:
            other = (await answer.json())["ice_servers"][1]
        assert other["username"] != told["username"]
        expired = dict(zip(("username", "credential"), server.credentials(-5), strict=True))
        for wrong in ({"credential": other["credential"]}, expired):
            for url in told["urls"]:
                with pytest.raises(stun.TransactionFailed, match="401"):
                    await allocated(url, told | wrong, trusted)


@needs_coturn
async def test_a_caller_hears_of_our_relay_in_the_answer_to_its_candidates(serve: Serve) -> None:
    async with coturn() as server:
        front = await serve(turn={"urls": [server.udp], "secret": SECRET, "relay": True})
        site = front.exchange.calls._site
        site.addresses = Addresses("6", True, lambda: [Interface("lo", True, ("::1",))])  # nothing for an IPv4 caller
        guest = front.exchange.guest()
        offer = [line for line in (await guest.offer()).splitlines() if "a=candidate" not in line or "::" not in line]
        async with await front.offer("\r\n".join(offer) + "\r\n") as answer:
            body = await answer.json()
        bare = [line for line in body["sdp"].splitlines() if "candidate" not in line]
        await guest.take("\r\n".join(bare) + "\r\n")
        url = f"{front.url}/offer/{body['session']}"
        async with front.http.patch(url, json={"candidates": [{"candidate": ""}]}) as answer:
            assert answer.status == 200
            (told,) = (await answer.json())["candidates"]
        assert (told["sdp_mid"], told["sdp_mline_index"]) == ("0", 0)
        assert " typ relay " in told["candidate"]
        candidate = candidate_from_sdp(told["candidate"].removeprefix("candidate:"))
        candidate.sdpMid = told["sdp_mid"]
        await guest.pc.addIceCandidate(candidate)
        await guest.until("call_started")
        async with front.http.patch(url, json={"candidates": [{"candidate": ""}]}) as answer:
            assert answer.status == 204


async def test_an_instance_in_ec2_tells_its_public_address(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (_, url):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        front = await serve(media={"public_ip": "ec2"})
        await front.exchange.calls.warm()
        await known(front.exchange.calls._site.public, "198.51.100.44")
        guest = front.exchange.guest()
        async with await front.offer(await guest.offer()) as answer:
            body = await answer.json()
        told = [line.split() for line in body["sdp"].splitlines() if " typ srflx " in line]
        assert {(line[4], line[6], line[7]) for line in told} == {("198.51.100.44", "typ", "srflx")}
        ports = {line.split()[5] for line in body["sdp"].splitlines() if " typ host" in line}
        assert {line[5] for line in told} <= ports, "a 1:1 NAT keeps the port"
        await guest.take(body["sdp"])
        await guest.until("call_started")


async def test_a_full_range_of_ports_is_a_503(serve: Serve) -> None:
    first = free("127.0.0.1")
    front = await serve(server={"max_calls": 1}, media={"port_range": [first, first], "ip_version": "4"})
    front.exchange.calls._site.addresses = Addresses("4", True, lambda: [Interface("lo", True, ("127.0.0.1",))])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first))
        async with await front.offer(await front.exchange.guest().offer()) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "media.port_range" in (await answer.json())["error"]["message"]
    await front.exchange.up()
