"""Say a WAV file (mono, 16 bit) to voxrtc, and save what it answers. Needs one package: pip install websockets
python websocket.py ws://127.0.0.1:8000/ws question.wav reply.wav"""

import base64
import json
import sys
import wave

from websockets.sync.client import connect

url, question, reply = sys.argv[1:]
with wave.open(question) as file:
    rate, sound = file.getframerate(), file.readframes(file.getnframes())
with connect(url) as call, wave.open(reply, "wb") as file:
    file.setparams((1, 2, 24_000, 0, "NONE", ""))
    call.send(json.dumps({"type": "config", "sample_rate": rate}))
    tenth = rate // 10 * 2
    for at in range(0, len(sound), tenth):
        call.send(sound[at : at + tenth])
    for event in map(json.loads, call):
        if event["type"] == "audio":
            file.writeframes(base64.b64decode(event["data"]))
        elif event["type"] == "transcription" and event["final"]:
            print("you:", event["text"])
        elif event["type"] == "response":
            print("assistant:", event["text"])
        elif event["type"] == "error":
            print(event["message"], file=sys.stderr)
        elif event["type"] == "reply_ended":
            call.send(json.dumps({"type": "hangup"}))
