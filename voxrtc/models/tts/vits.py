"""MMS-TTS (Meta): a VITS for each of a thousand languages, through transformers. The checkpoints are CC-BY-NC 4.0.

Kim, Kong, Son, "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech" (2021);
Pratap et al., "Scaling Speech Technology to 1,000+ Languages" (2023); model cards facebook/mms-tts-CODE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrtc.audio import SPOKEN_RATE, resample
from voxrtc.errors import ModelsError
from voxrtc.languages import ALL, spoken_by
from voxrtc.models.gpu import memory
from voxrtc.models.tts.fetching import folder
from voxrtc.models.tts.shelf import REMEDY, Shelf
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

KEPT = 2
"""Languages that stay loaded: 36 M parameters each."""
_FILES = ("*.json", "*.safetensors", "*.txt")
_NEEDS = ("config.json", "vocab.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any


class Vits:
    """A language's checkpoint is loaded when it is first to be spoken."""

    languages: Sequence[str] = spoken_by("mms")

    def __init__(self, name: str, device: str = "cpu") -> None:
        """``name``: of the checkpoints on the hub, or of folders, ``{}`` for the ISO 639-3 code."""
        self._name = name
        self._device = device
        self._shelf = Shelf(KEPT, self._load)

    def prepare(self, language: str) -> None:
        """Load what ``language`` needs. Raises Unloadable."""
        self._shelf.get(language)

    def speak(self, text: str, language: str, speed: float = 1.0) -> Iterator[Spoken]:
        """The whole clause as one stretch. Blocks for seconds, or a fetch, where the language is not loaded."""
        import torch

        if language not in self.languages:
            raise ModelsError(f"the voice mms has no language '{language}'")
        loaded = self._shelf.get(language)
        inputs = loaded.tokenizer(text, return_tensors="pt").to(self._device)
        if not bool((inputs["input_ids"] != loaded.tokenizer.pad_token_id).any()):
            return  # none of its letters are known
        loaded.model.speaking_rate = speed
        with memory.sentence(REMEDY), torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same words sound the same
            waveform = loaded.model(**inputs).waveform[0].float().cpu().numpy()
        samples = trim(resample(waveform.astype(np.float32), loaded.model.config.sampling_rate, SPOKEN_RATE))
        if samples.size:
            yield np.concatenate([samples, pause(text)]), 0, len(text)

    def _load(self, language: str) -> _Loaded:
        """Raises StoreError, ModelsError."""
        from safetensors import SafetensorError
        from transformers import VitsModel, VitsTokenizer

        place = folder(self._name.replace("{}", ALL[language].iso3), _FILES, _NEEDS)
        try:
            tokenizer = VitsTokenizer.from_pretrained(str(place))
            model: Any = VitsModel.from_pretrained(str(place))
            model.eval().to(self._device)
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            if memory.is_out(error):
                raise
            raise ModelsError(f"{place} is no checkpoint of MMS-TTS: {error}") from error
        if tokenizer.is_uroman:
            raise ModelsError(f"MMS-TTS in {ALL[language].name} wants Latin letters (uroman), which is not done here")
        return _Loaded(model, tokenizer)
