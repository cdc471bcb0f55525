"""Text out of tokens as they come: whole characters, and whole words where that is wanted."""

from __future__ import annotations

import codecs
import re

from voxrtc.models.voxtral.tokens import Tokens

_BREAK = (
    r"[^\S\u00a0\u2007\u202f]"  # white space, but for that which holds words together
    r"|[\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20]"
    r"|[\U00020000-\U0003ffff]"
)
_LAST_BREAK = re.compile(rf"(?s:.*)(?:{_BREAK})")
"""Everything up to the last place where a word surely ends: after white space, and after every Chinese or Japanese
character, since their words are not set apart."""


class TextStream:
    """The text of one answer, token by token: the pieces together are the text of all tokens (Tokens.decode), less the
    white space that it begins with.

    A character whose bytes are not all there is held back; special tokens and what is no UTF-8 are left out. With
    ``whole_words`` the last word is held back too, until the next one begins.
    """

    def __init__(self, tokens: Tokens, whole_words: bool = False) -> None:
        self._tokens = tokens
        self._whole_words = whole_words
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._begun = False
        self._held: list[str] = []

    def feed(self, token: int) -> str:
        """What can be given out now that ``token`` was picked; often nothing."""
        return self._give(self._decoder.decode(self._tokens.bytes_of(token)))

    def finish(self) -> str:
        """What was held back. A character that is not whole by now is lost."""
        rest = self._give(self._decoder.decode(b"", final=True))
        rest += "".join(self._held)
        self._held.clear()
        return rest

    def _give(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        if not self._whole_words:
            return text
        whole = _LAST_BREAK.match(text)
        if whole is None:
            if text:
                self._held.append(text)
            return ""
        given = "".join([*self._held, whole[0]])
        self._held = [text[whole.end() :]]
        return given
