"""Dia-1.6B (Nari Labs, Apache-2.0), through transformers: text to the codes of a DAC codec, these to 44.1 kHz.

It knows English; what is near to it in letters and sounds (Malay) is understandable. It wants 86 codes a second and
says texts of less than five seconds badly, so short sentences go together. Model card nari-labs/Dia-1.6B-0626.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples, resample
from voxrtc.errors import ModelsError
from voxrtc.languages import ENDS, spoken_by, weight
from voxrtc.models.gpu import memory
from voxrtc.models.tts.fetching import folder
from voxrtc.models.tts.shelf import REMEDY, Shelf
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

if TYPE_CHECKING:
    import torch

CODEC = "descript/dac_44khz"
"""The codec's checkpoint, where the folder of Dia's has none in its ``dac``."""
SHORT = 60
"""Letters of about five seconds; a stretch is made of sentences until it has these."""
LETTERS_PER_S = 12.0
CODES_PER_S = 86.0
SLOWEST = 2.5
"""A text takes this many times as long as usual at the most, then its end was missed."""
GUIDANCE, TEMPERATURE, TOP_P, TOP_K = 3.0, 1.8, 0.9, 45
"""Of the model card."""
_SENTENCE = re.compile(rf"[^.!?…{ENDS}]*[.!?…{ENDS}]*[\"'”’)\]»]*\s*")


class Dia:
    """Loaded when it first is to speak, or by prepare()."""

    languages: Sequence[str] = spoken_by("dia")

    def __init__(self, name: str, device: str = "cpu") -> None:
        """``name``: on the hub, or a folder."""
        self._name = name
        self._device = device
        self._shelf = Shelf(1, self._load)

    def prepare(self, language: str) -> None:
        """Load it. Raises Unloadable."""
        self._shelf.get("")

    def speak(self, text: str, language: str, speed: float = 1.0) -> Iterator[Spoken]:
        """A stretch for each few sentences. ``speed`` is not Dia's to choose: its own is taken."""
        if language not in self.languages:
            raise ModelsError(f"the voice dia has no language '{language}'")
        for start, end in stretches(text):
            said = text[start:end].strip()
            if any(sign.isalnum() for sign in said):
                with memory.sentence(REMEDY):
                    samples = trim(self._say(said))
                if samples.size:
                    yield np.concatenate([samples, pause(said)]), start, end

    def _say(self, text: str) -> Samples:
        """Samples (n,) at 24 kHz, not trimmed."""
        import torch

        model, processor = self._shelf.get("")
        inputs = processor(text=[f"[S1] {text}"], padding=True, return_tensors="pt").to(self._device)
        most = round((1.0 + weight(text) / LETTERS_PER_S * SLOWEST) * CODES_PER_S)
        room = model.config.decoder_config.max_position_embeddings - inputs["decoder_input_ids"].shape[1]
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            codes = model.generate(
                **inputs,
                max_new_tokens=max(1, min(most, room)),
                guidance_scale=GUIDANCE,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                top_k=TOP_K,
                do_sample=True,
            )
            (sound,) = processor.batch_decode(codes)
        rate = int(processor.feature_extractor.sampling_rate)
        return resample(np.atleast_1d(sound.float().cpu().numpy()).astype(np.float32), rate, SPOKEN_RATE)

    def _load(self, _: str) -> tuple[Any, Any]:
        """Model and processor. Raises StoreError, ModelsError."""
        from safetensors import SafetensorError
        from transformers import DacModel, DiaFeatureExtractor, DiaForConditionalGeneration, DiaProcessor, DiaTokenizer

        place = folder(self._name, ("*.json", "*.safetensors"), ("config.json", "preprocessor_config.json"))
        codec = place / "dac"
        codec = codec if codec.is_dir() else folder(CODEC, ("*.json", "*.safetensors"), ("config.json",))
        try:
            model: Any = DiaForConditionalGeneration.from_pretrained(str(place), dtype=_dtype(self._device))
            sound: Any = DacModel.from_pretrained(str(codec))  # small, and in float32 as it was trained
            for part in (model, sound):
                part.eval().to(self._device)
            made: Any = DiaProcessor
            processor = made(
                DiaFeatureExtractor.from_pretrained(str(place)), DiaTokenizer.from_pretrained(str(place)), sound
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            if memory.is_out(error):
                raise
            raise ModelsError(f"{place} is no checkpoint of Dia: {error}") from error
        return model, processor


def _dtype(device: str) -> torch.dtype:
    """What the model works in: 1.6 B parameters are 3.2 GB in bfloat16."""
    import torch

    return torch.bfloat16 if device == "cuda" else torch.float32


def stretches(text: str) -> Iterator[tuple[int, int]]:
    """``text`` as (start, end) of sentences, as many together as make SHORT."""
    start = end = 0
    for match in _SENTENCE.finditer(text):
        end = match.end()
        if end > start and weight(text[start:end]) >= SHORT:
            yield start, end
            start = end
    if start < len(text):
        yield start, len(text)
