"""Repositories of the model hub, fetched by `voxrtc models` from a fake one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from tests.models.fake_hub import FakeHub, running
from voxrtc.errors import StoreError
from voxrtc.models import catalogue, hub, store
from voxrtc.settings import Settings

NAME = "acme/Voxtral-tiny"
INDEX = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
FILES = {
    "config.json": b'{"a": 1}',
    "tekken.json": b"{}",
    "model.safetensors.index.json": INDEX,
    "model-1.safetensors": b"1" * 5_000,
    "model-2.safetensors": b"2" * 5_000,
    "consolidated.safetensors": b"3" * 90_000,
    "README.md": b"Hello",
}


class Machine:
    """Runs `voxrtc` with a hub's cache of its own."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self._environ = os.environ | {
            "HF_HOME": str(folder / "hf"),
            "HF_ENDPOINT": endpoint,
            "MODEL_CACHE_DIR": str(folder / "cache"),
            "VOXRTC_MODELS__PROFILE": "voxtral",
            "VOXRTC_MODELS__VOXTRAL": NAME,
            "COLUMNS": "120",
            "HF_HUB_DISABLE_XET": "1",
        }

    def voxrtc(self, *arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "voxrtc.cli", *arguments]
        done = subprocess.run(
            command, env=self._environ, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout, done.stderr


def row(out: str) -> str:
    (found,) = [line for line in out.splitlines() if line.startswith(NAME)]
    return " ".join(found.split())


def test_a_repository_is_fetched_listed_and_not_fetched_again(tmp_path: Path) -> None:
    with running(FakeHub({NAME: FILES})) as fake:
        machine = Machine(tmp_path, fake.url)
        assert row(machine.voxrtc("models", "list")[1]) == f"{NAME} ? ? missing yes"
        status, _, err = machine.voxrtc("models", "pull", NAME)
        assert status == 0, err
        assert row(machine.voxrtc("models", "list")[1]) == f"{NAME} ? ? unpinned yes"
        fetched = list(fake.fetched)
        assert set(fetched) == set(FILES) - {"consolidated.safetensors", "README.md"}
        assert machine.voxrtc("models", "pull", NAME)[0] == 0
        assert fake.fetched == fetched
    assert machine.voxrtc("models", "pull", NAME)[0] == 0, "without the hub"
    assert machine.voxrtc("models", "verify", NAME)[0] == 0


def test_what_is_not_whole_is_fetched(tmp_path: Path) -> None:
    with running(FakeHub({NAME: FILES})) as fake:
        machine = Machine(tmp_path, fake.url)
        assert machine.voxrtc("models", "pull", NAME)[0] == 0
        (shard,) = tmp_path.rglob("model-2.safetensors")
        shard.unlink()
        assert "missing" in row(machine.voxrtc("models", "list")[1])
        assert machine.voxrtc("models", "pull", NAME)[0] == 0
        assert shard.exists()


@pytest.mark.parametrize(
    ("files", "gated", "said"),
    [
        ({}, (), f"the hub has no {NAME}, or not without HF_TOKEN"),
        ({NAME: FILES}, (NAME,), "HF_TOKEN"),
        ({NAME: {"config.json": b"{}"}}, (), "lacks one of config.json, tekken.json"),
    ],
)
def test_what_the_hub_does_not_give_is_a_sentence(
    tmp_path: Path, files: dict[str, dict[str, bytes]], gated: tuple[str, ...], said: str
) -> None:
    with running(FakeHub(files, gated)) as fake:
        status, _, err = Machine(tmp_path, fake.url).voxrtc("models", "pull", NAME)
    assert status == 1
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_a_hub_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    status, _, err = Machine(tmp_path, "http://127.0.0.1:9").voxrtc("models", "pull", NAME)
    assert status == 1
    assert f"{NAME} is not on this machine and cannot be fetched: " in " ".join(err.split())
    assert "voxrtc models pull" in err
    assert "Traceback" not in err


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = catalogue.voxtral(NAME).repository
    assert repository is not None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda place: SimpleNamespace(free=9_000))
    with running(FakeHub({NAME: FILES})) as fake:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", fake.url)
        api = huggingface_hub.HfApi(endpoint=fake.url)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
        with pytest.raises(StoreError, match=f"GB of disk are free at {tmp_path}.*HF_HOME"):
            hub.fetch(repository, lambda what, fraction: None)
        assert fake.fetched == []


@pytest.mark.parametrize("path", ["/no/such/folder", "~/no-such-folder", "./nowhere", "../nowhere"])
def test_a_path_is_never_taken_for_a_name_on_the_hub(path: str) -> None:
    with pytest.raises(StoreError, match="there is no such folder"):
        hub.checkpoint(path, lambda what, fraction: None)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    models = {"profile": "voxtral", "voxtral": str(tmp_path)}
    settings = Settings.model_validate({"models": models, "tts": {"engine": "hibari"}})
    assert hub.checkpoint(str(tmp_path), lambda what, fraction: None) == tmp_path
    assert store.needed(settings) == [
        "whisper-large-v3-turbo",
        "silero-vad",
        "smart-turn-v3.2",
        "smollm2-135m",
        "hibari",
    ]


def test_each_profile_fetches_what_it_needs() -> None:
    def needed(**models: object) -> list[str]:
        return store.needed(Settings.model_validate({"models": models}))

    assert "qwen2.5-1.5b" in needed()
    assert needed(profile="voxtral")[:2] == ["mistralai/Voxtral-Mini-3B-2507", "whisper-large-v3-turbo"]
    assert needed(profile="voxtral", device="cpu")[1] == "whisper-base"
    assert "qwen2.5-1.5b" not in needed(profile="voxtral")
