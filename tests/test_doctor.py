"""What `voxrtc doctor` finds, in surroundings that are wrong in one way each."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from tests.coturn import INSTALLED, SECRET, coturn
from tests.e2e.running import free_port
from voxrtc import doctor, settings
from voxrtc.doctor import Finding, examine
from voxrtc.models.tts import inspection

CLIP = Path(__file__).parent / "data" / "jfk.wav"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own, whose config.toml is examined; its model cache is empty and its ports are free."""
    for key, value in {
        "MODEL_CACHE_DIR": str(tmp_path / "cache"),
        "VOXRTC_SERVER__PORT": str(free_port()),
        "VOXRTC_OPS__PORT": str(free_port()),
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(state: str, text: str) -> Finding:
    """The one finding that says ``text``; it must have that state."""
    findings = examine()
    (match,) = [finding for finding in findings if text in finding.what]
    assert match.state == state
    return match


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == module else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)


def test_surroundings_in_which_all_is_well(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(total=16e9, available=8e9))
    findings = examine()
    assert [finding for finding in findings if finding.state == "bad"] == []
    assert all(finding.remedy for finding in findings if finding.state == "note" and "not tested" not in finding.what)
    text = "\n".join(finding.what for finding in findings)
    for part in ("configuration is valid", "Python 3.", "aiortc ", "ctranslate2 ", " is free for server"):
        assert part in text


def test_a_wrong_configuration_is_all_that_is_told(here: Path) -> None:
    (here / "config.toml").write_text("[models]\nllm = 'gpt-7'\n")
    (only,) = examine()
    assert only.state == "bad"
    assert "models.llm" in only.what
    assert "qwen2.5-1.5b" in only.what


def test_a_strategy_that_there_is_none_of(here: Path) -> None:
    (here / "config.toml").write_text('[endpointing]\nstrategy = "oracle"\n')
    (only,) = examine()
    assert only.state == "bad"
    assert "'oracle' is not a strategy; there are fused, smart_turn, vad" in only.what


def test_functions_that_cannot_be_had(here: Path) -> None:
    (here / "config.toml").write_text('[dialogue]\ntools = ["nosuch:thing"]\n')
    assert "dialogue.tools: nosuch:thing: nosuch cannot be imported" in found("bad", "nosuch").what


def test_functions_that_there_are(here: Path) -> None:
    (here / "doctors_tools.py").write_text('def now() -> str:\n    """The time."""\n    return "noon"\n')
    (here / "config.toml").write_text('[dialogue]\ntools = ["doctors_tools:now"]\n')
    found("ok", "the model may call: now")


def test_another_configuration(here: Path) -> None:
    (only,) = examine(here / "other.toml")
    assert "there is no such file" in only.what


@pytest.mark.parametrize("section", ["server", "ops"])
def test_a_port_that_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv(f"VOXRTC_{section.upper()}__PORT", str(port))
        assert f"set {section}.port" in found("note", f"127.0.0.1:{port} is taken by a running program").remedy


def test_two_ports_that_are_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_OPS__PORT", "8000")
    monkeypatch.setenv("VOXRTC_SERVER__PORT", "8000")
    found("bad", "server.port and ops.port are both 8000")


def test_ports_that_are_not_wanted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_OPS__PORT", "0")
    assert not any("for ops" in finding.what for finding in examine())


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine(here: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("VOXRTC_SERVER__HOST", host)
    finding = found("bad", f"cannot listen on {host}:")
    assert finding.remedy == "Change server.host."
    assert "Unknown error" not in finding.what


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", ""])
def test_addresses_that_are_good(here: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("VOXRTC_SERVER__HOST", host)
    found("ok", "is free for server")


def test_a_port_that_needs_privileges(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who needs none."""

    def refuse(self: object, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert any(finding.remedy == "Change server.port." for finding in examine() if finding.state == "bad")


def test_model_files_that_are_not_there(here: Path) -> None:
    finding = found("note", "not fetched yet: whisper-base, qwen2.5-1.5b, silero-vad, smart-turn-v3.2, smollm2-135m")
    assert "voxrtc models pull" in finding.remedy
    assert "1,374 MB" in finding.what
    assert not (here / "cache").exists()


def test_a_disk_that_is_full(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=5e6))
    assert "MODEL_CACHE_DIR" in found("bad", f"5 MB of disk are free at {here}").remedy


def test_a_cache_that_cannot_be_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "cache").write_text("a file, not a folder")
    found("bad", f"{here / 'cache'} cannot be written to")


def test_a_cache_named_from_the_working_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", "models/here")
    found("note", "not fetched yet")


@pytest.mark.models
def test_model_files_that_are_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_CACHE_DIR")
    found("ok", "model silero-vad (1 MB, MIT)")
    assert not any("not fetched" in finding.what for finding in examine())


def test_a_language_model_that_is_too_large(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(total=2e9, available=1.5e9))
    assert "smollm2-135m" in found("bad", "1.5 GB of memory are free; qwen2.5-1.5b wants").remedy
    monkeypatch.setenv("VOXRTC_MODELS__LLM", "smollm2-135m")
    assert not any("of memory are free" in finding.what for finding in examine())


def test_the_memory_of_every_language_model_is_known() -> None:
    names = get_args(settings.Models.model_fields["llm"].annotation)
    assert set(names) == set(doctor.MEMORY_GB)


def test_without_espeak(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "espeakng_loader")
    assert "[espeak]" in found("note", "speaks English only").remedy
    monkeypatch.setenv("VOXRTC_TTS__VOICE", "espeak")
    assert "[espeak]" in found("bad", "the espeak extra is not installed").remedy


def test_with_espeak(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    there = find_spec("json")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: there if name == "espeakng_loader" else find_spec(name)
    )
    found("ok", "espeak-ng voice for")


def test_chatterbox(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("VOXRTC_TTS__ENGINE", "chatterbox")
    monkeypatch.setenv("VOXRTC_MODELS__DEVICE", "cpu")
    found("ok", "Chatterbox speaks on the CPU")
    assert not any("speaks English only" in finding.what for finding in examine())
    (here / "voices").mkdir()
    (here / "voices" / "short.wav").write_bytes(b"no sound")
    assert "voices.md" in found("bad", "cannot be read as sound").remedy
    (here / "voices" / "short.wav").unlink()
    monkeypatch.setenv("VOXRTC_TTS__CHATTERBOX", str(here))
    found("bad", "is no checkpoint of Chatterbox: it lacks")
    hide(monkeypatch, "soxr")
    assert "[gpu]" in found("bad", "not installed: soxr, which Chatterbox runs on").remedy


@pytest.mark.parametrize("file", ["espeak.wav", "auto.ogg", "chatterbox.wav", "zoë.wav"])
def test_chatterbox_with_a_clip_of_a_name_that_cannot_be(
    here: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("VOXRTC_TTS__ENGINE", "chatterbox")
    monkeypatch.setenv("VOXRTC_MODELS__DEVICE", "cpu")
    (here / "voices").mkdir()
    (here / "voices" / file).write_bytes(CLIP.read_bytes())
    assert "name" in found("bad", f"voices/{file} cannot be a voice").what


def test_a_folder_of_clips_that_is_not_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("VOXRTC_TTS__ENGINE", "chatterbox")
    monkeypatch.setenv("VOXRTC_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("VOXRTC_TTS__VOICES_DIR", "voics")
    found("bad", "tts.voices_dir is 'voics', and there is no such folder")


def test_an_engine_that_cannot_speak_is_not_named_as_who_speaks(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("VOXRTC_TTS__ENGINE", "chatterbox")
    hide(monkeypatch, "espeakng_loader")
    found("bad", "needs a GPU, and torch finds none")
    assert "answered in English" not in found("note", "en: ").what
    assert not any("chatterbox speaks" in finding.what for finding in examine())


def test_a_voice_that_its_engine_has_not(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_TTS__ENGINE", "hibari")
    monkeypatch.setenv("VOXRTC_TTS__VOICE", "anna")
    (only,) = examine()
    assert only.state == "bad"
    assert "voice is 'anna', which is none of engine 'hibari'" in only.what


@pytest.mark.parametrize(
    ("key", "told"),
    [("KOKORO", "tts.kokoro: there is no model.onnx in /nope"), ("INDIC", "/nope"), ("MMS", "there is no such folder")],
)
def test_other_voices_whose_files_are_not_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, key: str, told: str
) -> None:
    for package in inspection.PACKAGES["mms" if key == "MMS" else "kokoro"]:
        pytest.importorskip(package, reason="the gpu extra is not installed")
    if key == "KOKORO":
        pytest.importorskip("espeakng_loader", reason="the espeak extra is not installed")
    monkeypatch.setitem(inspection.PACKAGES, "indic", ())
    monkeypatch.setenv(f"VOXRTC_TTS__{key}", "/nope/{}" if key == "MMS" else "/nope")
    assert "languages.md" in found("bad", told).remedy


def test_dia_whose_folder_is_not_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    (here / "config.toml").write_text('[dialogue]\nlanguage = "ms"\n[tts]\ndia = "/nope"\nlanguages = {ms = "dia"}\n')
    found("bad", "'/nope' is a path, and there is no such folder")
    assert not any("dia speaks" in finding.what for finding in examine())


def test_other_voices_that_are_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    (here / "tam").mkdir()
    text = f'[dialogue]\nlanguage = "ta"\n[tts]\nmms = "{here}/{{}}"\nlanguages = {{ta = "mms", te = "mms"}}\n'
    (here / "config.toml").write_text(text)
    found("ok", "MMS-TTS (Meta) for ta")
    found("bad", "tts.languages has te = 'mms', which has no files for it")
    assert any("spoken by mms" in finding.what for finding in examine())
    hide(monkeypatch, "transformers")
    assert "[gpu]" in found("bad", "the voice mms needs transformers").what


def test_clones_that_nobody_can_make(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_TTS__ALLOW_CLONING", "true")
    assert "chatterbox" in found("note", "tts.allow_cloning is on, but hibari speaks").remedy


def test_packages_that_are_missing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in ("ctranslate2", "xllamacpp"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    assert found("bad", "not installed: ctranslate2, xllamacpp").remedy == "Run: make install"


def test_how_media_gets_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "any UDP port" in found("ok", "media is reached at").what
    (here / "config.toml").write_text("[media]\nport_range = [40000, 40099]\npublic_ip = '198.51.100.1'\n")
    assert "40000 to 40099" in found("ok", "media is reached at").what
    found("ok", "callers elsewhere are told of 198.51.100.1")
    (here / "config.toml").write_text("[media]\npublic_ip = '2001:db8::1'\n")
    monkeypatch.setattr("voxrtc.media.addresses.Addresses.now", lambda _: ["192.0.2.7"])
    found("note", "2001:db8::1 is of no use")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    (here / "config.toml").write_text("[media]\npublic_ip = 'ec2'\n")
    assert "outside of EC2 set media.public_ip" in found("note", "public address is not known").remedy


def test_a_turn_server_is_tried(here: Path) -> None:
    url = f"turn:127.0.0.1:{free_port()}?transport=tcp"
    (here / "config.toml").write_text(f"[turn]\nurls = ['{url}']\nsecret = 'x'\n")
    assert "docs/network.md" in found("note", f"{url} gives no place").remedy


@pytest.mark.skipif(not INSTALLED, reason="there is no turnserver (tests/packages.sh installs it)")
def test_a_turn_server_that_is_there(here: Path) -> None:
    async def with_one() -> None:
        async with coturn() as server:
            (here / "config.toml").write_text(f"[turn]\nurls = {server.urls}\nsecret = '{SECRET}'\n")
            findings = await asyncio.to_thread(examine)
        told = {finding.what: finding.state for finding in findings if "turn" in finding.what}
        assert told[f"{server.udp} gives callers a place"] == told[f"{server.tcp} gives callers a place"] == "ok"
        assert any("certificate" in what and what.startswith(server.tls) for what in told)

    asyncio.run(with_one())


# -- voxtral ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def voxtral(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The voxtral profile on the CPU, with a checkpoint; without the GPU's packages the folder is empty."""
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("mistral_common"):
        from tests.models.voxtral.tiny import make_checkpoint

        make_checkpoint(here / "checkpoint")
    else:
        (here / "checkpoint").mkdir()
    for key, value in {"PROFILE": "voxtral", "DEVICE": "cpu", "VOXTRAL": str(here / "checkpoint")}.items():
        monkeypatch.setenv(f"VOXRTC_MODELS__{key}", value)
    return here


def test_what_voxtral_would_run_on(voxtral: Path) -> None:
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    found("ok", "mistral-common ")
    found("ok", "Voxtral on cpu: weights in float32, attention by sdpa")
    found("ok", "conversations have room for")
    assert found("note", 'models.device = "cpu"').remedy


def test_voxtral_without_its_packages(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "mistral_common")
    assert "'.[gpu]'" in found("bad", "not installed: mistral-common").remedy


def test_voxtral_without_a_gpu(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("VOXRTC_MODELS__DEVICE", "cuda")
    monkeypatch.setenv("VOXRTC_MODELS__ASR", "whisper-base")
    assert "docs/gpu.md" in found("bad", 'models.device = "cpu"').remedy


def test_voxtrals_checkpoint_is_among_what_is_not_fetched(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("VOXRTC_MODELS__VOXTRAL", "acme/Voxtral-nowhere")
    note = found("note", "not fetched yet: acme/Voxtral-nowhere")
    assert "models pull" in note.remedy


def test_voxtral_with_what_serve_refuses(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told by the code that would refuse it."""
    pytest.importorskip("torchao", reason="the gpu extra is not installed")
    monkeypatch.setenv("VOXRTC_MODELS__QUANTIZE", "int4")
    found("bad", '"int4" needs a CUDA device')
    hide(monkeypatch, "torchao")
    found("bad", "needs torchao")
    monkeypatch.undo()


def test_voxtral_with_too_little_memory(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    monkeypatch.setenv("VOXRTC_MODELS__GPU_MEMORY_GB", "0.01")
    assert "docs/gpu.md" in found("bad", "GPU memory is too small: one conversation of 4096 tokens").remedy


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tekken.json", None, "tekken.json is not there"),
        ("tekken.json", "{}", "cannot be read as a tokenizer"),
        ("config.json", "{", "cannot be read"),
        ("config.json", '{"model_type": "llama"}', "the configuration of a llama"),
        ("model.safetensors", None, "no whole checkpoint"),
    ],
)
def test_a_folder_that_is_no_checkpoint(voxtral: Path, file: str, text: str | None, told: str) -> None:
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    (voxtral / "checkpoint" / file).unlink()
    if text is not None:
        (voxtral / "checkpoint" / file).write_text(text)
    found("bad", told)


@pytest.mark.parametrize("path", ["/no/such/folder", "~/no-such-folder", "./nowhere", "~nobody-of-that-name/x"])
def test_a_path_that_does_not_exist_is_no_name(voxtral: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("VOXRTC_MODELS__VOXTRAL", path)
    findings = [finding for finding in examine() if "there is no such folder" in finding.what]
    assert findings
    assert {finding.state for finding in findings} == {"bad"}


def test_a_disk_that_will_not_hold_what_the_hub_has(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRTC_MODELS__VOXTRAL", "mistralai/Voxtral-Small-24B-2507")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(voxtral / "hub"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=40e9))
    assert "HF_HOME" in found("bad", f"40.0 GB of disk are free at {voxtral}, and 48.6 GB").remedy


def test_a_gpu_that_whisper_cannot_use(voxtral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    monkeypatch.setenv("VOXRTC_MODELS__DEVICE", "cuda")
    monkeypatch.setattr("voxrtc.models.asr.choice.lacking", lambda: "CTranslate2 needs cuBLAS 12")
    found("note", "whisper-base hears on the CPU: CTranslate2 needs cuBLAS 12")
