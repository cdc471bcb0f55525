"""Who has the floor: when the caller's voice counts, and when it takes the word from the assistant.

The rules for interruptions, one place for all of them: the session asks, and does what it is told.
"""

from __future__ import annotations

from voxrtc.audio import HEARD_RATE
from voxrtc.commands import Interruptions
from voxrtc.dialogue.turns import Turn


class Floor:
    """``mode``: as ``dialogue.interruptions``. ``barge_in_ms``: voice over a reply that interrupts it."""

    def __init__(self, mode: Interruptions, barge_in_ms: int) -> None:
        self.mode: Interruptions = mode
        self.pressed = False
        """Push-to-talk: whether the button is held."""
        self._barge_in = barge_in_ms * HEARD_RATE // 1000

    def listens(self, replying: bool) -> bool:
        """Whether the caller's voice counts now; ``replying``: a reply is being thought of or spoken."""
        if self.mode == "push-to-talk":
            return self.pressed
        return self.mode == "on" or (self.mode == "off" and not replying)

    def interrupts(self, turn: Turn) -> bool:
        """Whether ``turn``, begun over a reply, has enough voice in it to stop that."""
        return self.mode in ("on", "push-to-talk") and not turn.paused and turn.end - turn.start >= self._barge_in
