"""What is chosen for a machine, how memory is shared out, and the sentences where something is missing."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

import safetensors.torch  # noqa: E402 - needs torch

from tests.models.voxtral import runners  # noqa: E402
from tests.models.voxtral.tiny import make_checkpoint  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.gpu import attention  # noqa: E402
from voxrtc.models.tts import others  # noqa: E402
from voxrtc.models.voxtral import build, checkpoint, quantize  # noqa: E402
from voxrtc.models.voxtral.checkpoint import Weights  # noqa: E402
from voxrtc.models.voxtral.sequence import Chunk  # noqa: E402
from voxrtc.settings import Settings  # noqa: E402

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module")
def weights(checkpoint: Path) -> Weights:
    return runners.weights(checkpoint)


def settings(**models: object) -> Settings:
    return Settings.model_validate({"models": {"profile": "voxtral", **models}})


def test_a_runner_of_settings(checkpoint: Path) -> None:
    steps: list[tuple[str, float]] = []
    made = build.make(
        settings(voxtral=str(checkpoint), device="cpu", context_tokens=1024), lambda *step: steps.append(step)
    )
    assert (made.context, made.rows, made.page_size) == (1024, 16, 256)
    assert made.pages == 2 * 8 * (4 + 3)
    assert [what for what, _ in steps] == sorted(what for what, _ in steps)  # loading, then warming up
    assert all(0 <= fraction <= 1 for _, fraction in steps)
    pick = made.prefill(Chunk([1, 3, 500, 4], 0, [1], {}, last=True))
    assert pick is not None
    assert made.report()["attention"] == "sdpa"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_gpu_is_said(checkpoint: Path) -> None:
    with pytest.raises(ModelsError, match=r'needs a GPU, and .*models\.device = "cpu"'):
        build.make(settings(voxtral=str(checkpoint)), lambda what, fraction: None)


def damaged(source: Path, folder: Path, **changes: object) -> str:
    """A copy of the checkpoint whose config.json says something else."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        part = config["text_config"] if key in config["text_config"] else config
        part[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_weights_that_are_missing_are_said(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holes"
    shutil.copytree(checkpoint, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    name = next(key for key in weights if key.endswith("layers.1.mlp.down_proj.weight"))
    del weights[name]
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelsError, match=r"1 weights are missing or of the wrong size, such as .*down_proj"):
        checkpoint_of(str(folder))


def test_weights_of_another_size_are_said(checkpoint: Path, tmp_path: Path) -> None:
    folder = damaged(checkpoint, tmp_path / "wide", intermediate_size=192)
    with pytest.raises(ModelsError, match=r"models\.voxtral = .* cannot be loaded"):
        checkpoint_of(folder)


def test_weights_that_are_cut_off_are_said(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(checkpoint, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelsError, match=r"models\.voxtral = .* cannot be loaded: SafetensorError"):
        checkpoint_of(str(folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope_parameters", {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e8}),
        ("hidden_act", "relu"),
        ("projector_hidden_act", "relu"),
    ],
)
def test_arithmetic_that_is_not_done_is_refused(checkpoint: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = damaged(checkpoint, tmp_path / "other", **{key: value})
    with pytest.raises(ModelsError, match=rf"{'rope_type' if key.startswith('rope') else key} = .* is known here"):
        checkpoint_of(folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "no words in a name"])
def test_no_checkpoint_is_said(name: str) -> None:
    with pytest.raises(ModelsError, match=r"models\.voxtral = .* cannot be loaded: .*HF_TOKEN"):
        checkpoint_of(name)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelsError, match=r"its config.json is that of 'bert'"):
        checkpoint_of(str(tmp_path))


def checkpoint_of(name: str) -> None:
    build.make(settings(voxtral=name, device="cpu"), lambda what, fraction: None)


def test_random_weights_of_a_configuration(checkpoint_config) -> None:
    takes = [checkpoint.random(checkpoint_config, torch.float32, CPU, seed) for seed in (1, 1, 2)]
    name = "model.language_model.layers.1.self_attn.q_proj.weight"
    first, same, other = (take(name) for take in takes)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    made = build.assemble(checkpoint_config, takes[0], runners.options(), lambda what, fraction: None)
    assert made.prefill(Chunk([1, 3, 500, 4], 0, [1], {}, last=True)) is not None


@pytest.fixture(scope="module")
def checkpoint_config(checkpoint: Path):
    from transformers import VoxtralConfig

    return VoxtralConfig.from_pretrained(checkpoint)


# -- attention -----------------------------------------------------------------------------------------------


def test_attention_that_is_missing_is_said() -> None:
    assert attention.choose("auto", CPU, 256).name == "sdpa"
    for name in ("flash", "triton"):
        with pytest.raises(ModelsError, match=rf'models\.attention = "{name}" does not work here: it needs a CUDA'):
            attention.choose(name, CPU, 256)


def test_attention_on_a_gpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, "flash_attn", None)  # it cannot be imported
    monkeypatch.setattr(attention, "_installed", lambda name: name == "triton")
    monkeypatch.setattr(attention, "_try", lambda made, *machine: None)
    assert attention.choose("auto", CUDA, 256).name == "triton"
    assert "attention by triton (not flash: flash-attn is not installed)" in caplog.text
    with pytest.raises(ModelsError, match="flash-attn is not installed"):
        attention.choose("flash", CUDA, 256)
    monkeypatch.setattr(attention, "_installed", lambda name: True)
    with pytest.raises(ModelsError, match=r"it fails with ModuleNotFoundError"):
        attention.choose("flash", CUDA, 256)
    assert attention.choose("auto", CUDA, 256).name == "triton"
    with pytest.raises(ModelsError, match=r"it knows no float32"):
        attention.choose("flash", CUDA, 256, torch.float32)
    monkeypatch.setattr(attention, "_installed", lambda name: False)
    assert attention.choose("auto", CUDA, 256).name == "sdpa"
    assert "falls back to sdpa" in caplog.text


def test_a_kernel_that_cannot_be_made_here_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(made, *machine):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable")

    monkeypatch.setattr(attention, "_installed", lambda name: name == "triton")
    monkeypatch.setattr(attention, "_try", no_compiler)
    assert attention.choose("auto", CUDA, 256).name == "sdpa"
    assert "not triton: it fails with RuntimeError: Failed to find C compiler.)" in caplog.text
    with pytest.raises(ModelsError, match=r'"triton" does not work here: .*C compiler'):
        attention.choose("triton", CUDA, 256)


def test_flash_attention_is_called_as_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package itself needs a GPU; what it is given is checked here, its answer in tests/gpu."""
    calls: list[dict[str, object]] = []
    package = ModuleType("flash_attn")

    def flash_attn_with_kvcache(queries, keys, values, **options):
        calls.append(options | {"queries": tuple(queries.shape)})
        return queries

    package.flash_attn_with_kvcache = flash_attn_with_kvcache  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    monkeypatch.setattr(attention, "_installed", lambda name: True)
    monkeypatch.setattr(attention, "_try", lambda made, *machine: None)
    flash = attention.choose("auto", CUDA, 256)
    assert flash.name == "flash"
    context = attention.Context(torch.zeros(3, 4, dtype=torch.int32), torch.ones(3, dtype=torch.int32))
    memory = torch.zeros(8, 256, 2, 16)
    assert flash.decode(torch.zeros(3, 8, 16), memory, memory, context).shape == (3, 8, 16)
    assert flash.prefill(torch.zeros(5, 8, 16), memory, memory, context).shape == (5, 8, 16)
    assert [call["queries"] for call in calls] == [(3, 1, 8, 16), (1, 5, 8, 16)]
    assert all(call["causal"] and call["block_table"] is context.tables for call in calls)
    with pytest.raises(ModelsError, match="multiples of 256"):
        attention.choose("flash", CUDA, 16)


# -- memory ----------------------------------------------------------------------------------------------------


def test_memory_is_shared_out(weights: Weights) -> None:
    page = 2 * 3 * 16 * 2 * 16 * 4  # keys and values, layers, tokens, heads, width, bytes
    least = 1024 // 16 + -(-build.TRANSCRIPT_TOKENS // 16)
    plenty = build.plan(weights, runners.options(callers=4))
    assert plenty.pages == 2 * 4 * least
    assert plenty.rows == 8
    few = build.plan(weights, runners.options(memory_gb=(weights.bytes + page * (least + 21)) / 1e9))
    assert few.pages == least + 20  # and page 0
    with pytest.raises(ModelsError, match=r"one conversation of 1024 tokens needs .* lower models\.context_tokens"):
        build.plan(weights, runners.options(memory_gb=(weights.bytes + page * least) / 1e9))
    with pytest.raises(ModelsError, match=r"0\.0 GB are left"):
        build.plan(weights, runners.options(memory_gb=weights.bytes / 2e9))
    assert build.plan(weights, runners.options(callers=1000)).rows == build.LONGEST_STEP


def test_a_gpu_that_runs_out_of_memory_is_told_what_to_lower() -> None:
    with pytest.raises(ModelsError, match=r"ran out of memory: lower models\.gpu_memory_gb"), build.memory_sentence():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_voice_that_took_too_much_is_named(weights: Weights) -> None:
    small = runners.options(memory_gb=weights.bytes / 2e9, voice=7_000_000_000)
    with pytest.raises(
        ModelsError, match=r"and the voice \(7\.0 GB\), and 0\.0 GB .* server\.max_calls or tts\.clauses"
    ):
        build.plan(weights, small)
    told = pytest.raises(ModelsError, match=r"the voice has taken 7\.0 GB: lower tts\.clauses_at_once")
    with told, build.memory_sentence(7_000_000_000):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_voices_that_come_later_keep_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"profile": "voxtral", "device": "cpu"}
    tts = {"mms": "facebook/mms-tts-{}", "languages": {"ms": "dia"}}
    on_cpu = Settings.model_validate({"models": models, "tts": tts})
    assert build.Options.of(on_cpu).reserved == 0
    monkeypatch.setattr(build, "_device", torch.device)
    on_gpu = Settings.model_validate({"models": models | {"device": "cuda"}, "tts": tts})
    assert build.Options.of(on_gpu).reserved == others.BYTES["mms"] + others.BYTES["dia"]
    embedded = Settings.model_validate({"tts": tts})
    assert not others.on_gpu(embedded)


def test_what_is_reserved_is_no_room(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000_000_000, 24_000_000_000))
    options = runners.options(device=torch.device("cuda"))
    assert build._room(weights, options) == 10_000_000_000 - build.WORKSPACE_BYTES
    less = dataclasses.replace(options, reserved=700_000_000)
    assert build._room(weights, less) == 9_300_000_000 - build.WORKSPACE_BYTES


# -- fewer bits ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_eight_bits_are_nearly_right(tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    folder = make_checkpoint(tmp_path / "wide", hidden=128, ffn=256, audio_hidden=128)
    ids = list(range(1000, 1060))
    logits, sizes = [], []
    for bits in ("none", "int8"):
        config, take = checkpoint.read(str(folder), torch.float32)
        made = build.assemble(config, take, runners.options(quantize=bits), lambda what, fraction: None)
        made.prefill(Chunk(ids, 0, list(range(1, 6)), {}, last=True))
        logits.append(made.logits())
        sizes.append(made.weight_bytes)
    exact, near = logits
    assert 0 < (near - exact).norm() / exact.norm() < 0.1  # random weights of this scale spread what they are given
    head = 131_072 * 128 * 4
    assert sizes[0] - sizes[1] > 0.7 * head  # of the head alone; the embedding stays as it is


def test_four_bits_need_a_gpu() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    with pytest.raises(ModelsError, match=r'"int4" needs a CUDA device'):
        quantize.placer("int4", CPU)


def test_bits_without_torchao(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelsError, match=r"needs torchao: pip install"):
        quantize.placer("int8", CPU)


def test_a_compiler_that_fails_is_done_without(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voxrtc.models.gpu.compiled import Compiled

    def broken(function, **options):
        def call(*args):
            raise RuntimeError("no compiler here\nand a long story")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    compiled = Compiled(True)
    double = compiled(lambda x: 2 * x)
    assert double(4) == 8
    assert not compiled.on
    assert "torch.compile does not work here (RuntimeError: no compiler here); going on without it" in caplog.text
