"""``voxrtc call``: one call, its report and its recording."""

import json
from pathlib import Path

import numpy as np
import pytest
from tone_server import Behaviour, speech

from voxrtc.bench.clip import Clip
from voxrtc.bench.conversation import Patience
from voxrtc.bench.place import place
from voxrtc.errors import AudioError
from voxrtc.sources import read

QUICK = Patience(answer_s=1.0, reply_s=5.0, quiet_s=0.45, lead_s=0.2)


async def test_answered(serve, tmp_path: Path):
    end = Clip.of("x", speech()).speech_end
    server = await serve(Behaviour(ends=(end,), tone_s=0.6))
    kinds: list[str] = []
    report = await place(server.url, speech(), patience=QUICK, on_event=lambda event: kinds.append(event["type"]))
    assert report.answered
    assert (report.failed, report.transcript, report.reply) == (None, "one two three", "a tone")
    assert report.metrics["asr_ms"] == 50.0
    assert report.profile["hears"] == "nothing"
    assert "turn_ended" in kinds
    report.save(tmp_path / "reply.wav")
    reply = read(tmp_path / "reply.wav")
    assert 0.5 < reply.size / 16_000 < 1.2
    tone = np.abs(np.fft.rfft(reply[4_000:8_000]))
    assert abs(np.argmax(tone) * 4.0 - 450) < 10
    again = json.loads(json.dumps(report.to_json()))
    assert again["answered"] is True
    assert "audio" not in again
    assert server.hung_up == ["s1"]


async def test_not_answered_refused_and_nobody_there(serve):
    end = Clip.of("x", speech(0.3)).speech_end
    silent = await serve(Behaviour(ends=(end,), answers=False))
    report = await place(silent.url, speech(0.3), patience=Patience(answer_s=0.4, lead_s=0.1))
    assert (report.answered, report.failed) == (False, "no answer within 0.4 s")
    busy = await serve(Behaviour(refuse=503))
    report = await place(busy.url, speech(0.3), patience=QUICK)
    assert (report.answered, report.failed) == (False, "refused (503): All lines are busy.; try again in 7 s")
    report = await place("http://127.0.0.1:1", speech(0.3), patience=QUICK)
    assert not report.answered


async def test_no_samples():
    with pytest.raises(AudioError, match="holds no audio"):
        await place("http://127.0.0.1:1", np.empty(0, np.float32))
