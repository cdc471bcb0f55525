"""The bench of the dialects: it measures whole turns, and the goal is met."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench import dialects
from voxrtc.media.streaming import Stream

FINAL = {
    "plain": "reply_ended",
    "ws": "reply_ended",
    "realtime (WebRTC)": "response.done",
    "realtime (WebSocket)": "response.done",
    "pipecat": "bot-llm-stopped",
}


async def test_each_dialect_is_within_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "TURNS", 20)
    document = await dialects.bench()
    assert json.loads(json.dumps(document)) == document
    assert set(document["dialects"]) == set(FINAL)
    for figures in document["dialects"].values():
        assert figures["words_ms"] > 0
        assert figures["words_over_plain_ms"] <= dialects.GOAL_MS


@pytest.mark.parametrize("name", list(FINAL))
async def test_a_whole_turn_is_told(name: str) -> None:
    case = dialects.cases(np.zeros(int(dialects.SOUND_S * SPOKEN_RATE), np.float32))[name]
    told = [json.loads(message) for event in dialects.turn(1) for message in case.dialect.tell(event)]
    kinds = [message["type"] for message in told]
    assert kinds.count(FINAL[name]) == 1
    text = json.dumps(told)
    assert dialects.SENTENCE in text
    for clause in dialects.CLAUSES:
        assert clause in text


@pytest.mark.parametrize("name", ["ws", "realtime (WebSocket)"])
async def test_the_sound_is_heard(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = 0

    def hear(line: Stream, samples: np.ndarray, rate: int) -> None:
        nonlocal heard
        assert rate == SPOKEN_RATE
        heard += samples.size

    monkeypatch.setattr(Stream, "hear", hear)
    case = dialects.cases(np.zeros(int(dialects.SOUND_S * SPOKEN_RATE), np.float32))[name]
    case.sound()
    assert heard == dialects.SOUND_S * SPOKEN_RATE
