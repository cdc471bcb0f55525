"""Other people's WebRTC calls a real server: connects, speaks and is understood, hears the reply, hangs up."""

import datetime
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.e2e.running import Server
from tests.interop import judging, sound
from tests.interop.clients import CLIENTS, Client
from tests.interop.matrix import ROWS
from voxrtc.audio import HEARD_RATE, level_dbfs
from voxrtc.models.asr.whisper import Whisper

pytestmark = pytest.mark.models

CLIP = "austen-0930"
PARAMETERS = [
    pytest.param(client, id=client.name, marks=[pytest.mark.browser] if client.name == "Chromium" else [])
    for client in CLIENTS
]


@pytest.mark.parametrize("client", PARAMETERS)
async def test_speech_in_and_speech_out(
    client: Client, server: Server, whisper: Whisper, data: Path, tmp_path: Path
) -> None:
    if missing := client.missing():
        pytest.skip(missing)
    before = await server.idle_tasks()
    report = await client.call(server.url, tmp_path, data / f"{CLIP}.wav")

    # Speech in, by what the client itself was told on the data channel.
    wer_in = judging.rate((data / f"{CLIP}.txt").read_text(), judging.transcript(report))
    assert wer_in <= 0.25, judging.transcript(report)

    # Speech out: sound at a speaking level, as long as the reply was, with the reply's words in it.
    text, seconds = judging.reply(report)
    heard = sound.voiced(sound.heard(tmp_path))
    assert level_dbfs(heard) > -35
    assert 0.6 * seconds < heard.size / HEARD_RATE < 1.2 * seconds, "seconds"
    wer_out = judging.rate(text, judging.transcribe(whisper, heard))
    assert wer_out <= 0.35

    # The data channel upwards: what was asked on it was answered.
    (exported,) = judging.events(report, "memory_exported")
    memory = json.dumps(json.loads(exported["memory"]), ensure_ascii=False)
    assert json.dumps(text, ensure_ascii=False).strip('"') in memory

    # Hung up: nothing is left of it.
    await server.wait_idle()
    assert server.tasks == before
    _keep(client, report, wer_in, wer_out, seconds)


def _keep(client: Client, report: dict, wer_in: float, wer_out: float, seconds: float) -> None:
    """One row for the matrix (python -m tests.interop.matrix)."""
    frame_ms, dtx = judging.sending(report)
    row = judging.Row(
        client=client.name,
        version=report["version"],
        runs_on=report["runs_on"],
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        answer_ms=round(report["answer_ms"]),
        connected_ms=round(report["connected_ms"]),
        wer_in=wer_in,
        wer_out=wer_out,
        reply_s=round(seconds, 1),
        frame_ms=frame_ms,
        dtx=dtx,
        events=len(report["events"]),
        command="export_memory answered",
        **judging.offered(report),
    )
    ROWS.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in client.name)
    (ROWS / f"{name}.json").write_text(json.dumps(asdict(row), indent=1))
    (ROWS / f"{name}.sdp").write_text(report["offer"])
