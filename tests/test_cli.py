"""The command line: what it takes, what it prints, how it exits. What the commands do is tested where it is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from voxrtc import __version__, cli
from voxrtc.models.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ["serve", "call", "transcribe", "models", "doctor", "bench"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def voxrtc(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in an empty folder with an empty model cache: status, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        for console in (cli.console, cli.errors):
            monkeypatch.setattr(console, "_width", 200)
        try:
            status = cli.main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return run


# -- what it takes --------------------------------------------------------------------------------------------------


def test_without_its_script() -> None:
    command = [sys.executable, "-m", "voxrtc", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert done.stdout == f"voxrtc {__version__}\n"


def test_version(voxrtc: Run) -> None:
    assert voxrtc("--version") == (0, f"voxrtc {__version__}\n", "")


def test_help_names_every_command(voxrtc: Run) -> None:
    status, out, _ = voxrtc("--help")
    assert status == 0
    for command in COMMANDS:
        assert f"\n    {command} " in out


@pytest.mark.parametrize("command", [*COMMANDS, "bench call"])
def test_help_of_each_command(voxrtc: Run, command: str) -> None:
    status, out, _ = voxrtc(*command.split(), "--help")
    assert status == 0
    assert out.startswith(f"usage: voxrtc {command}")
    assert len(out.splitlines()) > 3


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "sing",
        "serve now",
        "serve --port 1",
        "call",
        "call a.wav b.wav",
        "call a.wav --json no-such-folder/report.json",
        "call a.wav --out .",
        "transcribe",
        "transcribe a.wav --format doc",
        "transcribe a.wav --language xx",
        "transcribe a.wav --output no-such-folder/a.srt",
        "models",
        "models steal",
        "bench",
        "bench call",
        "bench call --audio . --calls 0",
        "bench call --audio . --calls many",
        "bench call --audio . --rounds -1",
        "bench call --audio . --json no-such-folder/report.json",
    ],
)
def test_a_wrong_call_is_2(voxrtc: Run, arguments: str) -> None:
    status, _, err = voxrtc(*arguments.split())
    assert status == 2
    assert "usage: voxrtc" in err


# -- wrong settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "models list", "models pull", "models verify", "transcribe x.wav"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nport = 99999\n", "server.port"),
        ("[server]\nprot = 1\n", "unknown key 'server.prot'; allowed: host, port"),
        ("[server", "not valid TOML"),
    ],
)
def test_wrong_settings_are_1(voxrtc: Run, tmp_path: Path, command: str, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    status, out, err = voxrtc(*command.split())
    assert (status, out) == (1, "")
    assert err.startswith("voxrtc: config.toml: ")
    assert says in err


def test_a_strategy_that_there_is_none_of_is_told_before_anything_is_fetched(
    voxrtc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "config.toml").write_text('[endpointing]\nstrategy = "oracle"\n')
    status, out, err = voxrtc("serve")
    assert (status, out) == (1, "")
    assert err == "voxrtc: endpointing.strategy: 'oracle' is not a strategy; there are fused, smart_turn, vad\n"
    assert not (tmp_path / "cache").exists()


def test_a_configuration_that_is_not_there(voxrtc: Run) -> None:
    status, _, err = voxrtc("--config", "other.toml", "serve")
    assert (status, err) == (1, "voxrtc: other.toml: there is no such file\n")


def test_a_wrong_variable_is_named(voxrtc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_SERVER__PORT", "[1, 2]")
    status, _, err = voxrtc("models", "list")
    assert status == 1
    assert "VOXRTC_SERVER__PORT" in err
    assert "[1, 2]" in err, "brackets are not taken for markup"


# -- models -----------------------------------------------------------------------------------------------------------


def test_models_list_of_an_empty_cache(voxrtc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = voxrtc("models", "list")
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:-1]}
    assert set(rows) == set(CATALOGUE)
    assert "148 MB" in rows["whisper-base"]
    for name in ("whisper-base", "qwen2.5-1.5b", "silero-vad", "smart-turn-v3.2", "smollm2-135m"):
        assert rows[name].endswith("yes") or rows[name].rstrip().endswith("yes")
        assert "missing" in rows[name]
    monkeypatch.setenv("VOXRTC_MODELS__TURNS", "none")
    _, out, _ = voxrtc("models", "list")
    (row,) = (line for line in out.splitlines() if line.startswith("smollm2-135m"))
    assert not row.rstrip().endswith("yes")
    assert str(tmp_path / "cache") in out
    assert not (tmp_path / "cache").exists(), "looking makes nothing"


def test_models_list_of_some(voxrtc: Run) -> None:
    status, out, _ = voxrtc("models", "list", "silero-vad")
    assert status == 0
    assert "silero-vad" in out
    assert "whisper" not in out


@pytest.mark.parametrize("action", ["list", "pull", "verify"])
def test_a_model_that_is_unknown(voxrtc: Run, action: str) -> None:
    status, _, err = voxrtc("models", action, "gpt-7")
    assert status == 1
    assert "there is no model 'gpt-7'; known are " in err


def test_a_damaged_model_is_found_and_deleted(voxrtc: Run, tmp_path: Path) -> None:
    model = CATALOGUE["silero-vad"]
    folder = tmp_path / "cache" / model.name
    folder.mkdir(parents=True)
    for file in model.files:
        with (folder / file.name).open("wb") as out:
            out.truncate(file.bytes)
    assert "present" in voxrtc("models", "list", model.name)[1]
    status, out, err = voxrtc("models", "verify", model.name)
    assert status == 1
    assert "wrong sha256" in err
    assert "missing" in out
    assert not any((folder / file.name).exists() for file in model.files)


# -- sound ------------------------------------------------------------------------------------------------------------


def test_sound_that_is_not_there(voxrtc: Run) -> None:
    for arguments in (("call", "no.wav"), ("transcribe", "no.wav")):
        status, _, err = voxrtc(*arguments)
        assert (status, err) == (1, "voxrtc: no.wav: there is no such file\n")


def test_a_call_to_nobody(voxrtc: Run, tmp_path: Path) -> None:
    sound = ROOT / "tests" / "data" / "jfk.wav"
    status, out, _ = voxrtc("call", str(sound), "--url", "http://127.0.0.1:9", "--json", "report.json")
    assert status == 1
    assert "127.0.0.1:9" in out
    assert '"answered": false' in (tmp_path / "report.json").read_text()


def test_a_report_that_cannot_be_written(voxrtc: Run, tmp_path: Path) -> None:
    sound = ROOT / "tests" / "data" / "jfk.wav"
    (tmp_path / "full").symlink_to("/dev/full")
    status, _, err = voxrtc("call", str(sound), "--url", "http://127.0.0.1:9", "--json", "full")
    assert status == 1
    assert "full: cannot be written: No space left on device" in err


def test_capacity_is_the_page(voxrtc: Run) -> None:
    assert voxrtc("bench", "voxtral", "--capacity") == (0, (ROOT / "docs" / "capacity.md").read_text(), "")


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_doctor_exits_by_what_it_found(voxrtc: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[server]\nhost = ["a", "[/bold]"]\n')
    status, out, _ = voxrtc("doctor")
    assert status == 1
    assert out.startswith("bad  configuration: config.toml: server.host: found ['a', '[/bold]'] (list)")
    assert "config.toml in the repository shows every key" in out


def test_an_address_with_brackets_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    ready = SimpleNamespace(hears="ears [a]", thinks="mind", speaks="voice")
    settings = cli.Settings.model_validate({"server": {"host": "fe80::1"}})
    cli._announce("http://[fe80::1]:8000", ready, settings)
    out = capsys.readouterr().out
    assert "http://[fe80::1]:8000" in out
    assert "ears [a]" in out
    assert "HTTPS" in out


def test_the_command_is_installed() -> None:
    """As a process of its own, with the log on stderr only; nothing heavy is imported for a word of help."""
    script = "import sys; from voxrtc import cli; cli.main(['models', 'list', 'silero-vad']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = done.stdout.split()
    for module in ("aiortc", "onnxruntime", "xllamacpp", "ctranslate2", "torch"):
        assert module not in loaded
    program = Path(sys.executable).with_name("voxrtc")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, env=os.environ)
    assert (done.stdout, done.stderr) == (f"voxrtc {__version__}\n", "")


def test_verify_fails_where_something_wanted_is_not_here(voxrtc: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "models"))
    status, _, err = voxrtc("models", "verify", "silero-vad")
    assert status == 1
    assert "silero-vad is missing; fetch it with: voxrtc models pull silero-vad" in err.replace("\n", " ")
    folder = tmp_path / "models" / "silero-vad"
    folder.mkdir(parents=True)
    (folder / "silero_vad.onnx").write_bytes(b"too short")
    status, out, _ = voxrtc("models", "verify", "silero-vad")
    assert status == 1
    assert "silero-vad" in out
