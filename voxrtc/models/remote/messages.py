"""The conversation as OpenAI's chat completions have it, in the form that the strictest servers take.

- The sides take turns: lines of the caller's that follow each other are one message, and the caller's comes first.
- The newest turn is sound (``input_audio``, a WAV), earlier ones are their transcripts. That is simple and works
  everywhere: vLLM takes five sounds in a prompt, others one, and a sound of 30 s costs as much as 300 words.
- Where there is sound the persona is text in the caller's first message, since Voxtral's tokenizer (version 7) refuses
  a system message beside it; else it is the system message.
- Calls have ids of nine letters and digits, as Mistral's tokenizers demand.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Sequence
from typing import Any

from voxrtc.audio import HEARD_RATE, Samples, to_pcm16
from voxrtc.models.llm.prompt import CUT, INTERRUPTED
from voxrtc.models.wire import Answer, Tool, Utterance

CALL_BEGINS = "(The call begins.)"
"""The caller's first message, where it is the assistant who spoke first."""

Json = dict[str, Any]


def wav(samples: Samples) -> bytes:
    """``samples`` (n,) at 16 kHz as a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(HEARD_RATE)
        out.writeframes(to_pcm16(samples))
    return file.getvalue()


def conversation(
    system: str, history: Sequence[Utterance], turn: str | bytes, steps: Sequence[Utterance] = ()
) -> list[Json]:
    """Chat messages. ``turn``: the caller's turn now, its words or a WAV file of it; ``steps``: what was done about it
    already."""
    heard = isinstance(turn, bytes)
    chat = _Chat()
    cut = False
    for line in history:
        chat.add(line, cut)
        cut = line.role == "assistant" and line.interrupted
    if isinstance(turn, bytes):
        chat.sound(turn)
    else:
        chat.add(Utterance("user", turn), cut)
    for step in steps:
        chat.add(step, False)
    return chat.with_persona(system, as_text=heard)


def functions(tools: Sequence[Tool]) -> list[Json]:
    """``tools`` as a request has them."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in tools
    ]


def request(ask: Answer, turn: str | bytes) -> Json:
    """The chat completion that ``ask`` is. Without functions nothing is said of functions: some servers refuse that."""
    asked: Json = {
        "messages": conversation(ask.system, ask.history, turn, ask.steps),
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
    }
    if ask.seed is not None:
        asked["seed"] = ask.seed
    if ask.tools:
        asked["tools"] = functions(ask.tools)
        asked["tool_choice"] = "auto" if ask.may_call else "none"
    return asked


class _Chat:
    """Messages as they are added, one line of the conversation after another."""

    def __init__(self) -> None:
        self._messages: list[Json] = []
        self._calls = 0

    def add(self, line: Utterance, cut: bool) -> None:
        """``cut``: it follows a line that was cut short."""
        match line.role:
            case "user":
                self._user([_text(INTERRUPTED + line.text if cut else line.text)])
            case "assistant":
                self._assistant(line.text.rstrip() + CUT if line.interrupted else line.text)
            case "call":
                self._call(line.text)
            case "result":
                result = {"role": "tool", "tool_call_id": _id(self._calls), "content": line.text}
                self._messages.append(result)

    def sound(self, file: bytes) -> None:
        data = base64.b64encode(file).decode()
        self._user([{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}])

    def with_persona(self, system: str, as_text: bool) -> list[Json]:
        """The messages, ``system`` first. Content without sound is plain text, which every server takes."""
        if self._messages[0]["role"] != "user":
            opening = [] if as_text and system else [_text(CALL_BEGINS)]
            self._messages.insert(0, {"role": "user", "content": opening})
        if as_text and system:
            content = self._messages[0]["content"]
            after = 1 if content and content[0]["type"] == "input_audio" else 0
            content.insert(after, _text(system))
        for message in self._messages:
            if isinstance(message["content"], list) and all(part["type"] == "text" for part in message["content"]):
                message["content"] = "\n\n".join(part["text"] for part in message["content"])
        persona = [{"role": "system", "content": system}] if system and not as_text else []
        return [*persona, *self._messages]

    @property
    def _last(self) -> str:
        return self._messages[-1]["role"] if self._messages else ""

    def _user(self, parts: list[Json]) -> None:
        if self._last == "tool":
            self._assistant(CUT)  # the caller went on before anything was heard of what the result led to
        if self._last == "user":
            self._messages[-1]["content"] += parts
        else:
            self._messages.append({"role": "user", "content": parts})

    def _assistant(self, text: str) -> None:
        if self._last == "assistant":
            self._messages[-1]["content"] += f" {text}"
        else:
            self._messages.append({"role": "assistant", "content": text})

    def _call(self, text: str) -> None:
        """A call, of which its name and arguments are JSON."""
        asked = json.loads(text)
        arguments = json.dumps(asked["arguments"], ensure_ascii=False)
        self._calls += 1
        call = {
            "id": _id(self._calls),
            "type": "function",
            "function": {"name": asked["name"], "arguments": arguments},
        }
        if self._last != "assistant":
            self._assistant("")
        self._messages[-1]["tool_calls"] = [call]


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _id(number: int) -> str:
    return f"call{number:05d}"
