"""The conversation as a chat model reads it."""

from __future__ import annotations

from collections.abc import Sequence

from voxrtc.models.wire import Utterance

CUT = "—"
INTERRUPTED = "(cutting in) "
"""Before the caller's words that ended a reply early: with the dash where the reply stopped it reads as a play does."""


def messages(system: str, history: Sequence[Utterance], text: str) -> list[dict[str, str]]:
    """Chat messages: the system prompt, what was said, and ``text``, which is the caller's turn now."""
    chat = [{"role": "system", "content": system}]
    cut = False
    for line in history:
        if line.role == "assistant":
            chat.append({"role": "assistant", "content": line.text.rstrip() + CUT if line.interrupted else line.text})
            cut = line.interrupted
        else:
            chat.append(_caller(line.text, cut))
            cut = False
    return [*chat, _caller(text, cut)]


def _caller(text: str, cut: bool) -> dict[str, str]:
    return {"role": "user", "content": INTERRUPTED + text if cut else text}
