"""The data channel of a caller: JSON objects both ways, bounded in size and number."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiortc import RTCDataChannel

from voxrtc.errors import frames

logger = logging.getLogger(__name__)

LABEL = "voxrtc"
"""Of the data channel, which the caller makes."""

MAX_MESSAGE = 16_384
"""Bytes of one message from the caller."""

UNSENT = 256
"""Messages kept until the data channel opens; after that the oldest are dropped and counted."""

MAX_BUFFERED = 1_048_576
"""Bytes that may wait on the data channel for a caller that does not read; what comes on top is dropped and counted."""


class Channel:
    """``on_message`` gets every JSON object that comes; ``on_bad_message`` a sentence about anything else that does."""

    def __init__(self, fail: Callable[[str], None], closed: Callable[[], None]) -> None:
        """``fail`` is told why the call cannot go on; ``closed`` when the caller has closed the channel."""
        self.on_message: Callable[[dict[str, Any]], None] = _ignore
        self.on_bad_message: Callable[[str], None] = _ignore
        self.bad_messages = 0
        self.unsent = 0
        """Messages dropped because the caller did not take them."""
        self._fail = fail
        self._closed = closed
        self._channel: RTCDataChannel | None = None
        self._kept: deque[str] = deque(maxlen=UNSENT)
        self._over = False

    def take(self, channel: RTCDataChannel) -> None:
        """The caller has opened ``channel``: it is this one, if it is called so and is the first."""
        if channel.label != LABEL or self._channel is not None or self._over:
            return
        self._channel = channel
        channel.on("message", self._received)
        channel.on("close", self._closed)
        while self._kept:
            self._send(self._kept.popleft())

    def send(self, message: dict[str, Any]) -> None:
        """One JSON object to the caller, in order; kept until the channel opens, dropped once it is over."""
        if self._over:
            return
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        if self._channel is None:
            self.unsent += len(self._kept) == UNSENT
            self._kept.append(text)
        else:
            self._send(text)

    def stop(self) -> None:
        """Take nothing and send nothing any more."""
        self._over = True

    def close(self) -> bool:
        """Close it, after what waits in it was sent (W3C WebRTC, 6.2.4); False where it is not open."""
        if self._channel is None or self._channel.readyState != "open" or self._over:
            return False
        self._channel.close()
        return True

    def _send(self, text: str) -> None:
        assert self._channel is not None
        if self._channel.readyState != "open" or self._channel.bufferedAmount > MAX_BUFFERED:
            self.unsent += 1
            return
        self._channel.send(text)

    def _received(self, data: str | bytes) -> None:
        if self._over:
            return
        try:
            message = _object(data)
        except ValueError as error:
            self.bad_messages += 1
            self._tell(self.on_bad_message, str(error))
        else:
            self._tell(self.on_message, message)

    def _tell(self, handler: Callable[[Any], None], what: object) -> None:
        try:
            handler(what)
        except Exception as error:  # noqa: BLE001 - raised on, it would end aiortc's receiving task, and nobody knew why
            logger.error("a message handler failed: %s", frames(error))  # noqa: TRY400 - its message may hold words
            self._fail(f"A message could not be handled ({type(error).__name__}).")


def _object(data: str | bytes) -> dict[str, Any]:
    """The JSON object in a message. Raises ValueError with a sentence if it is none, or too long."""
    size = len(data) if isinstance(data, bytes) else len(data.encode())
    if size > MAX_MESSAGE:
        raise ValueError(f"The message has {size} bytes; at most {MAX_MESSAGE} are read.")
    if isinstance(data, bytes):
        raise ValueError("The message is binary; send JSON text.")
    try:
        message = msgspec.json.decode(data)  # unlike json.loads it refuses half a character, which no one can send on
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("The message is not JSON.") from None
    if not isinstance(message, dict):
        raise ValueError("The message is not a JSON object.")
    return message


def _ignore(_: object) -> None:
    pass
