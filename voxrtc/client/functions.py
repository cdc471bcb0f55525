"""Python functions that the server's model may call in this process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from voxrtc.dialogue.functions import MOST, Function, describe
from voxrtc.errors import frames

logger = logging.getLogger(__name__)


class Functions:
    """Runs what the server calls, each in a task of its own, and tells the result by ``send``."""

    def __init__(
        self, functions: Sequence[Callable[..., Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Raises ValueError for a function that no model can be told of (its docstring, its types)."""
        self._send = send
        self._functions = {one.tool.name: one for one in map(describe, functions)}
        if len(functions) > MOST or len(self._functions) < len(functions):
            raise ValueError(f"there may be {MOST} functions, each with a name of its own")
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def tools(self) -> list[dict[str, Any]]:
        """As the command ``config`` names them."""
        tools = [one.tool for one in self._functions.values()]
        return [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]

    def take(self, event: dict[str, Any]) -> None:
        """Follow one event: begin a call, or give up one that nobody waits for any more."""
        if event.get("type") == "tool_called" and event.get("local") is False:
            function = self._functions.get(event["name"])
            if function is not None and event["id"] not in self._running and len(self._running) < MOST:
                task = asyncio.create_task(self._answer(function, event["id"], event["arguments"]))
                self._running[event["id"]] = task
                task.add_done_callback(lambda done: self._running.pop(event["id"], None))
        elif event.get("type") == "tool_ended" and event.get("id") in self._running:
            self._running[event["id"]].cancel()

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, function: Function, id: str, arguments: dict[str, Any]) -> None:
        told: dict[str, Any] = {"type": "tool_result", "id": id}
        try:
            result = await function.run(arguments)
            told["result"] = json.loads(json.dumps(result, default=str, allow_nan=False))
        except ValueError as error:
            told["error"] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a function does, the call goes on
            logger.warning("the function %s failed: %s", function.tool.name, frames(error))
            told["error"] = f"the function failed ({type(error).__name__})"
        await self._send(told)
