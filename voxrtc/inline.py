"""Audio within the text that names it: base64 and data: URLs. Decoded a piece at a time, since a piece holds the
interpreter: of tens of megabytes at once, the event loop would notice, in whatever thread it is done."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote, unquote_to_bytes

from voxrtc.errors import AudioError

PIECE = 256 * 1024
"""Characters of base64 that are decoded at once, in a millisecond or so."""
MOST_ESCAPED = 1024 * 1024
"""Characters of percent-encoding (RFC 3986, 2.1): each escape is an object of its own while it is decoded."""
HEAD = 1_024
"""Characters in which the comma of a data: URL must come."""


def from_base64(text: str, most: int, begin: int = 0) -> bytes:
    """The bytes in ``text`` from ``begin`` on, ``most`` of them. White space counts for nothing. Raises AudioError."""
    if len(text) - begin > most * 4 // 3 + 4:
        raise AudioError(f"larger than {size(most)}")
    pieces: list[bytes] = []
    rest, ended = "", False
    try:
        for at in range(begin, len(text), PIECE):
            chars = rest + "".join(text[at : at + PIECE].split())
            whole = len(chars) // 4 * 4
            chars, rest = chars[:whole], chars[whole:]
            if ended and (chars or rest):
                raise binascii.Error("something comes after the padding")
            pieces.append(base64.b64decode(chars, validate=True))
            ended = chars.endswith("=")
        pieces.append(base64.b64decode(rest, validate=True))
    except (binascii.Error, ValueError):
        raise AudioError("neither an http(s) URL, nor a data: URL, nor base64") from None
    data = b"".join(pieces)
    if not data:
        raise AudioError("there is no audio: the text is empty")
    return data


def from_data_url(source: str, most: int) -> bytes:
    """The bytes of a data: URL (RFC 2397), ``most`` of them. Raises AudioError."""
    comma = source.find(",", 0, HEAD)
    if comma < 0:
        raise AudioError("the data: URL has no comma before its data")
    is_base64 = source[:comma].lower().endswith(";base64")
    if is_base64 and "%" not in source:
        return from_base64(source, most, comma + 1)
    if len(source) > MOST_ESCAPED:
        raise AudioError(f"percent-encoded and longer than {size(MOST_ESCAPED)}; send base64, without % in it")
    if is_base64:
        return from_base64(unquote(source[comma + 1 :]), most)
    data = unquote_to_bytes(source[comma + 1 :])
    if not data:
        raise AudioError("there is no audio: the data: URL is empty")
    return data


def size(count: int) -> str:
    """A number of bytes, as messages have it."""
    return f"{count / 1_048_576:.3g} MiB"
