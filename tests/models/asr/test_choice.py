"""Which whisper hears, where there is a GPU that CTranslate2 can use, and where there is one that it cannot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import ctranslate2
import pytest

from voxrtc.errors import ModelsError
from voxrtc.models import hearing, store
from voxrtc.models.asr import choice
from voxrtc.models.hearing import Hearing
from voxrtc.settings import Settings

LARGE = "whisper-large-v3-turbo"


def settings(**models: object) -> Settings:
    return Settings.model_validate({"models": {"profile": "voxtral", **models}})


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU, and no cuBLAS 12 for it."""
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(choice, "CUBLAS", "libcublas-of-nobody.so.12")
    choice.lacking.cache_clear()
    yield
    choice.lacking.cache_clear()


def test_without_cublas_the_base_one_hears(gpu: None) -> None:
    assert "pip install nvidia-cublas-cu12" in choice.lacking()
    assert choice.whisper(settings().models) == choice.BASE
    assert choice.BASE in store.needed(settings())
    assert LARGE not in store.needed(settings())
    assert choice.whisper(settings(asr=LARGE).models) == LARGE, "as it was asked for"


def test_where_it_can_be_opened_the_large_one_hears(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "CUBLAS", "libc.so.6")
    assert choice.lacking() == ""
    assert choice.whisper(settings().models) == LARGE


def test_the_package_is_found_where_pip_puts_it(gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia" / "cublas" / "lib").mkdir(parents=True)
    (tmp_path / "nvidia" / "__init__.py").touch()
    (tmp_path / "nvidia" / "cublas" / "__init__.py").touch()
    file = tmp_path / "nvidia" / "cublas" / "lib" / choice.CUBLAS
    file.symlink_to(ctranslate2._ext.__file__)  # a library that certainly can be opened
    monkeypatch.syspath_prepend(str(tmp_path))
    assert choice.lacking() == ""


def test_a_gpu_that_fails_at_the_load_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fetched: list[str] = []

    class Fails:
        def __init__(self, folder: Path, threads: int, device: str) -> None:
            self.compute = device
            if device == "cuda":
                raise ModelsError("no such device")

        def hear(self, samples: object, language: str) -> None:
            """As if it heard."""

    monkeypatch.setattr(hearing, "Whisper", Fails)
    monkeypatch.setattr(hearing, "ensure", lambda name, cache, progress: fetched.append(name) or Path(name))
    room = Hearing(settings().models, "cuda")
    with caplog.at_level(logging.WARNING):
        room.load(lambda what, part: None)
    assert fetched == [LARGE, choice.BASE]
    assert room.title.startswith(choice.BASE)
    assert "whisper-base hears on the CPU, since it cannot use the GPU: no such device" in caplog.text
    assert "ta" not in room.languages
    fetched.clear()
    asked = Hearing(settings(asr=LARGE).models, "cuda")
    asked.load(lambda what, part: None)
    assert fetched == [LARGE]
