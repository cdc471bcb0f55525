"""Learning the public address: from a metadata service as Amazon describes it (IMDSv2), and from a real coturn."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.coturn import INSTALLED, coturn, free
from voxrtc.media import public
from voxrtc.media.public import NotLearnt, PublicAddress

pytestmark = pytest.mark.timeout(60)
STUN = "stun.example.org:3478"


class Metadata:
    """Amazon's instance metadata, IMDSv2 only."""

    def __init__(self) -> None:
        self.address: str | None = "198.51.100.44"
        self.asked = asyncio.Event()
        self.requests = 0

    async def token(self, request: web.Request) -> web.Response:
        assert int(request.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
        return web.Response(text="a-token")

    async def public_ipv4(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.asked.set()
        if request.headers.get("X-aws-ec2-metadata-token") != "a-token":
            return web.Response(status=401)
        return web.Response(status=404) if self.address is None else web.Response(text=self.address)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Metadata, str]]:
    metadata, app = Metadata(), web.Application()
    app.router.add_put("/latest/api/token", metadata.token)
    app.router.add_get("/latest/meta-data/public-ipv4", metadata.public_ipv4)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield metadata, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def known(address: PublicAddress, value: str) -> None:
    async with asyncio.timeout(10):
        while address.value != value:  # noqa: ASYNC110 - nobody is told when it changes
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("setting", ["", "198.51.100.1", "2001:DB8::1"])
async def test_what_is_given_is_not_asked_for(setting: str) -> None:
    address = PublicAddress(setting, STUN)
    address.open()
    assert address._task is None
    assert address.value == setting.lower() == await address.ask()
    await address.close()


async def test_an_instance_learns_its_address_and_notices_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "AGAIN_S", 0.05)
    async with serving() as (metadata, url):
        address = PublicAddress("ec2", STUN, url)
        assert address.value == ""
        address.open()
        await known(address, "198.51.100.44")
        metadata.address = "198.51.100.45"
        await known(address, "198.51.100.45")
        await address.close()
        asked = metadata.requests
    assert asked >= 2
    assert address.value == "198.51.100.45"


async def test_an_instance_without_an_address_goes_on_and_gets_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(public, "RETRY_S", 0.02)
    async with serving() as (metadata, url):
        metadata.address = None
        address = PublicAddress("ec2", STUN, url)
        address.open()
        async with asyncio.timeout(10):
            while metadata.requests < 3:
                metadata.asked.clear()
                await metadata.asked.wait()
        assert "Elastic IP" in address.problem
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1, "told once, not each time"
        metadata.address = "198.51.100.46"
        await known(address, "198.51.100.46")
        assert address.problem == ""
        await address.close()


@pytest.mark.parametrize("answer", ["", "fd00::1", "<html>"])
async def test_what_is_no_address_is_not_believed(answer: str) -> None:
    async with serving() as (metadata, url):
        metadata.address = answer
        with pytest.raises(NotLearnt, match="no IPv4 address"):
            await PublicAddress("ec2", STUN, url).ask()


async def test_outside_of_ec2_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free('127.0.0.1')}"
    with pytest.raises(NotLearnt, match="outside of EC2 set media"):
        await PublicAddress("ec2", STUN, url).ask()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
    with pytest.raises(NotLearnt, match=url):
        await PublicAddress("ec2", STUN).ask()


async def test_a_metadata_service_that_hangs_does_not_hold_anything_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "TIMEOUT_S", 0.1)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    with pytest.raises(NotLearnt, match="timed out"):
        await PublicAddress("ec2", STUN, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").ask()
    server.close()


@pytest.mark.skipif(not INSTALLED, reason="there is no program named turnserver (tests/packages.sh installs it)")
async def test_a_stun_server_tells(caplog: pytest.LogCaptureFixture) -> None:
    async with coturn() as server:
        address = PublicAddress("stun", f"{server.address}:{server.port}")
        address.open()
        await known(address, "127.0.0.1")
        await address.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_stun_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public.stun, "RETRY_RTO", 0.01)
    silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    with pytest.raises(NotLearnt, match="does not answer"):
        await public.from_stun(f"127.0.0.1:{silent.get_extra_info('sockname')[1]}")
    silent.close()
    with pytest.raises(NotLearnt, match="cannot be asked"):
        await public.from_stun("no-such-host.invalid:3478")
