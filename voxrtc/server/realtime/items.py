"""The conversation as a client sees it: items in their order, and which turn or reply of the call each one is."""

from __future__ import annotations

from dataclasses import dataclass

from voxrtc.commands import Forget
from voxrtc.server.realtime.errors import Refused
from voxrtc.server.realtime.shapes import Json, event, new_id

MOST = 512
"""Items that are kept; the oldest can no longer be retrieved."""


@dataclass(slots=True)
class Item:
    """``turn`` or ``reply``: its number in the call, 0 where it has none (yet)."""

    json: Json
    turn: int = 0
    reply: int = 0
    audio_ms: float | None = None
    """Of what was said by the assistant: how much was heard."""

    @property
    def id(self) -> str:
        return str(self.json["id"])


def message(role: str, content: list[Json], status: str = "completed", name: str = "") -> Item:
    """A message, by an id of its own if it has no ``name``."""
    return Item(
        {
            "id": name or new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": role,
            "content": content,
        }
    )


class Items:
    """Of one conversation."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    @property
    def last(self) -> str | None:
        return next(reversed(self._items), None)

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def add(self, item: Item) -> list[str]:
        """``item`` is the next one: the event that tells so."""
        before = self.last
        self._items[item.id] = item
        if len(self._items) > MOST:
            del self._items[next(iter(self._items))]
        return [event("conversation.item.added", previous_item_id=before, item=item.json)]

    def done(self, item: Item) -> list[str]:
        """It changes no more."""
        return [event("conversation.item.done", previous_item_id=self._before(item.id), item=item.json)]

    def find(self, name: str) -> Item:
        """Raises Refused."""
        if name not in self._items:
            raise Refused(f"There is no item '{name[:64]}' (any more).", "item_not_found", "item_id")
        return self._items[name]

    def delete(self, name: str) -> list[Forget | str]:
        """Forget it, here and in the memory. Raises Refused."""
        item = self.find(name)
        if not item.turn and not item.reply:
            raise Refused("This item cannot be taken back: only what was said in the call can.", param="item_id")
        return [Forget(turn=item.turn or None, reply=item.reply or None), *self.drop(name)]

    def drop(self, name: str) -> list[str]:
        """It turned out to be nothing."""
        del self._items[name]
        return [event("conversation.item.deleted", item_id=name)]

    def _before(self, name: str) -> str | None:
        before = None
        for known in self._items:
            if known == name:
                break
            before = known
        return before
