"""PyPI `wrtc`: Chrome's libwebrtc behind the browser's API, in Python. Trickles.

Usage: python wrtc_caller.py URL FOLDER
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path

import webrtc
from common import BLOCK, RATE, Call, Clip


async def speak(clip: Clip, writer: webrtc.WritableStreamDefaultWriter) -> None:
    """10 ms every 10 ms, by the clock."""
    loop = asyncio.get_running_loop()
    began, n = loop.time(), 0
    while True:
        init = webrtc.AudioDataInit(
            format="s16",
            sample_rate=RATE,
            number_of_frames=BLOCK,
            number_of_channels=1,
            timestamp=n * 10_000,
            data=clip.next(),
        )
        await writer.write(webrtc.AudioData(init))
        n += 1
        await asyncio.sleep(max(0.0, began + n * 0.01 - loop.time()))


async def listen(track: webrtc.MediaStreamTrack, heard: list[bytes]) -> None:
    reader = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track=track)).readable.get_reader()
    while not (result := await reader.read()).done:
        with result.value as data:
            assert (data.format, data.sample_rate) == ("s16", RATE), (data.format, data.sample_rate)
            block = bytearray(2 * data.number_of_frames * data.number_of_channels)
            data.copy_to(block, webrtc.AudioDataCopyToOptions(plane_index=0))
            samples = memoryview(bytes(block)).cast("h")[:: data.number_of_channels]
            heard.append(samples.tobytes())


async def main(url: str, folder: Path) -> None:
    call, clip, heard = Call(url, folder, version("wrtc")), Clip(folder), []
    pc = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(ice_servers=[], bundle_policy="max-bundle"))
    microphone = webrtc.MediaStreamTrackGenerator(webrtc.MediaStreamTrackGeneratorInit(kind="audio"))
    pc.add_track(microphone)
    channel = pc.create_data_channel("voxrtc")
    tasks: set[asyncio.Task[None]] = set()

    def take(event: webrtc.RTCTrackEvent) -> None:
        tasks.add(asyncio.ensure_future(listen(event.track, heard)))

    def found(event: webrtc.RTCPeerConnectionIceEvent) -> None:
        one = event.candidate
        found = (one.candidate, one.sdp_mid, one.sdp_m_line_index) if one else ("", None, None)
        tasks.add(asyncio.ensure_future(asyncio.to_thread(call.candidate, *found)))

    pc.on("track", take)
    pc.on("icecandidate", found)
    channel.on("open", lambda event: call.opened())
    channel.on("message", lambda event: call.message(event.data))
    await pc.set_local_description(await pc.create_offer())
    answer = await asyncio.to_thread(call.offer, pc.local_description.sdp)
    await pc.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer))
    tasks.add(asyncio.ensure_future(speak(clip, microphone.writable.get_writer())))
    await asyncio.to_thread(call.until, "call_started")
    clip.begin()
    await asyncio.to_thread(call.until, "reply_ended")
    channel.send(json.dumps({"type": "export_memory"}))
    await asyncio.to_thread(call.until, "memory_exported")
    await asyncio.to_thread(call.hang_up)
    call.write(heard)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    pc.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
