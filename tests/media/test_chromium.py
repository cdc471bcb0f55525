"""A real Chromium against a Peer: every bundle policy, with and without a camera, trickled or not."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.chromium import AUTOPLAY, CHROMIUM, FLAGS, MICROPHONE
from voxrtc.audio import SPOKEN_RATE, Mark, Samples, level_dbfs
from voxrtc.media.peer import Peer
from voxrtc.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CALL = """async ([policy, camera, gather]) => {
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: policy});
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: camera !== "none"});
  const tracks = [...stream.getAudioTracks(), ...stream.getVideoTracks()];
  for (const track of camera === "first" ? tracks.reverse() : tracks) pc.addTrack(track, stream);
  const channel = pc.createDataChannel("voxrtc");
  window.message = new Promise(told => channel.onmessage = event => told(event.data));
  pc.ontrack = event => { if (event.track.kind === "audio") {
    const player = new Audio(); player.srcObject = new MediaStream([event.track]); player.play(); } };
  pc.onicecandidate = event => event.candidate && !gather && tell(event.candidate.toJSON());
  await pc.setLocalDescription();
  if (gather && pc.iceGatheringState !== "complete")
    await new Promise(done => pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done());
  return pc.localDescription.sdp;
}"""
HEARD = """async () => { for (const r of (await pc.getStats()).values())
  if (r.type === "inbound-rtp" && r.kind === "audio") return r; }"""
TONE: Samples = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * SPOKEN_RATE) / SPOKEN_RATE)).astype(np.float32)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Any]:
    playwright = pytest.importorskip("playwright.async_api")
    if shutil.which(CHROMIUM) is None:
        pytest.skip("Chromium is not installed")
    (tmp_path / "call.html").write_text("<!doctype html><title>call</title>")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *MICROPHONE, AUTOPLAY])
        page = await browser.new_page()
        await page.goto((tmp_path / "call.html").as_uri())
        yield page
        await browser.close()


@pytest.mark.parametrize(
    ("policy", "camera", "gather"),
    [
        ("balanced", "none", True),
        ("max-bundle", "none", False),
        ("max-bundle", "first", False),
        ("balanced", "last", True),
        ("max-compat", "first", True),
    ],
)
async def test_chromium_hears_and_is_heard(page: Any, policy: str, camera: str, gather: bool) -> None:
    candidates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await page.expose_function("tell", candidates.put_nowait)
    peer = await Peer.answer(await page.evaluate(CALL, [policy, camera, gather]), Settings())

    async def trickle() -> None:
        while True:
            one = await candidates.get()
            await peer.add_candidate(one["candidate"], one["sdpMid"], one["sdpMLineIndex"])

    trickling = asyncio.create_task(trickle())
    await page.evaluate("sdp => pc.setRemoteDescription({type: 'answer', sdp})", peer.sdp)
    await peer.connected()
    peer.send('{"type":"hello"}')
    await peer.mouth.play(TONE, Mark())
    heard = []
    async for block in peer.ears:
        heard.append(block.samples)
        if len(heard) == 100:
            break
    assert level_dbfs(np.concatenate(heard)) > -40  # the fake microphone beeps
    assert await page.evaluate("message") == '{"type":"hello"}'
    stats = await page.evaluate(HEARD)
    assert stats["totalAudioEnergy"] > 0.05
    assert stats["packetsLost"] == 0
    await page.evaluate("pc.close()")
    async with asyncio.timeout(20):
        assert await peer.closed() == "hangup"
    trickling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await trickling
