"""A caller to be killed: goes as far as it is told (answered, connected, replying), says so, and waits for its end.

Usage: python -m tests.e2e.vanishing URL STAGE
"""

import asyncio
import json
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription


async def main(url: str, stage: str) -> None:
    caller = RTCPeerConnection()
    channel = caller.createDataChannel("voxrtc")
    caller.addTransceiver("audio", direction="recvonly")
    came: asyncio.Queue[str] = asyncio.Queue()
    channel.on("message", lambda message: came.put_nowait(json.loads(message)["type"]))
    await caller.setLocalDescription(await caller.createOffer())
    async with aiohttp.ClientSession() as http:
        answer = await http.post(url + "/offer", json={"sdp": caller.localDescription.sdp, "type": "offer"})
        body = await answer.json()
    if stage != "answered":
        await caller.setRemoteDescription(RTCSessionDescription(body["sdp"], "answer"))
        while await came.get() != "call_started":
            pass
    if stage == "replying":
        channel.send(json.dumps({"type": "text", "text": "Tell me something long."}))
        while await came.get() != "reply_started":
            pass
    print("there", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
