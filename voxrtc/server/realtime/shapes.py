"""Server events and their names, as JSON text (OpenAI's API reference, "Realtime server events")."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

Json = dict[str, Any]


def new_id(kind: str) -> str:
    """A name as ``item_4f1c...``, of which there is no second one."""
    return f"{kind}_{secrets.token_hex(8)}"


def event(kind: str, **fields: Any) -> str:
    """One server event."""
    whole = {"type": kind, "event_id": new_id("event")} | fields
    return msgspec.json.encode(whole).decode()


def no_usage() -> Json:
    """Tokens are not counted: all zeros, in the shape that clients add up."""
    return {
        "total_tokens": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
    }
