"""A spoken call to a server with the voxtral profile and a tiny random checkpoint: its words are nonsense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from tests.e2e.running import Server, start, stop
from tests.e2e.test_calls import voxrtc

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def voxtral(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    from tests.models.voxtral.tiny import make_checkpoint

    folder = tmp_path_factory.mktemp("voxtral")
    server = start(
        folder,
        MODELS__PROFILE="voxtral",
        MODELS__DEVICE="cpu",
        MODELS__VOXTRAL=str(make_checkpoint(folder / "tiny")),
        SERVER__MAX_CALLS="2",
        DIALOGUE__MAX_REPLY_TOKENS="24",
        DIALOGUE__TEMPERATURE="0.0",
    )
    try:
        server.wait_ready(180)
        yield server
    finally:
        stop(server)


async def test_a_spoken_call_is_heard_and_answered(voxtral: Server, data: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status, printed = await voxrtc("call", str(data / "jfk.wav"), "--url", voxtral.url, "--json", str(report))
    assert status == 0, printed
    told = json.loads(report.read_text())
    assert told["transcript"]
    assert told["reply"]
    await voxtral.wait_idle()
