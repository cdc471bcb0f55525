"""Python functions that the model may call: named in the configuration, described by their signature and docstring."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from voxrtc.dialogue.schemas import closed
from voxrtc.errors import ConfigError
from voxrtc.models.wire import Tool

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MOST = 16
"""Functions that one conversation may have."""
THREADS = 16
"""Calls of functions that are not ``async`` at once, in one process; one that never returns holds its thread."""

_FIELD = "argument_"
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Function:
    """One function. ``run`` takes its arguments as JSON has them, and raises ValueError where they do not fit."""

    tool: Tool
    run: Callable[[dict[str, Any]], Awaitable[Any]]


def load(names: Sequence[str]) -> list[Function]:
    """The functions that ``dialogue.tools`` names, each ``module:function``. Also modules of the working folder are
    found. Raises ConfigError for every one that cannot be used, one a line."""
    if len(names) > MOST:
        raise ConfigError(f"dialogue.tools: there may be {MOST} functions, not {len(names)}")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: nothing that is installed may be hidden by it
    functions, faults = [], []
    for name in names:
        try:
            functions.append(describe(_imported(name)))
        except ValueError as error:
            faults.append(f"dialogue.tools: {name}: {error}")
    known = [function.tool.name for function in functions]
    faults += [f"dialogue.tools: two functions are called {name}" for name in set(known) if known.count(name) > 1]
    if faults:
        raise ConfigError("\n".join(faults))
    return functions


def _imported(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError("write it as module:function")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:  # whatever the module's own code raises
        raise ValueError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError(f"{module} has no function {attribute}")
    return found  # type: ignore[no-any-return]  # callable() tells mypy nothing of what it returns


def describe(function: Callable[..., Any]) -> Function:
    """``function`` as a tool: what its docstring says, and the JSON schema of its parameters' types.

    Raises ValueError where it has no docstring, a parameter without a type, or one that JSON cannot give.
    """
    name = str(getattr(function, "__name__", ""))
    if not NAME.fullmatch(name):
        raise ValueError(f"a function's name is up to 64 letters, digits and underscores, not {name!r}")
    description = inspect.getdoc(function)
    if not description:
        raise ValueError("it needs a docstring, which tells the model what it is for")
    model = _arguments(function, name)
    tool = Tool(name, description, closed(_without_titles(model.model_json_schema())))

    async def run(arguments: dict[str, Any]) -> Any:
        try:
            given = model.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        values = {_parameter(field): getattr(given, field) for field in given.model_fields_set}
        if inspect.iscoroutinefunction(function):
            return await function(**values)
        return await asyncio.get_running_loop().run_in_executor(_threads, lambda: function(**values))

    return Function(tool, run)


def _arguments(function: Callable[..., Any], name: str) -> type[BaseModel]:
    """A model of the parameters of ``function``: a field _FIELD + name for each, so that none hides an attribute of
    pydantic's own (``schema``, ``copy``), with the name itself as its alias."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:  # an annotation in quotes is code
        raise ValueError(f"its types cannot be had: {type(error).__name__}: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(f"its parameter {parameter.name} cannot be given by name")
        if parameter.name.startswith("_"):
            raise ValueError(f"its parameter {parameter.name} begins with an underscore; give it another name")
        if parameter.name not in hints:
            raise ValueError(f"its parameter {parameter.name} needs a type")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[_FIELD + parameter.name] = (hints[parameter.name], default)
    config = ConfigDict(extra="forbid", alias_generator=_parameter)
    try:
        model: type[BaseModel] = create_model(name, __config__=config, **fields)
        model.model_json_schema()
    except Exception as error:  # pydantic's own, and whatever the types' own code raises
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"its parameters have no JSON schema: {why}") from error
    return model


def _parameter(field: str) -> str:
    """The parameter behind a field of the model."""
    return field.removeprefix(_FIELD)


def _without_titles(schema: Any) -> Any:
    """Pydantic titles everything; that is only more for the model to read."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }


class _Threads(Executor):
    """A daemon thread for each call: one that never returns must not hold up the end of the process."""

    def __init__(self, most: int) -> None:
        self._free = threading.Semaphore(most)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        if not self._free.acquire(blocking=False):
            raise RuntimeError("too many functions are running that do not return")

        def work() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    future.set_result(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - carried to whoever awaits it
                future.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=work, name="tool", daemon=True).start()
        return future


_threads = _Threads(THREADS)
