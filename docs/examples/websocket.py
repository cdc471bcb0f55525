"""Say a WAV file (mono, 16 bit) to voxrtc, and save what it answers. Needs one package: pip install websockets

python websocket.py ws://127.0.0.1:8000/ws question.wav reply.wav"""

import asyncio
import base64
import json
import sys
import wave

import websockets


async def main(url: str, question: str, reply: str) -> None:
    with wave.open(question) as file:
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    async with websockets.connect(url) as call:
        await call.send(json.dumps({"type": "config", "sample_rate": rate}))
        tenth = rate // 10 * 2
        for at in range(0, len(sound), tenth):
            await call.send(sound[at : at + tenth])
        with wave.open(reply, "wb") as file:
            file.setparams((1, 2, 24_000, 0, "NONE", ""))
            async for message in call:
                event = json.loads(message)
                if event["type"] == "audio":
                    file.writeframes(base64.b64decode(event["data"]))
                elif event["type"] == "transcription" and event["final"]:
                    print("you:", event["text"])
                elif event["type"] == "response":
                    print("assistant:", event["text"])
                elif event["type"] == "error":
                    print(event["message"], file=sys.stderr)
                elif event["type"] == "reply_ended":
                    await call.send(json.dumps({"type": "hangup"}))


asyncio.run(main(*sys.argv[1:]))
