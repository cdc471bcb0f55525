"""How soon a real Chromium is connected: directly, over a TURN server, and to our own place on one."""

import asyncio
from typing import Any

import pytest

from tests.coturn import INSTALLED, coturn
from tests.media.test_chromium import page
from voxrtc.media.addresses import Addresses, Interface
from voxrtc.media.peer import Peer
from voxrtc.media.site import Site
from voxrtc.settings import Settings

__all__ = ["page"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not INSTALLED, reason="there is no turnserver (tests/packages.sh installs it)"),
]
OFFER = """async ([iceServers, iceTransportPolicy]) => {
  const pc = window.pc = new RTCPeerConnection({iceServers, iceTransportPolicy, bundlePolicy: "max-bundle"});
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  for (const track of stream.getTracks()) pc.addTrack(track, stream);
  pc.createDataChannel("voxrtc");
  const end = {candidate: "", sdpMid: "0", sdpMLineIndex: 0};
  pc.onicecandidate = event => tell(event.candidate ? event.candidate.toJSON() : end);
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""
ACCEPT = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
ADD = "([candidate, sdpMid, sdpMLineIndex]) => pc.addIceCandidate({candidate, sdpMid, sdpMLineIndex})"


def is_v6(candidate: str) -> bool:
    return bool(candidate) and ":" in candidate.split()[4]


async def connected(page: Any, peer: Peer, told: asyncio.Queue[dict[str, Any]], *, answer: str | None = None) -> float:
    """Play the part of the signalling until media can flow; seconds from the answer to that.

    To the end of the candidates: a relayed caller whose checks were quicker than its signalling is known as such only
    then. With an ``answer`` of the test's own, the peer is not told of IPv6 addresses: it listens on one here, and
    would be quicker to check from there than by its relay.
    """

    async def trickle() -> None:
        candidate = "not yet"
        while candidate:
            one = await told.get()
            candidate = one["candidate"]
            if answer is not None and is_v6(candidate):
                continue
            await peer.add_candidate(candidate, one["sdpMid"], one["sdpMLineIndex"])
            for late in await peer.late_candidates(wait=not candidate):
                await page.evaluate(ADD, [late.candidate, late.sdp_mid, late.sdp_mline_index])

    loop = asyncio.get_running_loop()
    began = loop.time()
    await page.evaluate(ACCEPT, answer or peer.sdp)
    trickling = asyncio.create_task(trickle())
    await peer.connected()
    took = loop.time() - began
    async with asyncio.timeout(20):
        await trickling
    return took


@pytest.mark.parametrize("way", ["direct", "udp", "tcp"])
async def test_a_caller_over_its_own_ways(page: Any, way: str, record_property: Any) -> None:
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await page.expose_function("tell", told.put_nowait)
    async with coturn() as server:
        username, credential = server.credentials()
        servers, policy = [], "all"
        if way != "direct":
            servers = [{"urls": getattr(server, way), "username": username, "credential": credential}]
            policy = "relay"
        peer = await Peer.answer(await page.evaluate(OFFER, [servers, policy]), Settings())
        took = await connected(page, peer, told)
        record_property("connect_ms", round(took * 1000))
        assert peer.stats()["route"] == ("direct" if way == "direct" else "relay")
        assert took < 5
        await page.evaluate("pc.close()")
        await peer.close()


async def test_a_caller_to_our_place_on_the_relay(page: Any) -> None:
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await page.expose_function("tell", told.put_nowait)
    async with coturn() as server:
        settings = Settings.model_validate({"turn": {"urls": server.urls[:1], "secret": server.secret, "relay": True}})
        site = Site(settings)
        site.addresses = Addresses("6", True, lambda: [Interface("lo", True, ("::1",))])
        offer = await page.evaluate(OFFER, [[], "all"])
        peer = await Peer.answer(offer, settings, site)
        bare = "\r\n".join(line for line in peer.sdp.splitlines() if "candidate" not in line) + "\r\n"
        took = await connected(page, peer, told, answer=bare)
        assert took < 5
        assert peer.stats()["route"] == "relay"
        await page.evaluate("pc.close()")
        await peer.close()
