"""What went wrong at the server, as sentences that say what to do. Never its own words: they may quote the caller's."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from voxrtc.errors import ModelsError
from voxrtc.settings import Remote

AGAIN = (429, 502, 503, 504)
"""HTTP status: worth another try."""
LISTED = 20
"""Models that a sentence names."""
TRANSCRIBE, ANSWER, LIST = "transcribe", "answer", "list its models"
"""What is asked of it."""
_TOO_LONG = re.compile(r"context.?(length|window|size)|maximum (model )?length|max_model_len|too many tokens", re.I)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


class Refused(ModelsError):
    """The server answered with an error. ``said``: its own words, to be shown only where no caller has spoken."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class Passing(ModelsError):
    """May be better in a moment, after ``after`` seconds where the server says so."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class _Error(msgspec.Struct):
    message: object = ""
    type: object = ""
    code: object = ""
    param: object = ""


class _Body(msgspec.Struct):
    error: _Error | str | None = None
    message: object = ""
    detail: object = ""


@dataclass(frozen=True, slots=True)
class Said:
    """An error as the server put it: its words, and the names that it gave it."""

    words: str
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: bytes) -> Said:
        """The error in the JSON of ``body``, in the forms that OpenAI, vLLM, FastAPI and llama.cpp give it."""
        try:
            found = msgspec.json.decode(body, type=_Body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return cls(body[:500].decode("utf-8", "replace").strip())
        if isinstance(found.error, _Error):
            one = found.error
            names = (one.type, one.code, one.param)
            return cls(str(one.message), tuple(n for n in names if isinstance(n, str) and _NAME.fullmatch(n)))
        return cls(str(found.error or found.message or found.detail or ""))


def complaint(remote: Remote, what: str, status: int, said: Said, listed: Sequence[str] = ()) -> str:
    """A sentence about ``status``, got where it was to ``what`` ("transcribe"); ``listed``: the models that it has."""
    server = f"the server of models at {remote.url}"
    if status in (401, 403):
        key = "refused remote.api_key" if remote.api_key else "wants a key: set remote.api_key"
        return f"{server} {key} ({status})"
    key = "hearing_model" if what == TRANSCRIBE and remote.hearing_model else "model"
    model = getattr(remote, key)
    if status == 404 and listed and model not in listed:
        return no_model(remote, model, key, listed)
    if status in (301, 302, 307, 308):
        return f"{server} sends us elsewhere ({status}): set remote.url to the address that it really has"
    if status in (404, 405):
        return f"{server} knows no way to {what} ({status}): remote.url should end as its /v1 does"
    if status == 413:
        return f"{server} takes no request that large ({status}): lower endpointing.max_turn_s or raise its limit"
    if status == 429:
        return f"{server} has too much to do, or the key's quota is used up ({status})"
    if status >= 500:
        return f"{server} failed to {what} ({status}{_named(said)}): its log says why"
    if "context_length_exceeded" in said.names or _TOO_LONG.search(said.words):
        return (
            f"the conversation is longer than the model at {remote.url} takes: lower dialogue.memory_turns or "
            "dialogue.max_reply_tokens, or give it more room (vLLM: --max-model-len)"
        )
    if "enable-auto-tool-choice" in said.words or "tool-call-parser" in said.words:
        return f"{server} calls no functions: start vLLM with --enable-auto-tool-choice and --tool-call-parser mistral"
    return f"{server} refused to {what} ({status}{_named(said)})"


def no_model(remote: Remote, model: str, key: str, listed: Sequence[str]) -> str:
    """There is no such model there."""
    names = ", ".join(listed[:LISTED]) or "none"
    return f"the server of models at {remote.url} has no model '{model}': set remote.{key} to one that it has ({names})"


def retry_after(header: str | None) -> float | None:
    """Seconds, of a Retry-After (RFC 9110, 10.2.3); None where it says nothing that can be read."""
    if not header:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", header.strip()):
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _named(said: Said) -> str:
    return f": {', '.join(said.names)}" if said.names else ""
