"""Voxtral's tokenizer: words to ids and back, and the ids of its special tokens.

It is read from the checkpoint's ``tekken.json`` by mistral-common, which is given nothing else: neither a name to
fetch, nor a caller's words as a place to find sound at. Words can not make special tokens: "[INST]" in them is text.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mistral_common.tokens.tokenizers.audio import AudioConfig, TranscriptionFormat
from mistral_common.tokens.tokenizers.base import SpecialTokens, TokenizerVersion
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.sequence import WINDOW_SAMPLES, WINDOW_TOKENS

FILE = "tekken.json"


class Tokens:
    """The tokenizer of the checkpoint in ``folder``.

    Raises ModelsError where there is none, where it cannot be read, or where it is not laid out as Voxtral's of 2025-07
    (version 7, with 375 tokens of sound for 30 s), which is what voxrtc.models.voxtral.prompt writes.
    """

    def __init__(self, folder: Path) -> None:
        self._tekken = _read(folder / FILE)
        _check(self._tekken, folder / FILE)
        self.size: int = self._tekken.n_words
        """How many ids there are, special ones included."""
        self.special = range(self._tekken.num_special_tokens)
        """The ids that are no text."""
        self.bos = self._id(SpecialTokens.bos)
        self.eos = self._id(SpecialTokens.eos)
        self.begin_inst = self._id(SpecialTokens.begin_inst)
        self.end_inst = self._id(SpecialTokens.end_inst)
        self.audio = self._id(SpecialTokens.audio)
        self.begin_audio = self._id(SpecialTokens.begin_audio)
        self.transcribe = self._id(SpecialTokens.transcribe)
        self.begin_tools = self._id(SpecialTokens.begin_tools)
        self.end_tools = self._id(SpecialTokens.end_tools)
        self.tool_calls = self._id(SpecialTokens.tool_calls)
        self.begin_tool_results = self._id(SpecialTokens.begin_tool_results)
        self.end_tool_results = self._id(SpecialTokens.end_tool_results)
        self.begin_tool_content = self._id(SpecialTokens.begin_tool_content)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, none of which is special."""
        return self._tekken.encode(text, bos=False, eos=False)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``. Special tokens and bytes that are no UTF-8 are left out."""
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", "ignore")

    def bytes_of(self, token: int) -> bytes:
        """The piece of UTF-8 that ``token`` stands for, which may end within a character; none for special tokens."""
        return self._tekken.id_to_byte_piece(token)

    def _id(self, name: SpecialTokens) -> int:
        try:
            return self._tekken.get_special_token(name.value)
        except ValueError:
            raise ModelsError(f"Voxtral's tokenizer has no {name.value}: it belongs to another model") from None


def _read(path: Path) -> Tekkenizer:
    if not path.is_file():
        raise ModelsError(f"{path} is not there: a checkpoint of Voxtral comes with it; fetch the whole repository")
    try:
        return Tekkenizer.from_file(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ModelsError(f"{path} cannot be read as a tokenizer ({type(error).__name__}: {error})") from error


def _check(tekken: Tekkenizer, path: Path) -> None:
    audio = tekken.audio
    if audio is None:
        raise ModelsError(f"{path} knows no audio: it belongs to a model that only reads, not to Voxtral")
    if tekken.version != TokenizerVersion.v7 or not _as_voxtrals(audio):
        raise ModelsError(
            f"{path} is of version {tekken.version.value} and hears {audio.frame_rate:g} tokens a second in windows of "
            f"{audio.chunk_length_s} s: Voxtral-Mini-3B-2507 and Voxtral-Small-24B-2507 are of v7, 12.5 and 30.0"
        )


def _as_voxtrals(audio: AudioConfig) -> bool:
    return (
        audio.transcription_format == TranscriptionFormat.INSTRUCT
        and audio.sampling_rate == HEARD_RATE
        and audio.chunk_length_s == WINDOW_SAMPLES / HEARD_RATE
        and audio.num_audio_tokens(WINDOW_SAMPLES) == WINDOW_TOKENS
    )
