"""What a caller who is taken up again is told once more: the last turn, and the reply to it.

What was sent as its line died did not arrive, and a page that was loaded anew has nothing. Turn and reply have their
numbers, so whoever knows them already just overwrites them.
"""

from __future__ import annotations

from voxrtc.events import CallStarted, Event, ReplyEnded, ReplyResumed, ReplyStarted, ReplyText, Transcript


class Recap:
    """Follows the events of one call. Holds one turn, no longer than that is."""

    def __init__(self) -> None:
        self._turn: Transcript | None = None
        self._reply: list[ReplyStarted | ReplyText | ReplyEnded] = []

    def add(self, event: Event) -> list[Event]:
        """Take note of ``event``; returns what is to be told after it, as it was told before."""
        match event:
            case CallStarted(resumed=True):
                return [*([self._turn] if self._turn is not None else []), *self._reply]
            case Transcript(final=True):
                self._turn, self._reply = event, []
            case ReplyStarted():
                if self._turn is not None and self._turn.turn != event.turn:
                    self._turn = None  # the assistant speaks without having been asked
                self._reply = [event]
            case ReplyText() | ReplyEnded():
                if self._reply and self._reply[0].reply == event.reply:
                    self._reply.append(event)
            case ReplyResumed():
                self._reply = [told for told in self._reply if not isinstance(told, ReplyEnded)]
        return []
