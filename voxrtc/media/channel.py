"""The data channel of a caller: messages both ways, bounded in size and number."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc import RTCDataChannel

from voxrtc.errors import frames
from voxrtc.lines import Message

logger = logging.getLogger(__name__)

UNSENT = 256
"""Messages kept until the data channel opens; after that the oldest are dropped and counted."""

MAX_BUFFERED = 1_048_576
"""Bytes that may wait on the data channel for a caller that does not read; what comes on top is dropped and counted."""


class Channel:
    """``on_message`` gets every message that comes; ``on_bad_message`` a sentence about one that is too long."""

    def __init__(self, label: str, max_message: int, fail: Callable[[str], None], closed: Callable[[], None]) -> None:
        """``label``: of the channel, which the caller makes. ``max_message``: bytes of one message from the caller.
        ``fail`` is told why the call cannot go on; ``closed`` when the caller has closed the channel."""
        self.on_message: Callable[[Message], None] = _ignore
        self.on_bad_message: Callable[[str], None] = _ignore
        self.unsent = 0
        """Messages dropped because the caller did not take them."""
        self._label = label
        self._max_message = max_message
        self._fail = fail
        self._closed = closed
        self._channel: RTCDataChannel | None = None
        self._kept: deque[str] = deque(maxlen=UNSENT)
        self._over = False

    def take(self, channel: RTCDataChannel) -> None:
        """The caller has opened ``channel``: it is this one, if it is called so and is the first."""
        if channel.label != self._label or self._channel is not None or self._over:
            return
        self._channel = channel
        channel.on("message", self._received)
        channel.on("close", self._closed)
        while self._kept:
            self._send(self._kept.popleft())

    def send(self, message: str) -> None:
        """One message to the caller, in order; kept until the channel opens, dropped once it is over."""
        if self._over:
            return
        if self._channel is None:
            self.unsent += len(self._kept) == UNSENT
            self._kept.append(message)
        else:
            self._send(message)

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

    def _received(self, data: Message) -> None:
        if self._over:
            return
        size = len(data) if isinstance(data, bytes) else len(data.encode())
        if size > self._max_message:
            self._tell(self.on_bad_message, f"The message has {size} bytes; at most {self._max_message} are read.")
        else:
            self._tell(self.on_message, data)

    def _tell(self, handler: Callable[[Any], None], what: object) -> None:
        try:
            handler(what)
        except Exception as error:  # noqa: BLE001 - raised on, it would end aiortc's receiving task, and nobody knew why
            logger.error("a message handler failed: %s", frames(error))  # noqa: TRY400 - its message may hold words
            self._fail(f"A message could not be handled ({type(error).__name__}).")


def _ignore(_: object) -> None:
    pass
