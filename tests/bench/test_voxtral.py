"""The bench of Voxtral, whole, on a tiny shape and the CPU: what it tells, and that it can be believed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("transformers", reason="the gpu extra is not installed")

from voxrtc.bench.voxtral import mix, plot, releases, steps  # noqa: E402
from voxrtc.bench.voxtral.bench import bench  # noqa: E402
from voxrtc.bench.voxtral.keeping import kept  # noqa: E402
from voxrtc.bench.voxtral.options import Options, check  # noqa: E402
from voxrtc.bench.voxtral.releases import waited  # noqa: E402
from voxrtc.bench.voxtral.show import goals_apply, show  # noqa: E402
from voxrtc.errors import ModelsError, VoxrtcError  # noqa: E402
from voxrtc.models.urgency import FIRST  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data"
ASKED = {
    "device", "encode_ms", "prefill_ms", "first_token_ms", "decode_ms", "tokens_per_s", "generate", "floor", "reuse",
    "peak_gb", "quantize",
}  # fmt: skip
SMALL = {"device": "cpu", "callers": (1, 3), "context": 400, "repeat": 2, "mix_s": 0.3}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    torch.set_num_threads(1)
    told: list[str] = []
    made = bench(
        Options(**SMALL, audio=DATA / "austen-0880.wav"),  # type: ignore[arg-type]
        command="a test",
        progress=lambda what, part: told.append(what),
    )
    assert "measuring steps" in told
    return made


def test_every_key_is_there_and_nothing_failed(document: dict[str, Any]) -> None:
    assert document.keys() >= ASKED
    assert document["failed"] == {}
    assert json.loads(json.dumps(document)) == document
    assert document["shape"]["name"] == "tiny"
    assert document["device"].startswith("CPU")
    assert document["sound"] == {"seconds": 6.0, "what": "austen-0880.wav"}


def test_figures_are_of_steps_that_ran(document: dict[str, Any]) -> None:
    assert document["first_token_ms"] > document["prefill_ms"] > 0
    assert document["encode_ms"] > 0
    assert set(document["decode_ms"]) == set(document["tokens_per_s"]) == {"1", "3"}
    for count, ms in document["decode_ms"].items():
        assert document["tokens_per_s"][count] == pytest.approx(1_000 * int(count) / ms, rel=0.01)
    assert document["generate"]["first_token_ms"] > 0
    assert document["generate"]["decode_ms"] >= 0  # a difference of two times: 0 where this machine is busy
    assert document["peak_gb"] > document["weights_gb"] > 0


def test_ratios_are_those_of_the_figures(document: dict[str, Any]) -> None:
    """How large they are is a matter of how busy this machine is."""
    floor, ratios = document["floor"], document["ratios"]
    assert floor["decode_ms"] == floor["decode_ms_by_callers"]["1"] > 0
    assert ratios["first_token_to_floor"] * floor["first_token_ms"] == pytest.approx(
        document["first_token_ms"], rel=0.01
    )
    assert ratios["decode_to_floor"].keys() == document["decode_ms"].keys()
    assert ratios["generate_first_token_to_ours"] > 0


def test_a_turn_reads_its_own_tokens_only(document: dict[str, Any]) -> None:
    """375 of sound, four special ones, and the answer's end (its last token, too, was never read)."""
    reuse = document["reuse"]
    assert reuse["turn1_prefill_tokens"] == 405
    assert reuse["turn5_prefill_tokens"] <= 384
    assert reuse["turn5_prompt_tokens"] > 4 * reuse["turn5_prefill_tokens"]


def test_logits_are_those_of_transformers(document: dict[str, Any]) -> None:
    correct = document["correct"]
    assert correct["passed"]
    assert correct["worst"] < 1e-5  # in float32
    assert set(correct["relative_l2"]) == {"prefill", "decode_1", "decode_3"}


def test_the_mix_tells_what_a_caller_notices(document: dict[str, Any]) -> None:
    found = document["mix"]
    assert found["streams"] >= 2
    assert found["stream_min_tok_s"] <= found["stream_tok_s"]["p50"]
    assert found["longest_gap_ms"] >= found["gap_ms"]["p50"] > 0
    assert found["release_to_first_token_ms"].keys() == {"saying", "reading"}
    assert found["rows"]["max"] <= 2 * found["callers"]


def test_a_table_and_a_picture(document: dict[str, Any], tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=110)
    show(document, console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "tiny shape" in shown
    assert "of no use but to try" in shown
    assert "goals" in shown
    assert not goals_apply(document)
    plot.plot(document, tmp_path / "steps.png")
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(VoxrtcError, match="cannot be written"):
        plot.plot(document, tmp_path / "none" / "steps.png")


def test_goals_stand_beside_the_figures_of_a_large_gpu(document: dict[str, Any]) -> None:
    large = document | {"device": "NVIDIA H100 80GB HBM3", "shape": {"name": "full", "parameters": 4_673_667_072}}
    large |= {"failed": {"mix": "VoxrtcError: no answer"}, "mix": None, "quantize": "int4", "generate": None}
    large |= {"correct": document["correct"] | {"passed": False, "worst": 0.5}}
    console = Console(file=io.StringIO(), width=110)
    show(large, console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for told in ("goal", "≤ 22", "≤ 3.9", "≤ 4.5", "4.67 B", "mix was not measured", "more than 0.02"):
        assert told in shown


def test_eight_bits_are_near_too() -> None:
    pytest.importorskip("torchao", reason="the gpu extra is not installed")
    made = bench(Options(**SMALL, quantize="int8"), command="a test")  # type: ignore[arg-type]
    assert made["quantize"] == "int8"
    assert made["correct"]["passed"]
    assert 1e-4 < made["correct"]["worst"] < made["correct"]["limit"]


async def test_answers_that_are_interrupted_end() -> None:
    from voxrtc.bench.voxtral.shape import config_of
    from voxrtc.bench.voxtral.sound import speech
    from voxrtc.models.voxtral import build, checkpoint

    cpu = torch.device("cpu")
    take = checkpoint.random(config_of("tiny"), torch.float32, cpu)
    options = build.Options(cpu, torch.float32, context=2_048, callers=2)
    runner = build.assemble(config_of("tiny"), take, options, lambda what, part: None)
    plan = mix.Plan(2, 0.5, pause_s=0.05, thinking_s=0.05, answer=1_200, interrupted_s=0.05)
    waits: list[None] = []
    found = mix.measure(runner, speech(None, 0)[0], 2_048, lambda: waits.append(None), plan)
    assert found["cancel_ms"]["max"] > 0
    assert len(waits) >= found["streams"] / 2, "every stage of the encoder is waited for"


def test_both_kinds_of_releases_are_measured(document: dict[str, Any]) -> None:
    found = document["release_to_first_token_ms"]
    assert found["saying"]["count"] + found["reading"]["count"] == 2
    assert found["saying"]["max"] > 0


def test_a_release_waits_for_the_next_token() -> None:
    assert waited([1.0, 2.0, 3.0], 0.5) == (False, 0.5)
    assert waited([1.0, 2.0, 3.0], 1.25) == (True, 0.75)
    assert waited([1.0], 1.0) is None
    assert waited([], 1.0) is None


def test_a_loop_that_keeps_a_released_guess_waiting_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.models.voxtral.scripted_runner import ScriptedRunner
    from voxrtc.models.voxtral.loop import Loop

    delay_s = 0.2

    class Parking(Loop):
        """Lets guesses lie, and is slow to take them up again."""

        def _decode(self) -> None:
            released = [run for run in self._decoding if run.level == FIRST]
            parked = [run for run in self._decoding if run.level > FIRST]
            fresh = [run for run in released if run.request not in seen]
            seen.extend(run.request for run in fresh)
            threading.Event().wait(delay_s if fresh else 0.001)
            self._decoding = released
            super()._decode()
            self._decoding += parked

    seen: list[object] = []
    monkeypatch.setattr(releases, "ANSWER", 8)
    monkeypatch.setattr(releases, "Loop", Parking)
    runner = ScriptedRunner(pages=2_000, page_size=16, context=4_096)
    found = releases.measure(runner, np.zeros(16_000, np.float32), 2_048, 4, 0)
    assert found["saying"]["p50"] >= 1e3 * delay_s


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": "no-such-folder"}, "neither full nor tiny"),
        ({"audio": DATA / "jfk.txt"}, "cannot be read as a WAV"),
        ({"audio": DATA / "none.wav"}, "cannot be read as a WAV"),
        ({"attention": "flash"}, "does not work here"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(changes: dict[str, Any], told: str) -> None:
    with pytest.raises((VoxrtcError, ModelsError), match=told):
        bench(Options(**SMALL | changes, stock=False), command="a test")  # type: ignore[arg-type]


def test_no_cuda_device_is_told_at_once() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(VoxrtcError, match="--device cpu"):
        check(Options())


def test_it_starts_where_little_is_installed() -> None:
    """As on a GPU machine that has torch and transformers, and nothing else of ours."""
    script = """
import sys
from importlib.machinery import PathFinder
LACKING = {"psutil", "matplotlib", "hypothesis", "pytest_asyncio", "pytest_timeout", "av",
           "pydantic", "msgspec", "mistral_common", "aiohttp", "aiortc", "jiwer", "ctranslate2", "onnxruntime",
           "torchao", "tokenizers_", "xllamacpp", "dotenv", "soundfile"}
class Few:
    find_distributions = PathFinder.find_distributions
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in LACKING else PathFinder.find_spec(name, path, target)
sys.meta_path = [Few if finder is PathFinder else finder for finder in sys.meta_path]
import voxrtc.bench.voxtral.__main__, voxrtc.bench.voxtral.bench, tests.gpu.machine
print("started")
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=100)
    assert done.stdout.strip() == "started", done.stderr


def test_a_module_of_its_own_measures_too(tmp_path: Path) -> None:
    """``python -m voxrtc.bench.voxtral``."""
    line = [sys.executable, "-m", "voxrtc.bench.voxtral", "--device", "cpu", "--rows", "1", "--context", "64"]
    line += ["--repeat", "1", "--mix-seconds", "0.1", "--no-stock", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "sound to first token" in done.stdout
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert found["generate"] is None
    assert found["correct"] is None
    assert found["failed"] == {}
    assert found["mix"]["streams"] == 2
    assert found["complete"]
    line += ["--device", "cuda"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100)
    if not torch.cuda.is_available():
        assert done.returncode == 1
        assert "no CUDA device" in done.stderr


def test_a_step_that_fails_takes_no_other_figure_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measure(*given: object) -> None:
        raise RuntimeError("CUDA error: no such luck\nand a long trace")

    monkeypatch.setattr(steps, "measure", measure)
    made = bench(Options(**SMALL, stock=False), command="a test")  # type: ignore[arg-type]
    assert made["failed"] == {"steps": "RuntimeError: CUDA error: no such luck"}
    assert made["first_token_ms"] is None
    assert made["ratios"]["first_token_to_floor"] is None
    assert made["mix"]["streams"] >= 2
    console = Console(file=io.StringIO(), width=110)
    show(made, console)
    assert isinstance(console.file, io.StringIO)
    assert "steps was not measured: RuntimeError" in console.file.getvalue()
    plot.plot(made, tmp_path / "steps.png")
    assert (tmp_path / "steps.png").stat().st_size > 0


def test_what_was_measured_is_kept_when_it_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mix, "measure", cut_off)
    file = tmp_path / "figures.json"
    with pytest.raises(KeyboardInterrupt):
        bench(Options(**SMALL, stock=False), command="a test", keep=kept(file))  # type: ignore[arg-type]
    found = json.loads(file.read_text(encoding="utf-8"))
    assert not found["complete"]
    assert found["first_token_ms"] > 0
    assert found["reuse"]["turn1_prefill_tokens"] == 405
    assert list(tmp_path.iterdir()) == [file]


def test_figures_that_cannot_be_kept_are_told(tmp_path: Path) -> None:
    with pytest.raises(VoxrtcError, match="cannot be written"):
        kept(tmp_path / "none" / "figures.json")({})


def test_no_matplotlib_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notes: list[str] = []
    assert plot.possible(tmp_path / "a.png", notes.append) == tmp_path / "a.png"
    assert plot.possible(None, notes.append) is None
    assert notes == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert plot.possible(tmp_path / "a.png", notes.append) is None
    assert "matplotlib is not installed" in notes[0]
