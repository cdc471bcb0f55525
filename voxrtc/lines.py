"""A caller's line, whatever it goes over, and the dialect that is spoken on it: all that a call knows of its callers.

Lines are made under media/ (WebRTC, streams of bytes), dialects under server/ (and plain.py); a call puts the two
together as a leg, and takes another one when its caller comes back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from voxrtc.audio import AudioIn, AudioOut
from voxrtc.commands import AnyCommand
from voxrtc.events import Event

Message = str | bytes
"""One message of a caller's: text, or bytes where the line tells these apart."""

Gone = Literal["hangup", "lost", "error", "closed"]
"""Why a line is no more: the caller said goodbye, vanished, something broke (see ``detail``), or we closed it."""


class Line(Protocol):
    """One connection of a caller: sound and messages, both ways. It is over once ``closed`` returns."""

    on_message: Callable[[Message], None]
    """Told of each message, in order. Set before the loop runs on."""
    on_bad_message: Callable[[str], None]
    """Told, in a sentence, of one that was not taken (too long)."""
    on_change: Callable[[], None]
    """Told when the line is up, and when it is gone."""
    detail: str
    """A sentence about why it is gone, where there is more to say than the reason."""

    @property
    def ears(self) -> AudioIn:
        """The caller's sound."""

    @property
    def mouth(self) -> AudioOut:
        """Where the assistant's goes."""

    @property
    def up(self) -> bool:
        """Whether sound can flow."""

    @property
    def gone(self) -> bool:
        """Whether it is over."""

    def send(self, message: str) -> None:
        """One message to the caller, in order; kept until the line is up, dropped once it is over."""

    async def connected(self) -> None:
        """Return once sound can flow. Raises VoxrtcError if the line is gone before that."""

    async def closed(self) -> Gone:
        """Wait for the end and say why."""

    def stats(self) -> dict[str, Any] | None:
        """The fields of events.MediaStats; None where the line does not count packets."""

    def missed(self, silent_s: float) -> None:
        """The caller says on another line that nothing has come here for so long."""

    async def ask(self, timeout: float) -> None:
        """Learn whether the caller is there, where the line can tell."""

    def catch_up(self) -> Awaitable[None] | None:
        """Done once the session has heard all the sound that has come until now; None where none ever waits."""

    def leave(self) -> None:
        """Say no more here: the caller is on another line. What left and did not arrive is taken back."""

    async def finish(self) -> None:
        """Return once the caller has all that was sent to it, after a second at the most."""

    async def close(self) -> None:
        """End it and free everything. May be called again."""


class Dialect(Protocol):
    """Translates for one line, or for one after another of the same caller: events to messages, messages to commands.

    It only translates: what a caller may do at all is in ``commands``, what can happen in ``events``.
    """

    label: str
    """Of the data channel that is spoken on, where the line is WebRTC."""
    max_message: int
    """Bytes of one message of the caller's."""

    def tell(self, event: Event) -> Iterable[str]:
        """``event`` as messages to the caller, in order; none where it has no word for it."""

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        """What the caller's ``message`` asks of the call, in order; a string among the commands is an answer that goes
        back at once. Raises ValueError with a sentence where the call shall tell that it was not understood."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """A line, and what is spoken on it."""

    line: Line
    dialect: Dialect

    def tell(self, event: Event) -> None:
        for message in self.dialect.tell(event):
            self.line.send(message)
