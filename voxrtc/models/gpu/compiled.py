"""torch.compile, where it works."""

from __future__ import annotations

import itertools
import logging
import types
from collections.abc import Callable
from typing import Any

import torch

logger = logging.getLogger(__name__)


class Compiled:
    """Functions that torch.compile makes faster where it can; where it cannot they are called as they are."""

    def __init__(self, wanted: bool) -> None:
        self.on = wanted

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.on:
            return function
        # Not dynamic=True, which makes variables of heads and widths, too. So only the number of rows becomes one, when
        # a second number comes; the first one, and one row, have code of their own.
        compiled = torch.compile(_own(function))

        def call(*args: Any) -> Any:
            if not self.on:
                return function(*args)
            try:
                return compiled(*args)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a compiler fails with, there is another way
                self.on = False
                logger.warning("torch.compile does not work here (%s); going on without it", _first_line(error))
                return function(*args)

        return call


def _own(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` under a name that nobody else has: torch remembers by the place of the code which sizes have varied,
    and two models that use the same layers would make variables of each other's widths."""
    if not isinstance(function, types.FunctionType):
        return function
    name = f"{function.__name__}_{next(_numbers)}"
    code = function.__code__.replace(co_name=name)
    made = types.FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


_numbers = itertools.count()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
