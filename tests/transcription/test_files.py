"""A source and models of one's own: through a real host with a scripted profile, and from the command line."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from voxrtc import cli
from voxrtc.errors import AudioError, ModelsError
from voxrtc.models.client import HostClient
from voxrtc.settings import Settings
from voxrtc.sources import Guard
from voxrtc.transcription import files

ROOT = Path(__file__).resolve().parents[2]
JFK = ROOT / "tests" / "data" / "jfk.wav"

Host = Callable[[str], list[HostClient]]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Has files.transcribe() start a function of tests/models/scripted.py; gives the clients that it makes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "models"))
    made: list[HostClient] = []

    def choose(factory: str) -> list[HostClient]:
        command = [sys.executable, "-m", "voxrtc.models.host", "--profile-factory", f"scripted:{factory}"]

        def start(settings: Settings) -> HostClient:
            made.append(HostClient(settings, command))
            return made[-1]

        monkeypatch.setattr(files, "HostClient", start)
        return made

    return choose


async def test_from_a_path_to_a_transcript(host: Host) -> None:
    clients = host("make")
    told: list[tuple[str, float]] = []
    how = {"settings": Settings(), "progress": lambda what, part: told.append((what, part))}
    found = await files.transcribe(str(JFK), "en", guard=Guard(allow_paths=True), **how)
    assert found.text.endswith("samples, partial False")
    assert int(found.text.split()[0]) == pytest.approx(11 * 16_000, abs=8_000), "without the silence at its ends"
    assert (found.language, found.confidence, found.duration_s) == ("en", 1.0, 11.0)
    assert told[-1] == (files.TRANSCRIBING, 1.0)
    assert clients[0].pid is None, "its host is gone"


async def test_from_bytes_and_from_base64(host: Host) -> None:
    host("make")
    data = JFK.read_bytes()
    both = [await files.transcribe(source, settings=Settings()) for source in (data, base64.b64encode(data).decode())]
    assert both[0] == both[1]


async def test_paths_are_read_only_where_that_is_allowed(host: Host) -> None:
    clients = host("make")
    with pytest.raises(AudioError, match="neither an http"):
        await files.transcribe(str(JFK), settings=Settings())
    assert clients == [], "nothing is started for a source that cannot be read"


async def test_more_bytes_than_the_guard_allows_are_not_decoded() -> None:
    with pytest.raises(AudioError, match="larger than"):
        await files.read(JFK.read_bytes(), Guard(max_bytes=1_000))


async def test_models_that_cannot_be_loaded_are_told(host: Host) -> None:
    clients = host("unloadable")
    with pytest.raises(ModelsError, match="there is no model here; fetch one"):
        await files.transcribe(JFK.read_bytes(), settings=Settings())
    assert clients[0].pid is None


# -- the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def voxrtc(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs the command line in an empty folder, with scripted models and nothing fetched: status, output, errors."""
    host("make")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "pull", lambda settings, names: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("text", ""),
        ("json", '{\n  "text": "'),
        ("verbose_json", '{\n  "task": "transcribe",\n  "language": "en"'),
        ("srt", "1\n00:00:00,3"),
        ("vtt", "WEBVTT\n\n00:00:00.3"),
    ],
)
def test_every_format_is_printed_and_nothing_else(voxrtc, form: str, begins: str) -> None:
    status, out, _ = voxrtc("transcribe", str(JFK), "--format", form)
    assert status == 0
    assert out.startswith(begins)
    assert "samples, partial False" in out


def test_into_a_file(voxrtc, tmp_path: Path) -> None:
    status, out, _ = voxrtc("transcribe", str(JFK), "--format", "srt", "--output", "a.srt", "--json", "a.json")
    assert (status, out) == (0, "")
    assert (tmp_path / "a.srt").read_text().startswith("1\n00:00:00,3")
    assert json.loads((tmp_path / "a.json").read_text())["duration"] == 11.0


def test_from_standard_input(voxrtc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(JFK.read_bytes())))
    assert voxrtc("transcribe", "-") == voxrtc("transcribe", str(JFK))


def test_what_is_no_sound_is_told_before_anything_is_loaded(voxrtc, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    status, out, err = voxrtc("transcribe", "a.txt")
    assert (status, out) == (1, "")
    assert "a.txt: not audio that can be read" in err
