"""Which of the model's slots holds which conversation: a slot keeps the computed state of one, and reuses it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Slots:
    """``count`` slots, given to sessions; the longest unused one goes to a session that has none."""

    def __init__(self, count: int) -> None:
        self._owners: dict[int, str] = dict.fromkeys(range(count), "")
        """Slot to session, the longest unused first."""
        self._users = dict.fromkeys(range(count), 0)

    @contextlib.contextmanager
    def use(self, session: str) -> Iterator[int]:
        """The session's slot. Two requests of one session get the same one, and the model takes them in turn."""
        slot = self._find(session)
        self._owners.pop(slot)
        self._owners[slot] = session
        self._users[slot] += 1
        try:
            yield slot
        finally:
            self._users[slot] -= 1

    def _find(self, session: str) -> int:
        for slot, owner in self._owners.items():
            if owner == session:
                return slot
        return min(self._owners, key=lambda slot: self._users[slot])  # min() keeps the order among equals
