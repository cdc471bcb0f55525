"""Kokoro-82M (hexgrad, Apache-2.0), multilingual, as ONNX on onnxruntime, with espeak-ng's phonemes (extra ``espeak``).

Files, as in the hub's onnx-community/Kokoro-82M-v1.0-ONNX: ``model.onnx`` (or ``onnx/model*.onnx``), the vocabulary in
``tokenizer.json`` (or hexgrad's ``config.json``), ``voices/NAME.bin``: float32 of (510, 1, 256), a style for each
number of phonemes. The model's inputs are ``input_ids`` (1, n) int64 (``tokens`` in kokoro-onnx's files), ``style``
(1, 256) and ``speed`` (1,) float32; its first output is the sound at 24 kHz. Japanese and Chinese want phonemes that
espeak-ng does not give.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxrtc.errors import ModelsError
from voxrtc.languages import spoken_by
from voxrtc.models.tts import espeak
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

VOICES = {"en": "af_heart", "es": "ef_dora", "fr": "ff_siwis", "hi": "hf_alpha", "it": "if_sara", "pt": "pf_dora"}
"""The voice of each language; another of its first letter where that is not there."""
LONGEST = 510
"""Phonemes at once."""
STYLE = 256
_FROM_ESPEAK = {
    **{"a^ɪ": "I", "a^ʊ": "W", "d^z": "ʣ", "d^ʒ": "ʤ", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "s^s": "S", "t^s": "ʦ"},
    **{"t^ʃ": "ʧ", "ɔ^ɪ": "Y"},
}
"""espeak-ng's diphthongs and affricates, tied, to the single signs that Kokoro learnt (misaki, Apache-2.0)."""


class Kokoro:
    """Loaded when it first is to speak. For the thread of espeak-ng."""

    def __init__(self, folder: str, threads: int = 1) -> None:
        """Raises ModelsError where files are missing, or espeak-ng is."""
        self._folder = Path(folder).expanduser()
        self._threads = threads
        if not espeak.installed():
            raise ModelsError("the voice kokoro needs espeak-ng for its phonemes; run: pip install 'voxrtc[espeak]'")
        self._model = _first(self._folder, ("model.onnx", "onnx/model.onnx", "onnx/model*.onnx", "*.onnx"))
        self._vocabulary = _vocabulary(self._folder)
        self._styles = {code: file for code in spoken_by("kokoro") if (file := self._style_of(code)) is not None}
        if not self._styles:
            raise ModelsError(f"tts.kokoro: there is no voice in {self._folder / 'voices'}")
        self.languages: Sequence[str] = list(self._styles)
        self._session: object | None = None

    def speak(self, text: str, language: str, speed: float = 1.0) -> Iterator[Spoken]:
        """The whole clause as one stretch."""
        if language not in self._styles:
            raise ModelsError(f"the voice kokoro has no language '{language}'; it speaks {', '.join(self.languages)}")
        ids = self.ids(text, language)
        if not ids:
            return
        styles = np.fromfile(self._styles[language], np.float32).reshape(-1, STYLE)
        parts = [
            self._say(part, styles, speed) for part in (ids[at : at + LONGEST] for at in range(0, len(ids), LONGEST))
        ]
        samples = trim(np.concatenate(parts))
        if samples.size:
            yield np.concatenate([samples, pause(text)]), 0, len(text)

    def ids(self, text: str, language: str) -> list[int]:
        """The model's phonemes of ``text``; what it has no sign for is left out."""
        spoken = espeak.shared().phonemes(text, language, tie="^")
        for tied, single in _FROM_ESPEAK.items():
            spoken = spoken.replace(tied, single)
        last = text.rstrip()[-1:]
        spoken = spoken.replace("^", "").replace("-", "").strip() + (last if last in ".!?,;:…" else "")
        return [self._vocabulary[sign] for sign in spoken if sign in self._vocabulary]

    def _say(self, ids: list[int], styles: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Samples (n,) at 24 kHz of at most LONGEST phonemes."""
        import onnxruntime

        if self._session is None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            self._session = onnxruntime.InferenceSession(str(self._model), options, ["CPUExecutionProvider"])
        session = self._session
        assert isinstance(session, onnxruntime.InferenceSession)
        names = {item.name for item in session.get_inputs()}
        style = styles[min(len(ids), len(styles) - 1)][None]
        given = {"tokens" if "tokens" in names else "input_ids": np.array([[0, *ids, 0]], np.int64), "style": style}
        given["speed"] = np.array([speed], np.float32)
        try:
            sound = session.run(None, given)[0]
        except Exception as error:  # its binding raises classes of its own
            raise ModelsError("the voice kokoro cannot say this clause") from error
        return np.asarray(sound, np.float32).reshape(-1)

    def _style_of(self, language: str) -> Path | None:
        wanted = self._folder / "voices" / f"{VOICES[language]}.bin"
        if wanted.is_file():
            return wanted
        return next(iter(sorted((self._folder / "voices").glob(f"{VOICES[language][0]}?_*.bin"))), None)


def _first(folder: Path, patterns: Sequence[str]) -> Path:
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            return file
    raise ModelsError(f"tts.kokoro: there is no {patterns[0]} in {folder}")


def _vocabulary(folder: Path) -> dict[str, int]:
    """Sign to id, of either kind of file."""
    for name, keys in (("tokenizer.json", ("model", "vocab")), ("config.json", ("vocab",))):
        file = folder / name
        if not file.is_file():
            continue
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelsError(f"tts.kokoro: {file} cannot be read as JSON") from error
        for key in keys:
            table = table.get(key, {}) if isinstance(table, dict) else {}
        if table:
            return {str(sign): int(number) for sign, number in table.items()}
    raise ModelsError(f"tts.kokoro: no vocabulary in {folder} (tokenizer.json or config.json)")
