"""The reply that was heard to its end, so far as is known: its last packets may have left for a broken line."""

from __future__ import annotations

import asyncio

from voxrtc.dialogue.reply import Reply

SETTLED_S = 2.0
"""A reply is kept so much longer than it takes to notice a lost line; after that it really was heard."""


class LastReply:
    """Keeps the samples of one reply for a while. ``lost_after_s``: how long it may take to notice a lost line."""

    def __init__(self, lost_after_s: float) -> None:
        self._kept_s = lost_after_s + SETTLED_S
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, reply: Reply) -> None:
        """``reply`` has ended, as its last packet left."""
        self.forget()
        self._reply = reply
        self._timer = asyncio.get_running_loop().call_later(self._kept_s, self.forget)

    def wait(self) -> None:
        """Nobody listens now: keep it until somebody does."""
        self._stop()

    def missed(self) -> Reply | None:
        """The reply, where it turned out that some of it did not arrive."""
        return self._reply if self._reply is not None and not self._reply.all_heard else None

    def forget(self) -> None:
        """Another reply follows, or there is nothing to come back to."""
        self._reply = None
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
