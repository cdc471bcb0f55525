"""The plain dialect: events and commands as JSON objects, by their own names, one a message."""

from __future__ import annotations

import json
from collections.abc import Iterable

from voxrtc.commands import AnyCommand, decode, parse
from voxrtc.events import Event
from voxrtc.lines import Message


class Plain:
    """voxrtc.lines.Dialect."""

    label = "voxrtc"
    max_message = 16_384

    def tell(self, event: Event) -> Iterable[str]:
        return (json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")),)

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        return (parse(decode(message)),)
