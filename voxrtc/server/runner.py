"""aiohttp's server, but for what it does with bytes that are no request: it writes them to the log, and back to whoever
sent them. A caller's bytes are its own; here only the class of the error is told, and the answer is one of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from voxrtc.errors import frames

logger = logging.getLogger(__name__)

Refuse = Callable[[int], web.Response]
"""The answer with a status to what could not be read."""


class Runner(web.AppRunner):
    """An AppRunner whose connections are Connections. ``options``: those of aiohttp's RequestHandler."""

    def __init__(self, app: web.Application, refuse: Refuse, *, shutdown_timeout: float, **options: Any) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, **options)
        self._refuse = refuse
        self._options = options

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._refuse, self._options)


class _Server(web.Server):
    def __init__(self, like: web.Server, refuse: Refuse, options: dict[str, Any]) -> None:
        super().__init__(like.request_handler, request_factory=like.request_factory, **options)
        self._refuse = refuse
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._refuse, self._options)


class Connection(web.RequestHandler):
    """One connection of a caller."""

    __slots__ = ("_refuse",)

    def __init__(self, server: web.Server, refuse: Refuse, options: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._refuse = refuse

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered where no handler could: to bytes that are no request, mostly. ``message`` quotes them."""
        if isinstance(exc, HttpProcessingError):
            logger.debug("what came was no request (%s)", type(exc).__name__)
        elif exc is not None:
            logger.error("an answer failed with %s", frames(exc))
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, and no other can be given")
        response = self._refuse(status)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What went wrong outside a handler. Its message may hold what a caller sent."""
        error = kw.get("exc_info")
        logger.error("a connection failed with %s", frames(error) if isinstance(error, BaseException) else "no reason")
