"""Text to the ids that T3 reads, as Chatterbox's own tokenizer writes it.

Signs are replaced by those that T3 learnt, then a language's own preparation follows: Chinese in Cangjie codes,
Japanese in kana (where pykakasi is installed), Korean in Jamo (NFKD gives these). Turbo reads GPT-2's ids of English.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unicodedata import category, normalize

from voxrtc.errors import ModelsError
from voxrtc.languages import spoken_by

logger = logging.getLogger(__name__)

START_TEXT, STOP_TEXT = 255, 0
MOST = 250
"""Ids of one piece of text; longer text is cut."""
REPLACED = (
    ("...", ", "),
    ("…", ", "),
    (":", ","),
    (" - ", ", "),
    (";", ", "),
    ("—", "-"),
    ("–", "-"),
    (" ,", ","),
    ("“", '"'),
    ("”", '"'),
    ("‘", "'"),
    ("’", "'"),
)
ENDS = (".", "!", "?", "-", ",", "、", "，", "。", "？", "！")


@dataclass(frozen=True, slots=True)
class Piece:
    """``ids`` of the characters ``start``..``end``."""

    ids: tuple[int, ...]
    start: int
    end: int


class Tokenizer(Protocol):
    """Text to ids. Any thread may use it."""

    languages: tuple[str, ...]

    @property
    def ids(self) -> int:
        """All that encode() gives are less than this."""

    def encode(self, text: str, language: str) -> tuple[int, ...]:
        """All ids that T3 is to read."""


def pieces(tokenizer: Tokenizer, text: str, language: str, most: int = MOST) -> list[Piece]:
    """``text`` in as few pieces of at most ``most`` ids as its words allow; one, as a rule."""

    def cut(start: int, end: int) -> list[Piece]:
        ids = tokenizer.encode(text[start:end], language)
        if len(ids) <= most or end - start < 2:
            return [Piece(ids[:most], start, end)]
        middle = (start + end) // 2
        blanks = [at for at in range(start + 1, end) if text[at].isspace()]
        middle = min(blanks, key=lambda at: abs(at - middle), default=middle)
        return cut(start, middle) + cut(middle, end)

    return cut(0, len(text))


def tidied(text: str) -> str:
    """``text`` with the signs that T3 knows, a capital at its beginning, and a sign at its end."""
    text = " ".join(text.split())
    if text[:1].islower():
        text = text[0].upper() + text[1:]
    for sign, known in REPLACED:
        text = text.replace(sign, known)
    text = text.rstrip(" ")
    return text if text.endswith(ENDS) else f"{text}."


class Multilingual:
    """``vocabulary``: the JSON of the package tokenizers. ``cangjie``: the table of Chinese input codes."""

    def __init__(self, vocabulary: Path, cangjie: Path | None = None) -> None:
        """Raises ModelsError."""
        from tokenizers import Tokenizer as Engine

        try:
            self._engine: Any = Engine.from_file(str(vocabulary))
        except Exception as error:  # the package raises plain Exceptions
            raise ModelsError(f"{vocabulary} cannot be read as a tokenizer: {error}") from error
        known = self._engine.get_vocab()
        if "[START]" not in known or "[STOP]" not in known:
            raise ModelsError(f"{vocabulary} is no vocabulary of Chatterbox: it has no [START] and [STOP]")
        self.languages: tuple[str, ...] = tuple(c for c in spoken_by("chatterbox") if f"[{c}]" in known) or ("en",)
        self._tagged = f"[{self.languages[0]}]" in known
        prepared: dict[str, Callable[[str], str]] = {"ja": _kana(), "ko": str.strip}
        if cangjie is not None:
            prepared["zh"] = Cangjie(cangjie)
        elif "zh" in self.languages:
            logger.warning("Chinese is not spoken: the checkpoint has no table of Cangjie codes")
            self.languages = tuple(code for code in self.languages if code != "zh")
        self._prepared = prepared
        self.ids = 1 + max(START_TEXT, STOP_TEXT, *known.values())

    def encode(self, text: str, language: str) -> tuple[int, ...]:
        text = normalize("NFKD", tidied(text).lower())
        text = self._prepared.get(language, _as_it_is)(text)
        tag = f"[{language}]" if self._tagged else ""
        ids = self._engine.encode(f"{tag}{text}".replace(" ", "[SPACE]")).ids
        return (START_TEXT, *ids, STOP_TEXT)


class Turbo:
    """``folder``: with the files of GPT-2's tokenizer and Chatterbox's marks ([laugh] ...)."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self, folder: Path) -> None:
        """Raises ModelsError."""
        from transformers import AutoTokenizer

        try:
            self._engine: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelsError(f"{folder} has no tokenizer that can be read") from error
        self.ids = 1 + max(self._engine.get_vocab().values(), default=0)

    def encode(self, text: str, language: str) -> tuple[int, ...]:
        return tuple(self._engine(tidied(text)).input_ids)


class Cangjie:
    """Chinese characters as the keys that they are typed with, which is how T3 knows them."""

    def __init__(self, path: Path) -> None:
        """Raises ModelsError."""
        self._codes: dict[str, str] = {}
        taken: dict[str, int] = {}
        try:
            for entry in json.loads(path.read_text(encoding="utf-8")):
                sign, code = entry.split("\t")[:2]
                others = taken.get(code, 0)
                taken[code] = others + 1
                self._codes[sign] = f"{code}{others}" if others else code
        except (OSError, ValueError, AttributeError) as error:
            raise ModelsError(f"{path} cannot be read as a table of Cangjie codes") from error

    def __call__(self, text: str) -> str:
        return "".join(map(self._spelt, text))

    def _spelt(self, sign: str) -> str:
        code = self._codes.get(sign) if category(sign) == "Lo" else None
        return sign if code is None else "".join(f"[cj_{key}]" for key in code) + "[cj_.]"


@functools.cache
def _kana() -> Callable[[str], str]:
    """Kanji in hiragana; as they are, which T3 reads badly, where pykakasi (GPL-3) is not installed."""
    if importlib.util.find_spec("pykakasi") is None:
        return _as_it_is
    import pykakasi  # type: ignore[import-not-found, unused-ignore]

    kakasi = pykakasi.kakasi()

    def read(text: str) -> str:
        words = []
        for word in kakasi.convert(text):
            written, spoken = word["orig"], word["hira"]
            if any("一" <= sign <= "鿿" for sign in written):
                words.append(f" {spoken}" if spoken[:1] in ("は", "へ") else spoken)
            else:
                words.append(written)
        return normalize("NFKD", "".join(words))

    return read


def _as_it_is(text: str) -> str:
    return text
