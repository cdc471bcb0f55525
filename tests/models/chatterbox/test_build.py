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
from voxrtc.models.chatterbox import t3_weights  # noqa: E402
from voxrtc.models.chatterbox.build import make  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundRunner  # noqa: E402
from voxrtc.settings import Settings  # noqa: E402


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
