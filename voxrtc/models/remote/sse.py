"""Server-sent events (WHATWG HTML, 9.2.6), as far as chat completions use them: the ``data`` of each event.

Tolerant of what servers do: comments, other fields, lines that end in LF, CR or CRLF, a byte order mark, and a last
event without the empty line that ought to end it.
"""

from __future__ import annotations

import re

from voxrtc.errors import ModelsError

MAX_EVENT = 1 << 20
"""Bytes of one event; more is not what a server of models sends."""
_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Events:
    """Makes events of bytes, wherever those are cut."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """The pieces of a line that has not ended."""
        self._data: list[bytes] = []
        self._line_size = self._data_size = 0
        self._after_cr = False
        """The last byte was a CR: an LF that follows belongs to it."""
        self._begun = False

    def feed(self, received: bytes) -> list[str]:
        """The events that end within ``received``. Raises ModelsError for one that is too long."""
        if not received:
            return []
        if self._after_cr and received.startswith(b"\n"):
            received = received[1:]
        self._after_cr = received.endswith(b"\r")
        piece, *begun = _END.split(received)
        events: list[str] = []
        for next_piece in begun:
            events += self._take(b"".join([*self._line, piece]))
            self._line, self._line_size, piece = [], 0, next_piece
        self._line.append(piece)
        self._line_size += len(piece)
        if self._line_size + self._data_size > MAX_EVENT:
            raise ModelsError("the server of models sent an event without an end")
        return events

    def finish(self) -> list[str]:
        """The event that the stream ended in, if any."""
        line, self._line = b"".join(self._line), []
        return [*self._take(line), *self._take(b"")] if line else self._take(b"")

    def _take(self, line: bytes) -> list[str]:
        """The event that ``line`` ends: one or none."""
        if not self._begun:
            self._begun, line = True, line.removeprefix(_BOM)
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._data_size += len(value) + 1
            return []
        data, self._data, self._data_size = self._data, [], 0
        return [b"\n".join(data).decode("utf-8", "replace")] if data else []
