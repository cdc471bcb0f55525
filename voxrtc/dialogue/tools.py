"""The functions of one conversation, the server's own and the caller's: what there is, and the calling of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from voxrtc.dialogue.announce import Announcer
from voxrtc.dialogue.functions import MOST, NAME, Function
from voxrtc.dialogue.schemas import closed, mismatch
from voxrtc.errors import frames
from voxrtc.events import ToolCalled, ToolEnded
from voxrtc.models.wire import Tool, ToolCall, Utterance
from voxrtc.settings import Settings

log = logging.getLogger(__name__)

MAX_SCHEMA = 16 * 1024
"""Characters of JSON that describe all functions of a conversation; fewer where the model's context is small."""
CHARS_PER_TOKEN = 2
"""Of JSON, at least, so that descriptions fill no more than about half of the context."""
MAX_RESULT = 2_000
"""Characters of a result that the model is shown."""


class Toolbox:
    """``functions``: the server's own. What the caller offers comes with ``offer``."""

    def __init__(self, functions: Sequence[Function], settings: Settings, announcer: Announcer) -> None:
        self._own = {function.tool.name: function for function in functions}
        self._offered: dict[str, Tool] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._timeout_s = settings.dialogue.tool_timeout_s
        self._room = min(MAX_SCHEMA, settings.models.context_tokens * CHARS_PER_TOKEN)
        self._say = announcer.say

    @property
    def tools(self) -> list[Tool]:
        return [*(function.tool for function in self._own.values()), *self._offered.values()]

    def offer(self, specs: Sequence[dict[str, Any]]) -> None:
        """Take ``specs`` for the caller's functions, instead of those before. Raises ValueError, and then changes
        nothing, where one of them cannot be used."""
        if len(self._own) + len(specs) > MOST:
            raise ValueError(f"there may be {MOST} functions, of which the server has {len(self._own)} itself")
        offered: dict[str, Tool] = {}
        for spec in specs:
            tool = described(spec)
            if tool.name in self._own or tool.name in offered:
                raise ValueError(f"there is a function {tool.name} already")
            offered[tool.name] = tool
        size = sum(
            len(json.dumps([t.name, t.description, t.parameters])) for t in [*self._own_tools, *offered.values()]
        )
        if size > self._room:
            raise ValueError(f"the functions take {size} characters of JSON to describe; {self._room} are the most")
        self._offered = offered

    @property
    def _own_tools(self) -> list[Tool]:
        return [function.tool for function in self._own.values()]

    def answer(self, call: str, result: Any, error: str | None) -> bool:
        """What the caller's function gave for ``call``; False where nobody waits for that."""
        waiting = self._waiting.get(call)
        if waiting is None or waiting.done():
            return False
        if error is None:
            waiting.set_result(result)
        else:
            waiting.set_exception(ValueError(error))
        return True

    async def use(self, call: ToolCall) -> list[Utterance]:
        """Call a function; returns the call and its result, or what went wrong, as the model is to be shown them."""
        loop = asyncio.get_running_loop()
        began, ended = loop.time(), "cancelled"
        arguments = _arguments(call)
        local = call.name not in self._offered
        shown = arguments if isinstance(arguments, dict) else {}
        self._say(ToolCalled, id=call.id, name=call.name, arguments=shown, local=local)
        timeout = asyncio.timeout(self._timeout_s)
        try:
            async with timeout:
                result = _shown(await self._run(call, arguments))
            ended = "finished"
        except Exception as error:  # noqa: BLE001 - whatever a function does, the call goes on
            ended = "timed out" if timeout.expired() else "failed"
            result = _shown({"error": self._reason(call.name, error, timeout.expired())})
        finally:
            self._waiting.pop(call.id, None)
            took_ms = round((loop.time() - began) * 1000, 1)
            self._say(ToolEnded, id=call.id, name=call.name, ended=ended, took_ms=took_ms)
        asked = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
        return [Utterance("call", asked), Utterance("result", result)]

    async def _run(self, call: ToolCall, arguments: Any) -> Any:
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        if tool is None:
            raise ValueError(f"there is no function {call.name}")
        if (wrong := mismatch(arguments, tool.parameters)) is not None:
            raise ValueError(wrong)
        if call.name in self._own:
            return await self._own[call.name].run(arguments)
        self._waiting[call.id] = asyncio.get_running_loop().create_future()
        return await self._waiting[call.id]

    def _reason(self, name: str, error: Exception, expired: bool) -> str:
        """What went wrong, for the model."""
        if expired:
            return f"no result within {self._timeout_s:g} seconds"
        if isinstance(error, ValueError):
            return str(error)
        log.warning("the function %s failed: %s", name, frames(error))
        return f"the function failed ({type(error).__name__})"


def described(spec: dict[str, Any]) -> Tool:
    """The function that a caller describes. Raises ValueError where that is none."""
    name, description = spec.get("name"), spec.get("description", "")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("each function needs a name of up to 64 letters, digits and underscores")
    if unknown := sorted(map(str, spec.keys() - {"name", "description", "parameters"})):
        raise ValueError(f"{name} has {', '.join(unknown)}; a function has name, description and parameters")
    if not isinstance(description, str):
        raise ValueError(f"{name}: the description must be text")
    try:
        parameters = closed(spec.get("parameters", {"type": "object"}))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if parameters.get("type") != "object":
        raise ValueError(f"{name}: parameters must be a schema of the type object")
    return Tool(name, description, parameters)


def _arguments(call: ToolCall) -> Any:
    """The call's arguments; as text where they are no JSON, which will then not fit."""
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments


def _shown(result: Any) -> str:
    text = json.dumps(result, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_RESULT else text[:MAX_RESULT] + "…"
