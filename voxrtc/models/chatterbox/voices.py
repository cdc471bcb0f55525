"""Voices: made once, of a clip or of what comes with the checkpoint, then only read, by all who speak with them.

What is made is not kept on disk: it takes tenths of a second a voice on a GPU, and a clip that was replaced counts from
the next start on.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import clips, spectra
from voxrtc.models.chatterbox.codes import Codes
from voxrtc.models.chatterbox.parts import TOKENS_PER_S, Voice
from voxrtc.models.chatterbox.speakers import CamPlus, VoiceEncoder
from voxrtc.models.tts import names
from voxrtc.settings import Tts

if TYPE_CHECKING:
    from torch import Tensor

BUILT_IN = names.CHATTERBOX
"""The name of the checkpoint's own voice."""
KINDS = frozenset({".wav", ".flac", ".ogg", ".mp3"})
"""Of files that are clips."""
PROMPT_S = {False: 6, True: 15}
"""Seconds of a clip that T3 is given, in the multilingual one and in Turbo."""


class Maker:
    """Makes voices of clips. Holds the weights for it (0.6 GB), so it is kept only where clips may come at any time."""

    def __init__(
        self, voice_encoder: Mapping[str, Tensor], s3gen: Mapping[str, Tensor], device: torch.device, turbo: bool
    ) -> None:
        """Raises ModelsError where weights are missing."""
        placed = {n: w.to(device) for n, w in s3gen.items() if n.startswith(("tokenizer.", "speaker_encoder."))}
        try:
            self._encoder = VoiceEncoder({name: one.to(device) for name, one in voice_encoder.items()})
        except KeyError as error:
            raise ModelsError(f"the checkpoint's voice encoder lacks the weight {error}") from error
        self._codes, self._cam = Codes(placed), CamPlus(placed)
        self._device = device
        self._prompt_s = PROMPT_S[turbo]

    def make(self, name: str, samples: Samples) -> Voice:
        """The voice of ``samples`` (n,) at 24 kHz, as clips.check gives them. Raises ModelsError."""
        import soxr

        at_16k = soxr.resample(samples, SPOKEN_RATE, spectra.RATE).astype(np.float32)
        sound, speech = torch.from_numpy(samples).to(self._device), torch.from_numpy(at_16k).to(self._device)
        bare = torch.from_numpy(spectra.trimmed(at_16k)).to(self._device)
        try:
            mel, tokens = spectra.sound_mel(sound), self._codes.of(speech)
            size = min(tokens.shape[1], mel.shape[0] // 2)
            voice = Voice(
                name=name,
                speaker=self._encoder.embed(bare),
                prompt=self._codes.of(speech[: self._prompt_s * spectra.RATE], self._prompt_s * TOKENS_PER_S),
                tokens=tokens[:, :size],
                mel=mel[None, : 2 * size],
                xvector=self._cam.embed(speech),
            )
            if self._device.type == "cuda":
                torch.cuda.current_stream(self._device).synchronize()  # those who speak with it do so in another stream
        except KeyError as error:
            raise ModelsError(f"the checkpoint's S3Gen lacks the weight {error}, which voices are made with") from error
        return voice


def built_in(path: Path, device: torch.device) -> Voice:
    """The voice in ``conds.pt``, which comes with the checkpoint. Raises ModelsError."""
    try:
        kept: dict[str, dict[str, Any]] = torch.load(path, map_location="cpu", weights_only=True)
        t3, gen = kept["t3"], kept["gen"]
        tokens, mel = gen["prompt_token"], gen["prompt_feat"]
        size = min(tokens.shape[1], mel.shape[1] // 2)
        return Voice(
            name=BUILT_IN,
            speaker=t3["speaker_emb"].view(1, -1).float().to(device),
            prompt=t3["cond_prompt_speech_tokens"].view(1, -1).long().to(device),
            tokens=tokens[:, :size].long().to(device),
            mel=mel[:, : 2 * size].float().to(device),
            xvector=gen["embedding"].view(1, -1).float().to(device),
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelsError(f"{path} cannot be read as a voice: it is damaged, or no such file") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelsError(f"{path} holds no voice as Chatterbox keeps them") from error


def folder_of(tts: Tts) -> Path:
    """Where the clips are. Raises ModelsError where a folder is named that is not there."""
    folder = Path(tts.voices_dir).expanduser()
    if not folder.is_dir() and tts.voices_dir != Tts.model_fields["voices_dir"].default:
        raise ModelsError(f"tts.voices_dir is '{tts.voices_dir}', and there is no such folder")
    return folder


def clips_in(folder: Path) -> dict[str, Path]:
    """The clips ``NAME.wav`` of a folder (also .flac, .ogg, .mp3) by name, in order; none where there is no folder.
    Files whose names begin with a dot are none. Raises ModelsError for one whose name cannot be a voice's."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in KINDS or path.name.startswith("."):
            continue
        wrong = names.taken(path.stem) if names.possible(path.stem) else names.POSSIBLE
        if wrong:
            raise ModelsError(f"{path} cannot be a voice: {wrong}; call the file something else")
        if path.stem in found:
            raise ModelsError(f"{found[path.stem]} and {path} are both the voice '{path.stem}'; keep one of them")
        found[path.stem] = path
    return found


def of_folder(folder: Path, maker: Maker) -> dict[str, Voice]:
    """A voice of each clip. Raises ModelsError that names the file and what is wrong with it."""
    return {name: maker.make(name, clips.read(path)) for name, path in clips_in(folder).items()}
