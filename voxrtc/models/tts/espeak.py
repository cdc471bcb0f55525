"""espeak-ng by ctypes: a formant voice for every language of voxrtc (GPL-3, hence the optional extra ``espeak``).

The library and its data come with the package espeakng-loader. It has one state for the whole process: one Espeak,
used by one thread at a time. API: espeak-ng ``src/include/espeak-ng/speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from voxrtc.audio import SPOKEN_RATE, from_pcm16, resample
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

VOICES = {code: code for code in NAMES} | {"en": "en-us", "zh": "cmn"}
"""Language code to espeak-ng's name for it."""
WORDS_PER_MINUTE = 165
MISSING = "this language needs the voice espeak, which is not installed; run: pip install 'voxrtc[espeak]'"

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE = 1
_UTF8 = 1
_POSITION_CHARACTER = 1
_IPA = 0x02
_TIED = 0x80
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def installed() -> bool:
    """Whether the package that carries espeak-ng is there."""
    return importlib.util.find_spec("espeakng_loader") is not None


@lru_cache(1)
def shared() -> Espeak:
    """The one of this process. Raises as Espeak does."""
    return Espeak()


class Espeak:
    """The process's espeak-ng: make one only (``shared``)."""

    languages: Sequence[str] = tuple(VOICES)

    def __init__(self) -> None:
        """Raises ModelsError where it is not installed, or does not start."""
        if not installed():
            raise ModelsError(MISSING)
        import espeakng_loader

        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT))
        if self._rate <= 0:
            raise ModelsError(f"espeak-ng does not start with its data in {data.decode()}")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._pcm = bytearray()
        self._callback = _CALLBACK(self._take)  # kept: the library does not keep it

    def speak(self, text: str, language: str, speed: float = 1.0) -> Iterator[Spoken]:
        """The whole clause as one stretch (a few ms of work)."""
        self._choose(language)
        self._library.espeak_SetParameter(_RATE, round(WORDS_PER_MINUTE * speed), 0)
        self._library.espeak_SetSynthCallback(self._callback)  # each time: it may hold one of an Espeak that is gone
        self._pcm.clear()
        said = text.replace("\0", " ").encode()
        status = self._library.espeak_Synth(
            said, ctypes.c_size_t(len(said) + 1), 0, _POSITION_CHARACTER, 0, _UTF8, None, None
        )
        if status != 0:
            raise ModelsError(f"espeak-ng cannot say this (its error {status})")
        samples = trim(resample(from_pcm16(bytes(self._pcm)), self._rate, SPOKEN_RATE))
        if samples.size:
            yield np.concatenate([samples, pause(text)]), 0, len(text)

    def phonemes(self, text: str, language: str, tie: str = "") -> str:
        """``text`` in IPA; ``tie``: a sign between those of one sound."""
        self._choose(language)
        mode = _IPA | (_TIED | ord(tie) << 8 if tie else 0)
        rest = ctypes.c_char_p(text.replace("\0", " ").encode())
        clauses = []
        while rest.value is not None:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode) or b"")
        return " ".join(clause.decode().strip() for clause in clauses).strip()

    def _choose(self, language: str) -> None:
        voice = VOICES.get(language)
        if voice is None:
            raise ModelsError(f"the voice espeak has no language '{language}'; it speaks {', '.join(VOICES)}")
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ModelsError(f"this espeak-ng has no voice '{voice}'")

    def _take(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library with ``count`` samples; 0 lets it go on."""
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, count * 2)
        return 0
