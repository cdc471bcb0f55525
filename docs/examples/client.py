"""Ask voxrtc something, aloud or typed: python client.py http://127.0.0.1:8000 question.wav reply.wav"""

import asyncio
import datetime
import sys

import voxrtc


def current_time(utc: bool = False) -> str:
    """The time of day, here or in UTC."""
    return datetime.datetime.now(tz=datetime.UTC if utc else None).strftime("%H:%M")


async def main(url: str, question: str, reply: str) -> None:
    async with voxrtc.Client(url, functions=[current_time]) as call:
        await call.speak(question) if question.endswith(".wav") else call.text(question)
        async for event in call:
            if event["type"] == "transcript" and event["final"]:
                print("you:", event["text"])
            elif event["type"] == "reply_text":
                print("assistant:", event["text"])
            elif event["type"] == "reply_ended":
                break
        await call.save(reply)


try:
    asyncio.run(main(*sys.argv[1:]))
except voxrtc.CallFailed as error:
    sys.exit(f"the call failed: {error}")
