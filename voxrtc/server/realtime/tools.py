"""The client's functions: what it offers, the calls that wait for it, and results that wait for its response.create."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from voxrtc.commands import ToolResult
from voxrtc.dialogue.functions import MOST
from voxrtc.dialogue.tools import described
from voxrtc.events import ToolCalled, ToolEnded
from voxrtc.server.realtime.errors import Refused
from voxrtc.server.realtime.shapes import Json

TOOLS = "session.tools"


def specs(tools: Sequence[Json], own: int) -> list[Json]:
    """``tools`` of a session as the command Configure takes them. ``own``: functions that the server has itself.
    Raises Refused."""
    if len(tools) + own > MOST:
        raise Refused(f"There may be {MOST - own} functions.", "array_above_max_length", TOOLS)
    found = [_spec(tool, f"{TOOLS}[{number}]") for number, tool in enumerate(tools)]
    names = [spec["name"] for spec in found]
    if len({*names}) < len(names):
        raise Refused("Two functions have the same name.", param=TOOLS)
    return found


def _spec(tool: Json, where: str) -> Json:
    if tool.get("type", "function") != "function":
        raise Refused("Tools are functions here, and nothing else.", param=f"{where}.type")
    spec = {key: value for key, value in tool.items() if key not in ("type", "strict") and value is not None}
    if isinstance(parameters := spec.get("parameters"), dict):
        spec["parameters"] = {key: value for key, value in parameters.items() if key != "$schema"}
    try:
        described(spec)
    except ValueError as error:
        raise Refused(f"{error}.", "invalid_function_parameters", where) from None
    return spec


def checked_choice(choice: Any) -> str:
    """The tool_choice auto or none. Raises Refused for what the models cannot be made to do."""
    if choice not in ("auto", "none"):
        raise Refused("tool_choice is auto or none: no call can be forced.", param="session.tool_choice")
    return str(choice)


class ToolCalls:
    """Calls of the client's functions in one call."""

    def __init__(self) -> None:
        self._waiting: dict[str, str | None] = {}
        """By call id: the result that came, None before it has."""

    @property
    def waiting(self) -> bool:
        """Whether a function of the client's is being called."""
        return bool(self._waiting)

    def called(self, call: ToolCalled) -> None:
        self._waiting[call.id] = None

    def ended(self, call: ToolEnded) -> None:
        """Whatever came of it, nobody waits any more."""
        self._waiting.pop(call.id, None)

    def keep(self, call_id: str, output: str) -> None:
        """A result came. Raises Refused where nobody waits for it."""
        if call_id not in self._waiting:
            why = "No function call of that call_id waits: it was never made, took too long, or was interrupted."
            raise Refused(why, "invalid_function_call_output", "item.call_id")
        if self._waiting[call_id] is not None:
            raise Refused("That function call has its result already.", "invalid_function_call_output", "item.call_id")
        self._waiting[call_id] = output

    def give_up(self) -> None:
        """The client goes on without the results."""
        self._waiting.clear()

    def release(self) -> list[ToolResult]:
        """The results that came, for the model."""
        return [ToolResult(call, _value(output)) for call, output in self._waiting.items() if output is not None]


def _value(output: str) -> Any:
    """``output`` is text, and mostly JSON: then the model is not to read it quoted twice."""
    try:
        return json.loads(output)
    except ValueError:
        return output
