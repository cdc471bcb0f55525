"""From settings to Chatterbox's models, where it cannot be: files that do not fit, a GPU that is too small."""

from __future__ import annotations

import dataclasses
import shutil
import weakref
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("soundfile", reason="the gpu extra is not installed")

from safetensors.torch import save_file  # noqa: E402

from tests.models.chatterbox import checkpoints  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox import t3_weights, voices  # noqa: E402
from voxrtc.models.chatterbox.build import make  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundRunner  # noqa: E402
from voxrtc.settings import Settings, Tts  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "jfk.wav"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return checkpoints.save(tmp_path_factory.mktemp("chatterbox"))


def made(checkpoint: Path, voices: Path) -> None:
    own = {"engine": "chatterbox", "chatterbox": str(checkpoint), "voices_dir": str(voices), "watermark": False}
    models = {"device": "cpu", "compile": "off"}
    make(Settings.model_validate({"models": models, "tts": own}), lambda what, fraction: None)


def test_a_tokenizer_of_another_checkpoint_is_told(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(checkpoint, folder)
    state = t3_weights.random(dataclasses.replace(checkpoints.T3_SIZES, text=250), torch.device("cpu"), torch.float32)
    save_file(state, folder / "t3_mtl23ls_v2.safetensors")
    with pytest.raises(
        ModelsError, match=r"gives ids up to \d+, and .*t3_mtl23ls_v2\.safetensors has embeddings of 250"
    ):
        made(folder, tmp_path)


def clip(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    shutil.copy(CLIP, file)


@pytest.mark.parametrize("name", ["espeak.wav", "auto.wav", "chatterbox.wav", "my voice.wav", "kokoro.FLAC"])
def test_a_clip_of_a_name_that_no_voice_can_have_is_told(checkpoint: Path, tmp_path: Path, name: str) -> None:
    clip(tmp_path / "voices" / name)
    with pytest.raises(ModelsError, match=rf"{name} cannot be a voice: .*name.*call the file something else"):
        made(checkpoint, tmp_path / "voices")


def test_two_clips_of_one_voice_are_told(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("anna.wav", "anna.ogg"):
        clip(tmp_path / "voices" / name)
    with pytest.raises(ModelsError, match=r"anna\.ogg and .*anna\.wav are both the voice 'anna'"):
        made(checkpoint, tmp_path / "voices")


def test_what_a_finder_leaves_beside_a_clip_is_no_clip(tmp_path: Path) -> None:
    clip(tmp_path / "voices" / "anna.wav")
    (tmp_path / "voices" / "._anna.wav").write_bytes(b"Mac OS X")
    assert list(voices.clips_in(tmp_path / "voices")) == ["anna"]


def test_a_folder_of_clips_that_is_not_there_is_told(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"tts\.voices_dir is '.*voics', and there is no such folder"):
        made(checkpoint, tmp_path / "voics")
    assert voices.folder_of(Tts()) == Path("voices")  # which need not be


def test_a_gpu_without_memory_is_told_and_nothing_is_left(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def out_of_memory(*args: object, **more: object) -> None:
        weights = torch.zeros(10)
        held.append(weakref.ref(weights))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(SoundRunner, "warm", out_of_memory)
    with pytest.raises(ModelsError, match=r"the GPU ran out of memory: Chatterbox: lower server\.max_calls") as told:
        made(checkpoint, tmp_path)
    assert held[0]() is None  # though the error is still there
    assert "nvidia-smi" in str(told.value)
