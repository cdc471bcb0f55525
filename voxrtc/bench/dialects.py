"""What a dialect costs: the CPU time in which the events, a command and the sound of a whole turn are translated.

``python -m voxrtc.bench.dialects`` prints the figures as JSON. There are no models, no network and no session: a turn
as a call tells it goes through each dialect, again and again. The sound of a WebRTC line is Opus, decoded and encoded;
that of a stream is base64 in messages, and resampled.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrtc.audio import SPOKEN_BLOCK, SPOKEN_RATE, Samples, to_pcm16
from voxrtc.bench.machine import machine, today
from voxrtc.events import (
    CallStarted,
    Event,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    SpeechPaused,
    SpeechStarted,
    StateChanged,
    Transcript,
    TurnEnded,
    TurnMetrics,
)
from voxrtc.lines import Dialect
from voxrtc.media.opus import Decoder, Encoder
from voxrtc.media.stream_mouth import TICK_S
from voxrtc.media.streaming import Stream
from voxrtc.plain import Plain
from voxrtc.server.carry import StreamDialect
from voxrtc.server.messages import Messages
from voxrtc.server.realtime.dialect import Realtime
from voxrtc.server.realtime.session import House
from voxrtc.server.realtime.socket import RealtimeMessages
from voxrtc.server.rtvi import Rtvi
from voxrtc.settings import Settings

GOAL_MS = 5.0
TURNS = 200
"""Turns that each dialect translates."""
SOUND_S = 5.0
"""Of the caller's voice, and of the reply's."""
FRAME_S = 0.02
SENTENCE = "so ask not what your country can do for you but ask what you can do for your country"
CLAUSES = (
    "That is a fine question to ask,",
    "and there are many answers to it,",
    "but I would begin with a small one.",
)


def _place(at: int) -> dict[str, Any]:
    return {"call": "8sKx0mDq3bVw", "at": at, "time": 1_800_000_000.25}


def turn(number: int) -> list[Event]:
    """What a call tells of one spoken turn, with partial transcripts, and a reply of three clauses."""
    at = number * 200_000
    place = _place(at)
    words = SENTENCE.split()
    texts = [" ".join(words[:count]) for count in range(3, len(words) + 1, 3)]
    partials = [Transcript(**place, turn=number, text=t, final=False, confidence=0.8, language="en") for t in texts]
    told: list[Event] = [
        SpeechStarted(**place, start=at),
        *partials,
        SpeechPaused(**place, end=at + 80_000),
        TurnEnded(**place, turn=number, start=at, end=at + 80_000),
        StateChanged(**place, state="thinking"),
        Transcript(**place, turn=number, text=SENTENCE, final=True, confidence=0.93, language="en"),
        ReplyStarted(**place, reply=number, turn=number, speculated=True),
        StateChanged(**place, state="speaking"),
    ]
    heard = 0
    for clause, text in enumerate(CLAUSES):
        told.append(ReplyText(**place, reply=number, clause=clause, text=text + " ", emotion="happy"))
        told.append(ReplySpoken(**place, reply=number, clause=clause, heard=heard))
        heard += len(text) + 1
        told.append(ReplySpoken(**place, reply=number, clause=clause, heard=heard))
    stages = ("endpoint_ms", "asr_ms", "first_token_ms", "first_audio_ms", "voice_to_voice_ms")
    spent: dict[str, Any] = dict.fromkeys(stages, 123.4)
    told.append(TurnMetrics(**place, turn=number, reply=number, speculated=True, **spent))
    told.append(ReplyEnded(**place, reply=number, ended="finished", text=" ".join(CLAUSES)))
    return [*told, StateChanged(**place, state="listening")]


@dataclass
class Case:
    """One dialect as it is spoken. ``says``: what its client sends in a turn. ``sound``: has the caller's voice go in
    and the reply's go out, once."""

    dialect: Dialect
    says: str
    sound: Callable[[], None]


def cases(samples: Samples) -> dict[str, Case]:
    """The dialects; ``samples`` (n,) at 24 kHz is what both sides say."""
    house = House(Settings(), lambda: ["hibari"])
    update = {"type": "realtime", "instructions": "Be brief.", "max_output_tokens": 200}
    realtime = json.dumps({"type": "session.update", "session": update})
    plain = json.dumps({"type": "config", "instructions": "Be brief.", "max_tokens": 200})
    config = {"t": "config", "d": {"instructions": "Be brief.", "max_tokens": 200}}
    rtvi = json.dumps({"label": "rtvi-ai", "type": "client-message", "id": "7c1f", "data": config})
    opus = _packets(samples)
    return {
        "plain": Case(Plain(), plain, opus),
        "realtime (WebRTC)": Case(Realtime(house), realtime, opus),
        "pipecat": Case(Rtvi(), rtvi, opus),
        "ws": _messages(samples, plain),
        "realtime (WebSocket)": _realtime_messages(samples, realtime, house),
    }


def _packets(samples: Samples) -> Callable[[], None]:
    """Opus, as a WebRTC line has it."""
    encoder, decoder = Encoder(complexity=Settings().media.opus_complexity), Decoder()
    blocks = np.split(samples, samples.size // SPOKEN_BLOCK)
    packets = [encoder.encode(block) for block in blocks]

    def sound() -> None:
        for packet in packets:
            decoder.decode(packet)
        for block in blocks:
            encoder.encode(block)

    return sound


def _messages(samples: Samples, says: str) -> Case:
    dialect, line = Messages(has_binary=True), Stream(Settings().media)
    _all(dialect.read(json.dumps({"type": "config", "sample_rate": SPOKEN_RATE})))
    return Case(dialect, says, _streamed(dialect, line, samples, "audio", "data"))


def _realtime_messages(samples: Samples, says: str, house: House) -> Case:
    line = Stream(Settings().media)
    dialect = RealtimeMessages(Realtime(house, hear=line.hear))
    return Case(dialect, says, _streamed(dialect, line, samples, "input_audio_buffer.append", "audio"))


def _streamed(dialect: StreamDialect, line: Stream, samples: Samples, kind: str, name: str) -> Callable[[], None]:
    """Sound in messages: one a FRAME_S from the caller, one a TICK_S to it."""
    line.on_message = lambda message: _all(dialect.read(message))
    frames = np.array_split(samples, round(SOUND_S / FRAME_S))
    sent = [json.dumps({"type": kind, name: base64.b64encode(to_pcm16(frame)).decode()}) for frame in frames]
    chunks = np.array_split(samples, round(SOUND_S / TICK_S))

    def sound() -> None:
        for message in sent:
            dialect.take(message, line)
        for chunk in chunks:
            _all(dialect.put(chunk))

    return sound


def _all(messages: Iterable[object]) -> None:
    for _ in messages:
        pass


def measure(case: Case) -> dict[str, float]:
    """CPU ms of a turn (the median of TURNS): of its events and its command, and of its sound."""
    begun: dict[str, Any] = {"hears": "ears", "thinks": "mind", "speaks": "voice", "language": "en", "voice": "hibari"}
    _all(case.dialect.tell(CallStarted(**_place(0), **begun, interruptions="on")))
    words, sound = [], []
    gc.collect()
    for number in range(1, TURNS + 1):
        told = turn(number)
        began = time.process_time_ns()
        for event in told[:-2]:
            _all(case.dialect.tell(event))
        _all(case.dialect.read(case.says))
        middle = time.process_time_ns()
        case.sound()  # before the reply is over: there is an item that it belongs to
        between = time.process_time_ns()
        for event in told[-2:]:
            _all(case.dialect.tell(event))
        words.append((middle - began + time.process_time_ns() - between) / 1e6)
        sound.append((between - middle) / 1e6)
    return {"words_ms": round(statistics.median(words), 2), "sound_ms": round(statistics.median(sound), 2)}


async def bench() -> dict[str, Any]:
    """The document of all figures."""
    t = np.arange(int(SOUND_S * SPOKEN_RATE)) / SPOKEN_RATE
    voice = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    samples = (0.1 * voice).astype(np.float32)
    figures = {name: measure(case) for name, case in cases(samples).items()}
    plain = dict(figures["plain"])
    for found in figures.values():
        found["words_over_plain_ms"] = round(found["words_ms"] - plain["words_ms"], 2)
        found["sound_over_plain_ms"] = round(found["sound_ms"] - plain["sound_ms"], 2)
    return {
        "bench": "dialects",
        "date": today(),
        "command": "python -m voxrtc.bench.dialects",
        "machine": machine(),
        "turns": TURNS,
        "sound_s": SOUND_S,
        "goal_ms": GOAL_MS,
        "dialects": figures,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(bench()), sys.stdout, indent=2)
    print()
