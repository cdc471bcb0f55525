"""The conversation as a chat model reads it."""

from __future__ import annotations

from collections.abc import Sequence

from voxrtc.models.llm.calling import explain
from voxrtc.models.wire import Tool, Utterance

CUT = "—"
INTERRUPTED = "(cutting in) "
"""Before the caller's words that ended a reply early: with the dash where the reply stopped it reads as a play does."""


def messages(
    system: str, history: Sequence[Utterance], text: str, tools: Sequence[Tool] = (), steps: Sequence[Utterance] = ()
) -> list[dict[str, str]]:
    """Chat messages: the system prompt, what was said, ``text``, which is the caller's turn now, and what was done
    about it already (``steps``)."""
    chat = [{"role": "system", "content": system + explain(tools) if tools else system}]
    cut = False
    for line in [*history, Utterance("user", text), *steps]:
        chat.append(_message(line, cut))
        cut = line.role == "assistant" and line.interrupted
    return chat


def _message(line: Utterance, cut: bool) -> dict[str, str]:
    """``cut``: it follows a line that was cut short."""
    match line.role:
        case "user":
            return {"role": "user", "content": INTERRUPTED + line.text if cut else line.text}
        case "assistant":
            return {"role": "assistant", "content": line.text.rstrip() + CUT if line.interrupted else line.text}
        case "call":
            return {"role": "assistant", "content": line.text}
        case "result":  # as Qwen's template has it; a role "tool" is not in every model's
            return {"role": "user", "content": f"<tool_response>\n{line.text}\n</tool_response>"}
