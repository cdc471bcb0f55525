"""torch.compile, where it works."""

from __future__ import annotations

import logging
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
        compiled = torch.compile(function)

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


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
