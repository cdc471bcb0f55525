"""Python functions as the model sees them."""

from __future__ import annotations

import asyncio
import enum
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from voxrtc.dialogue.functions import THREADS, describe, load
from voxrtc.errors import ConfigError


def weather(city: str, days: Annotated[int, Field(ge=1, le=7, description="how far ahead")] = 1) -> dict[str, Any]:
    """The weather in a city.

    From tomorrow on.
    """
    return {"city": city, "days": days, "thread": threading.current_thread().name}


async def clock(zone: Literal["utc", "local"] | None = None) -> str:
    """The time of day."""
    await asyncio.sleep(0)
    return f"noon {zone}"


def test_a_function_is_described_by_its_docstring_and_types() -> None:
    tool = describe(weather).tool
    assert (tool.name, tool.description) == ("weather", "The weather in a city.\n\nFrom tomorrow on.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "default": 1, "minimum": 1, "maximum": 7, "description": "how far ahead"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


async def test_plain_functions_run_in_threads_of_their_own_and_async_ones_in_the_loop() -> None:
    assert await describe(weather).run({"city": "Rome"}) == {"city": "Rome", "days": 1, "thread": "tool"}
    assert await describe(clock).run({"zone": "utc"}) == "noon utc"
    assert await describe(clock).run({}) == "noon None"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "city: Field required"), ({"city": "Rome", "days": 9}, "days: "), ({"city": "Rome", "x": 1}, "x: Extra")],
)
async def test_arguments_that_do_not_fit_are_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await describe(weather).run(arguments)


@pytest.mark.filterwarnings("error")
async def test_parameters_may_be_called_as_pydantic_calls_its_own() -> None:
    def keep(schema: str, copy: int = 1, model_config: str = "", argument_x: int = 0) -> list[Any]:
        """Keep it."""
        return [schema, copy, model_config, argument_x]

    function = describe(keep)
    assert list(function.tool.parameters["properties"]) == ["schema", "copy", "model_config", "argument_x"]
    assert await function.run({"schema": "a", "copy": 2, "argument_x": 3}) == ["a", 2, "", 3]
    with pytest.raises(ValueError, match="schema: Field required"):
        await function.run({})


async def test_functions_that_never_return_do_not_pile_up() -> None:
    go = threading.Event()

    def stuck() -> None:
        """Wait."""
        go.wait()

    tasks = [asyncio.create_task(describe(stuck).run({})) for _ in range(THREADS)]
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="do not return"):
        await describe(stuck).run({})
    go.set()
    await asyncio.gather(*tasks)


class Nested(BaseModel):
    x: int


class Colour(enum.Enum):
    RED = "red"


def no_docstring(x: int) -> None: ...


def no_type(x) -> None:  # type: ignore[no-untyped-def]
    """Something."""


def many(*xs: int) -> None:
    """Something."""


def nested(x: Nested) -> None:
    """Something."""


def coloured(x: Colour) -> None:
    """Something."""


def opaque(x: threading.Event) -> None:
    """Something."""


def unknown_type(x: Nope) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Something."""


def hidden(_x: int = 1) -> None:
    """Something."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (no_docstring, "docstring"),
        (no_type, "x needs a type"),
        (many, "xs cannot be given by name"),
        (nested, r"uses \$defs"),
        (coloured, r"uses \$defs"),
        (opaque, "no JSON schema"),
        (unknown_type, "types cannot be had: NameError: name 'Nope'"),
        (hidden, "_x begins with an underscore"),
        (lambda x: x, "a function's name"),
    ],
)
def test_what_cannot_be_described_is_told_in_a_sentence(function: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        describe(function)


def test_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tools_of_mine.py").write_text('def now() -> str:\n    """The time."""\n    return "noon"\n')
    (tmp_path / "broken_tools.py").write_text("1 / 0\n")
    (tmp_path / "leaving_tools.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    (function,) = load(["tools_of_mine:now"])
    assert function.tool.name == "now"
    assert load([]) == []
    for name, said in (
        ("tools_of_mine", "module:function"),
        ("tools_of_mine:then", "has no function then"),
        ("no_such_tools:now", "cannot be imported: ModuleNotFoundError"),
        ("broken_tools:now", "cannot be imported: ZeroDivisionError"),
        ("leaving_tools:now", "cannot be imported: SystemExit: 3"),
    ):
        with pytest.raises(ConfigError, match=f"dialogue.tools: {name}: .*{said}"):
            load([name])
    with pytest.raises(ConfigError, match="two functions are called now"):
        load(["tools_of_mine:now"] * 2)
    with pytest.raises(ConfigError, match="there may be 16"):
        load(["tools_of_mine:now"] * 17)
