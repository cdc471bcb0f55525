"""Indic-TTS (AI4Bharat, MIT): FastPitch and HiFi-GAN for each language of India, by coqui-tts (MPL-2.0, extra indic).

Kumar et al., "Towards Building Text-To-Speech Systems for the Next Billion Users" (2023). Its checkpoints are archives
at github.com/AI4Bharat/Indic-TTS, one a language: unpacked, ``CODE/fastpitch`` and ``CODE/hifigan`` are in a folder.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import logging
import pickle
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxrtc.audio import SPOKEN_RATE, resample
from voxrtc.errors import ModelsError
from voxrtc.languages import ALL, spoken_by
from voxrtc.models.gpu import memory
from voxrtc.models.tts.shelf import REMEDY, Shelf
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

KEPT = 1
"""Languages that stay loaded."""
INSTALL = "pip install -c constraints.txt -e '.[indic]'"
_NEEDS = ("fastpitch/best_model.pth", "fastpitch/config.json", "hifigan/best_model.pth", "hifigan/config.json")


_UNUSED = ("torchaudio", "torchaudio.functional", "torchaudio.transforms", "torchcodec")
"""What coqui-tts imports, and neither FastPitch nor HiFi-GAN calls."""


def installed() -> bool:
    """Whether coqui-tts is there."""
    return importlib.util.find_spec("TTS") is not None


def importable() -> None:
    """Have coqui-tts import where torchaudio cannot be: its last version, 2.11, does not load with newer torches. Empty
    modules take its place, unless the real ones are there and load."""
    for name in _UNUSED:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError):
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package="." not in name)
            sys.modules[name] = module
            package, _, inner = name.partition(".")
            if inner:
                setattr(sys.modules[package], inner, module)
            else:
                module.__path__ = []


class Indic:
    """One language is loaded at a time; whoever speaks another waits for that."""

    def __init__(self, folder: str, speaker: str = "female", device: str = "cpu") -> None:
        """``folder``: with a folder for each language. Raises ModelsError where there is none."""
        self._folder = Path(folder).expanduser()
        self._speaker = speaker
        self._cuda = device == "cuda"
        self.languages: Sequence[str] = [code for code in spoken_by("indic") if not self._lacks(code)]
        if not self.languages:
            lacks = ", ".join(self._lacks("ta"))
            raise ModelsError(f"tts.indic: {self._folder} has no language's models (ta, for one, lacks {lacks})")
        self._shelf = Shelf(KEPT, self._load)

    def prepare(self, language: str) -> None:
        """Load what ``language`` needs. Raises Unloadable."""
        self._shelf.get(language)

    def speak(self, text: str, language: str, speed: float = 1.0) -> Iterator[Spoken]:
        """The whole clause as one stretch."""
        if language not in self.languages:
            raise ModelsError(f"{self._folder} has no models for {ALL[language].name if language in ALL else language}")
        if not any(sign.isalnum() for sign in text):
            return
        synthesizer = self._shelf.get(language)
        synthesizer.tts_model.length_scale = 1.0 / speed
        named = self._speaker if synthesizer.tts_model.speaker_manager is not None else None
        try:
            sound = synthesizer.tts(text, speaker_name=named, split_sentences=False)
        except (RuntimeError, ValueError, IndexError, KeyError) as error:
            if memory.is_out(error):
                memory.free(error)
                raise ModelsError(f"the GPU ran out of memory: {REMEDY}") from None
            raise ModelsError(f"the voice indic cannot say this clause ({type(error).__name__})") from error
        rate = int(synthesizer.output_sample_rate)
        samples = trim(resample(np.asarray(sound, np.float32).reshape(-1), rate, SPOKEN_RATE))
        if samples.size:
            yield np.concatenate([samples, pause(text)]), 0, len(text)

    def _lacks(self, language: str) -> list[str]:
        return [name for name in _NEEDS if not (self._folder / language / name).is_file()]

    def _load(self, language: str) -> Any:
        """coqui's Synthesizer. Raises ModelsError."""
        if not installed():
            raise ModelsError(f"the voice indic needs coqui-tts, which is not installed; run: {INSTALL}")
        importable()
        from TTS.utils.synthesizer import Synthesizer

        logging.getLogger("TTS").setLevel(logging.WARNING)  # it logs what is to be said
        place = self._folder / language
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Synthesizer(
                    tts_checkpoint=place / "fastpitch" / "best_model.pth",
                    tts_config_path=_with_paths(place / "fastpitch", Path(scratch)),
                    vocoder_checkpoint=place / "hifigan" / "best_model.pth",
                    vocoder_config=place / "hifigan" / "config.json",
                    use_cuda=self._cuda,
                )
            except (OSError, ValueError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
                if memory.is_out(error):
                    raise
                raise ModelsError(f"{place} is no checkpoint of Indic-TTS: {error}") from error


def _with_paths(folder: Path, scratch: Path) -> Path:
    """A copy of ``folder``'s config.json whose file of speakers is the one that is there: those that are published name
    the folders they were trained in."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    speakers = folder / "speakers.pth"
    for section in (config, config.get("model_args") or {}):
        if section.get("speakers_file"):
            section["speakers_file"] = str(speakers) if speakers.is_file() else None
    copy = scratch / "config.json"
    copy.write_text(json.dumps(config), encoding="utf-8")
    return copy
