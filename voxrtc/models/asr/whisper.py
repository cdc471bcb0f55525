"""Whisper by CTranslate2, called directly: 16 kHz sound to words, with as little context around it as is safe.

Whisper was trained on windows of 30 s, and a caller pays for the silence that fills them. The window here is the clip
+ 1.5 s, at least 6 s. Measured greedy, int8, on 2 cores: word errors in 45 clips of 708 words (six recordings as they
are, trimmed, quiet, at 15 and 8 dB SNR, telephone band, abrupt start, joined), differences from the 30 s window in 42
random cuts, and time. The column max(6, +1.5) is this module as it stands, with its gates and its second hearing:

    window        30 s    max(15, +1)  +1 s            max(6, +1)  max(6, +1.5)  max(8, +1)  max(8, +1), beam 2
    WER           -       3.4 %        3.1 %           3.4 %       3.2 %         2.8 %       3.1 %
    cuts differ   0       2.8 %        10.8 % (loops)  4.8 %       3.7 %         3.7 %       -
    3 s clip      0.74 s  0.23 s       0.12 s          0.13 s      0.12 s        0.16 s      0.19 s

A window too short makes it say the sentence twice; that is recognised, and heard again with 15 s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
import tokenizers

from voxrtc.audio import HEARD_RATE, Samples, level_dbfs
from voxrtc.errors import ModelsError
from voxrtc.models.asr.cutting import Limits, cut
from voxrtc.models.asr.features import HOP, log_mel
from voxrtc.models.wire import Heard

TAIL_S = 1.5
SHORTEST_S = 6.0
CAREFUL_S = 15.0
"""Windows, in seconds: silence after the clip, the least there may be, and what a repeated sentence is heard with."""
LONGEST_S = 30.0
"""What the model's positions hold."""
CUT = Limits(22.0, 28.0)
"""How a longer clip is cut; what is left of LONGEST_S is for the tail."""
LEAST_S = 0.08
POSITION_S = 0.02
"""Seconds in one position of the encoder."""
LANES = 2
"""One for what a caller waits for, one for looks at unfinished turns. On two cores a clip of 3 s takes 0.12 s (0.16 to
0.24 while the other lane works) with a thread for each lane; with one lane of two threads 0.15 (0.38 to 0.63)."""
TOKENS_PER_S = 9
"""Fast English is under 6 tokens a second; scripts of several bytes a sign need more."""
SILENT_DBFS = -66.0
COMPUTE = {"cpu": "int8", "cuda": "float16"}

LEAST_P = ((0.4, 0.25), (0.7, 0.5), (1.0, 0.8))
"""Up to which probability of no speech at least which mean token probability is believed. Sentences have p >= 0.54,
single words 0.25 .. 0.94, both no-speech <= 0.36; hiss, hum, clicks, knocks and silence p <= 0.23 and no-speech >= 0.5,
pure tones ("AHHHH") p <= 0.71 and no-speech >= 0.8."""

Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Decoded:
    tokens: list[int]
    p: float
    """Mean token probability: exp of the mean log-probability."""
    no_speech: float
    capped: bool
    """It went on until the cap, as loops do."""


_NOTHING = _Decoded([], 0.0, 1.0, False)


class Whisper:
    """One whisper model, shared by up to LANES threads, each with a clip of its own.

    ``folder`` holds model.bin, tokenizer.json, vocabulary.txt and config.json of a CTranslate2 conversion. ``device``:
    "cuda" for the GPU (float16), "cpu" for ``threads`` threads (int8). Raises ModelsError where it cannot be loaded.
    """

    def __init__(self, folder: Path, threads: int, device: str = "cpu") -> None:
        self.compute = COMPUTE[device]
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder),
                device=device,
                compute_type=self.compute,
                inter_threads=LANES,
                intra_threads=max(1, threads // LANES),
            )
        except (RuntimeError, ValueError) as error:
            raise ModelsError(f"whisper cannot be loaded from {folder} on {device}: {error}") from error
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._task = [self._id("<|transcribe|>"), self._id("<|notimestamps|>")]
        self._start = self._id("<|startoftranscript|>")

    def hear(self, samples: Samples, language: str | None, cancelled: Cancelled = lambda: False) -> Heard:
        """The words in ``samples`` (n,) at 16 kHz, n of any size; ``language`` ISO 639-1, None to detect it.

        Text is empty where there is no speech. Where ``cancelled`` turns true on the way: what there is by then.
        Raises ModelsError for a language it does not know.
        """
        began = time.perf_counter()
        texts: list[str] = []
        weights: list[tuple[float, int]] = []
        for piece in _pieces(samples):
            if cancelled():
                break
            if piece.size < LEAST_S * HEARD_RATE or level_dbfs(piece) < SILENT_DBFS:
                continue
            language, decoded = self._hear_piece(piece, language, cancelled)
            text = self._tokenizer.decode(decoded.tokens).strip() if _is_speech(decoded) else ""
            if _says_something(text):
                texts.append(text)
                weights.append((decoded.p, len(decoded.tokens)))
        total = sum(count for _, count in weights)
        confidence = sum(p * count for p, count in weights) / total if total else 0.0
        return Heard(" ".join(texts), language or "", confidence, (time.perf_counter() - began) * 1e3)

    def detect(self, samples: Samples) -> tuple[str, float]:
        """The language (ISO 639-1) of ``samples`` (n,), by their first 30 s, and its probability; ("", 0.0) where there
        is no sound. As long as the encoder takes, no words are made."""
        if samples.size < LEAST_S * HEARD_RATE or level_dbfs(samples) < SILENT_DBFS:
            return "", 0.0
        encoded = self._encode(samples, _window(samples.size / HEARD_RATE))
        token, probability = self._model.detect_language(encoded)[0][0]
        return str(token).strip("<|>"), float(probability)

    def word_starts(self, samples: Samples, text: str, language: str = "en") -> list[float]:
        """Seconds at which each word of ``text``, said in ``samples`` (n,) of at most 30 s, begins.

        By the attention of whisper's alignment heads and dynamic time warping (openai/whisper ``timing.py``); within
        0.1 s, but a word after a silence as early as the silence. Raises ModelsError where there is more than 30 s.
        """
        seconds = samples.size / HEARD_RATE
        if seconds > LONGEST_S:
            raise ModelsError(f"words can be placed in {LONGEST_S:g} s of sound at most, not in {seconds:.1f} s")
        ids: list[int] = []
        firsts: list[int] = []
        for word in text.split():
            firsts.append(len(ids))
            ids += self._tokenizer.encode(f" {word}", add_special_tokens=False).ids
        sot = [self._start, self._id(f"<|{language}|>"), self._task[0]]
        encoded = self._encode(samples, _window(seconds))
        aligned = self._model.align(encoded, sot, [ids], samples.size // HOP)[0].alignments
        begins: dict[int, int] = {}
        for token, position in aligned:
            begins.setdefault(int(token), int(position))
        return [begins.get(first, 0) * POSITION_S for first in firsts]

    def _hear_piece(self, samples: Samples, language: str | None, cancelled: Cancelled) -> tuple[str, _Decoded]:
        seconds = samples.size / HEARD_RATE
        window = _window(seconds)
        encoded = self._encode(samples, window)
        language = language or self._detect(encoded)
        decoded = self._decode(encoded, language, seconds, cancelled)
        if (
            window < CAREFUL_S
            and _is_speech(decoded)
            and (decoded.capped or repeats(decoded.tokens))
            and not cancelled()
        ):
            decoded = self._decode(self._encode(samples, CAREFUL_S), language, seconds, cancelled)
        if decoded.capped:
            return language, _Decoded(without_loop(decoded.tokens), decoded.p, decoded.no_speech, True)
        return language, decoded

    def _encode(self, samples: Samples, window: float) -> ctranslate2.StorageView:
        """Encoder output of ``samples``, followed by silence up to ``window`` seconds."""
        size = int(window * HEARD_RATE) // 320 * 320  # whole positions: two mel frames each
        padded = np.zeros(size, np.float32)
        padded[: min(size, samples.size)] = samples[:size]
        features = log_mel(padded, self._model.n_mels)[np.newaxis]
        return self._model.encode(ctranslate2.StorageView.from_array(features))

    def _detect(self, encoded: ctranslate2.StorageView) -> str:
        token, _ = self._model.detect_language(encoded)[0][0]
        return str(token).strip("<|>")

    def _decode(
        self, encoded: ctranslate2.StorageView, language: str, seconds: float, cancelled: Cancelled
    ) -> _Decoded:
        """Greedy search in one native call (going on from tokens already known costs as much as making them anew)."""
        if cancelled():
            return _NOTHING
        room = _room(seconds)
        result = self._model.generate(
            encoded,
            [[self._start, self._id(f"<|{language}|>"), *self._task]],
            beam_size=1,
            max_length=2 * room,  # the runtime gives half of it to the text
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = list(result.sequences_ids[0])
        return _Decoded(tokens, math.exp(result.scores[0]), result.no_speech_prob, len(tokens) >= room)

    def _id(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ModelsError(f"whisper knows no '{token.strip('<|>')}'")
        return int(number)


def _window(seconds: float) -> float:
    """Seconds to encode for a clip, in steps of half a second: kernels are made once for each size of input."""
    return min(LONGEST_S, max(SHORTEST_S, math.ceil(2 * (seconds + TAIL_S)) / 2))


def _room(seconds: float) -> int:
    """How many tokens ``seconds`` of speech may have."""
    return min(216, int(12 + TOKENS_PER_S * seconds))


def _is_speech(decoded: _Decoded) -> bool:
    least = next(p for no_speech, p in LEAST_P if decoded.no_speech <= no_speech)
    return bool(decoded.tokens) and decoded.p >= least


def _says_something(text: str) -> bool:
    return any(sign.isalnum() for sign in text)


def repeats(tokens: list[int]) -> bool:
    """Whether the end says again, token for token, what comes right before it, or what everything began with."""
    return without_loop(tokens) != tokens or _begins_again(tokens) > 0


def without_loop(tokens: list[int]) -> list[int]:
    """``tokens`` with a run of three or more equal stretches at its end (the last may be cut off) left to one."""
    for period in range(1, len(tokens) // 3 + 1):
        run = period
        while run < len(tokens) and tokens[-run - 1] == tokens[-run - 1 + period]:
            run += 1
        if run >= 3 * period and run >= 6:
            return tokens[: len(tokens) - run + period]
    return tokens


def _begins_again(tokens: list[int]) -> int:
    """How many tokens at the end are those of the beginning over again (4 at least), else 0."""
    for size in range(len(tokens) // 2, 3, -1):
        if tokens[-size:] == tokens[:size]:
            return size
    return 0


def _pieces(samples: Samples) -> list[Samples]:
    """``samples`` cut so that none is longer than CUT.latest."""
    if samples.size <= CUT.latest * HEARD_RATE:
        return [samples]
    return [samples[piece.start : piece.end] for piece in cut(samples, CUT)]
