"""The bench of voices: Chatterbox on a tiny shape and the CPU, hibari for real; what it tells, and how it fails."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.models.tts import checkpoints
from voxrtc.bench.tts import embedded, plot
from voxrtc.bench.tts.bench import bench
from voxrtc.bench.tts.options import Options, check
from voxrtc.bench.tts.show import goals_apply, show
from voxrtc.errors import VoxrtcError
from voxrtc.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ASKED = {"first_audio_ms", "rtf", "callers", "joint_clicks", "peak_gb", "stock"}
ALSO = {"voice", "device", "date", "command", "machine", "versions", "underruns", "alone", "failed"}
SPREAD = {"p50", "p95", "max"}


def shown(document: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=110)
    show(document, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# -- a voice that needs no GPU -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hibari() -> dict[str, Any]:
    options = Options("hibari", callers=3, repeat=4, seconds=0.1, words=False)
    return bench(options, Settings(), command="a test")


def test_hibari_has_every_figure(hibari: dict[str, Any]) -> None:
    assert hibari.keys() >= ASKED | ALSO
    assert hibari["failed"] == {}
    assert json.loads(json.dumps(hibari)) == hibari
    assert hibari["complete"]
    assert hibari["first_audio_ms"].keys() == hibari["alone"]["first_audio_ms"].keys() == SPREAD
    assert hibari["callers"] == 3
    assert 0 < hibari["rtf"] < 1
    assert hibari["wer"] is None
    assert hibari["replies"] >= 3
    assert hibari["alone"]["replies"] == 4
    assert hibari["together"]["replies"] == 3


def test_hibari_stands_beside_its_own_package(hibari: dict[str, Any]) -> None:
    assert hibari["stock"]["first_audio_ms"] > 0
    assert 0 < hibari["stock"]["rtf"] < 1
    assert hibari["stock"]["quiet_ms"] > 100, "which ours leaves out"


def test_no_joint_of_hibari_clicks(hibari: dict[str, Any]) -> None:
    assert hibari["joint_clicks"] == 0
    assert hibari["joints"]["between"]["of"] >= 7
    assert hibari["clicks_by_chance"] <= 0.01
    assert hibari["underruns"] == 0


def test_hibari_on_a_terminal_and_drawn(hibari: dict[str, Any], tmp_path: Path) -> None:
    told = shown(hibari)
    for line in ("hibari, en", "one caller: first audio", "3 callers: first audio, p95", "clicks at joints"):
        assert line in told
    assert "goal" not in told
    assert not goals_apply(hibari)
    plot.plot(hibari, tmp_path / "voice.png")
    assert (tmp_path / "voice.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(VoxrtcError, match="cannot be written"):
        plot.plot(hibari, tmp_path / "none" / "voice.png")


@pytest.mark.models
def test_whisper_understands_hibari() -> None:
    made = bench(Options("hibari", repeat=4, stock=False), Settings(), command="a test")
    assert made["wer"]["words"] > 60
    assert made["wer"]["rate"] <= 0.05
    assert made["stock"] is None
    assert f"of {made['wer']['words']} words misheard by whisper" in shown(made)


def test_espeak_speaks_other_languages() -> None:
    pytest.importorskip("espeakng_loader", reason="the espeak extra is not installed")
    made = bench(Options("espeak", language="de", repeat=2, words=False), Settings(), command="a test")
    assert made["language"] == "de"
    assert made["stock"] is None
    assert made["failed"] == {}
    assert made["joint_clicks"] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"language": "ta"}, "no text in 'ta'"),
        ({"language": "fr"}, "does not speak 'fr'"),
    ],
)
def test_what_hibari_cannot_do_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(VoxrtcError, match=told):
        bench(Options(**{"voice": "hibari", "words": False} | changes), Settings(), command="a test")


@pytest.mark.parametrize("voice", ["", "nosuch", "dia", "mms", "auto"])
def test_a_voice_that_is_not_measured_is_told(voice: str) -> None:
    with pytest.raises(VoxrtcError, match=f"no voice '{voice}'; it measures chatterbox, hibari, espeak, kokoro"):
        bench(Options(voice), Settings(), command="a test")


def test_kokoro_without_its_files_is_told() -> None:
    with pytest.raises(VoxrtcError, match=r"tts\.kokoro names no folder"):
        bench(Options("kokoro"), Settings(), command="a test")


def test_kokoro_is_measured_where_its_files_are(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the espeak extra is not installed")
    checkpoints.kokoro(tmp_path / "kokoro")
    settings = Settings.model_validate({"tts": {"kokoro": str(tmp_path / "kokoro"), "mms": "/nope/{}"}})
    made = bench(Options("kokoro", repeat=2, words=False), settings, command="a test")
    assert made["voice"] == "kokoro"
    assert made["failed"] == {}
    assert made["rtf"] > 0
    assert set(made["versions"]) == {"voxrtc", "onnxruntime"}
    again = bench(Options("kokoro", language="es", repeat=1, words=False), settings, command="a test")
    assert again["language"] == "es", "which hibari does not speak"
    with pytest.raises(VoxrtcError, match="the voice 'kokoro' does not speak 'de'"):
        bench(Options("kokoro", language="de", repeat=1, words=False), settings, command="a test")


def test_the_number_of_words_stands_beside_how_many_were_misheard(hibari: dict[str, Any]) -> None:
    told = shown(hibari | {"wer": {"rate": 0.025, "words": 80, "by": "whisper-base"}})
    assert re.search(r"of 80 words misheard by whisper, % +2\.5", told)


def test_a_part_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("no such luck\nand a long trace")

    monkeypatch.setattr(embedded, "_stock", fails)
    kept: list[bool] = []
    options = Options("hibari", repeat=1, words=False)
    made = bench(options, Settings(), command="a test", keep=lambda document: kept.append(document["complete"]))
    assert kept == [False, False, False, False, True]
    assert made["failed"] == {"stock": "RuntimeError: no such luck"}
    assert made["rtf"] > 0
    assert "stock was not measured: RuntimeError: no such luck" in shown(made)


# -- Chatterbox ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chatterbox() -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    torch.set_num_threads(1)
    told: list[str] = []
    options = Options(device="cpu", callers=2, repeat=1, seconds=0.1)
    made = bench(options, command="a test", progress=lambda what, part: told.append(what))
    assert "measuring t3" in told
    assert "measuring 2 callers at once" in told
    return made


def test_chatterbox_has_every_figure(chatterbox: dict[str, Any]) -> None:
    assert chatterbox.keys() >= ASKED | ALSO
    assert chatterbox["failed"].keys() <= {"stock"}  # where the package is not installed
    assert json.loads(json.dumps(chatterbox)) == chatterbox
    assert chatterbox["shape"]["name"] == "tiny"
    assert chatterbox["weights"] == "random"
    assert chatterbox["t3_token_ms"].keys() == chatterbox["sound_chunk_ms"].keys() == {"1", "2"}
    assert min(chatterbox["t3_token_ms"].values()) > 0
    assert chatterbox["first_audio_ms"].keys() == SPREAD
    assert chatterbox["watermark_ms"] > 0


def test_clauses_of_chatterbox_are_as_long_as_they_are_to_be(chatterbox: dict[str, Any]) -> None:
    seconds = sum(chatterbox["clauses"]) / 25
    for found in (chatterbox, chatterbox["alone"], chatterbox["together"]):
        assert found["seconds_of_sound"] == pytest.approx(seconds * found["replies"], abs=0.01)
    assert chatterbox["together"]["replies"] == 2
    assert chatterbox["loop"]["failures"] == 0
    assert chatterbox["joints"]["within"]["of"] > chatterbox["joints"]["between"]["of"] > 0


def test_streamed_sound_of_chatterbox_is_nearer_to_whole_than_to_other_tokens(chatterbox: dict[str, Any]) -> None:
    stream = chatterbox["stream"]
    assert stream["distance_db"] < stream["other_db"]
    assert stream["seconds"] == 2.0
    assert stream["joints"] >= 2


def test_chatterbox_beside_the_package(chatterbox: dict[str, Any]) -> None:
    if chatterbox["stock"] is None:
        pytest.skip(chatterbox["failed"]["stock"])
    assert min(chatterbox["stock"].values()) > 0
    assert chatterbox["stock"].keys() >= {"first_audio_ms", "rtf", "t3_token_ms", "sound_chunk_ms"}


def test_chatterbox_on_a_terminal_and_drawn(chatterbox: dict[str, Any], tmp_path: Path) -> None:
    told = shown(chatterbox)
    for line in ("tiny shape (of no use but to try)", "a token of 2, ms", "a chunk of 1, ms", "goals of docs"):
        assert line in told
    assert not goals_apply(chatterbox)
    plot.plot(chatterbox, tmp_path / "voice.png")
    assert (tmp_path / "voice.png").stat().st_size > 10_000


def test_goals_stand_beside_the_figures_of_a_large_gpu(chatterbox: dict[str, Any]) -> None:
    large = chatterbox | {"device": "NVIDIA H200", "callers": 16}
    large |= {"shape": {"name": "full", "parameters": 650_000_000}, "failed": {"stream": "RuntimeError: out of memory"}}
    large |= {"first_audio_ms": {"p50": 150.0, "p95": 200.0, "max": 210.0}, "stream": None, "stock": None}
    assert goals_apply(large)
    told = shown(large)
    for line in ("goal", "≤ 110", "≤ 230", "≤ 0.1", "≤ 4", "≤ 40", "0.65 B", "stream was not measured"):
        assert line in told


def test_stock_without_the_package_is_told() -> None:
    torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
    from voxrtc.bench.tts import stock

    if stock.installed():
        pytest.skip("it is installed")
    with pytest.raises(VoxrtcError, match="not installed"):
        stock.Stock({}, {}, torch.device("cpu"))


def test_distances_and_chunks() -> None:
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    from voxrtc.bench.tts.steps import distance_db

    noise = 0.1 * np.random.default_rng(1).standard_normal(12_000).astype(np.float32)
    assert distance_db(noise, noise) == 0.0
    assert distance_db(noise, 2 * noise) == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("shape", ["large", "no-such-folder"])
def test_another_shape_is_told(shape: str) -> None:
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    with pytest.raises(VoxrtcError, match="neither full nor tiny"):
        check(Options(device="cpu", shape=shape))


def test_no_cuda_device_is_told_at_once() -> None:
    torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(VoxrtcError, match="--device cpu"):
        check(Options())


WITHOUT = """
import sys
from importlib.machinery import PathFinder
LACKING = set({lacking!r})
class Few:
    find_distributions = PathFinder.find_distributions
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in LACKING else PathFinder.find_spec(name, path, target)
sys.meta_path = [Few if finder is PathFinder else finder for finder in sys.meta_path]
{script}
"""
NO_GPU = ["torch", "transformers", "safetensors", "chatterbox"]
LITTLE = [
    "av", "pydantic", "msgspec", "mistral_common", "aiohttp", "aiortc", "jiwer", "ctranslate2", "onnxruntime",
    "torchao", "psutil", "matplotlib", "hypothesis", "pytest_asyncio", "pytest_timeout", "xllamacpp", "dotenv",
    "soundfile", "soxr", "hibari", "tokenizers_", "chatterbox",
]  # fmt: skip


def started(lacking: list[str], script: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", WITHOUT.format(lacking=lacking, script=script)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=100)


def test_it_starts_where_little_is_installed() -> None:
    """As on a GPU machine that has torch and transformers, and nothing else of ours."""
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    script = "import voxrtc.bench.tts.__main__, voxrtc.bench.tts.chatterbox, tests.gpu.chatterbox; print('started')"
    done = started(LITTLE, script)
    assert done.stdout.strip() == "started", done.stderr


def test_without_torch_it_says_what_to_install_and_other_voices_speak() -> None:
    script = """
from voxrtc.bench.tts.bench import bench
from voxrtc.bench.tts.options import Options
try:
    bench(Options(device="cpu"), command="a test")
except Exception as error:
    print(type(error).__name__, error)
print(bench(Options("hibari", repeat=1, words=False), command="a test")["failed"])
"""
    done = started(NO_GPU, script)
    assert "needs torch, which is not installed; run: pip install" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("{}")


def test_a_module_of_its_own_and_the_command_measure_too(tmp_path: Path) -> None:
    for command in (["-m", "voxrtc.bench.tts"], ["-m", "voxrtc.cli", "bench", "tts"]):
        line = [sys.executable, *command, "--voice", "hibari", "--repeat", "1", "--no-words", "--no-stock"]
        line += ["--json", str(tmp_path / "figures.json")]
        done = subprocess.run(line, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert "one caller: first audio" in done.stdout
        found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
        assert found["stock"] is None
        assert "tts" in found["command"]
