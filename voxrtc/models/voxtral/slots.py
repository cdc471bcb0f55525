"""KV memory in pages, by session, kept between turns: what a new prompt has in common with it is not read again.

The paged cache is that of vLLM (Kwon et al., arXiv:2309.06180), without sharing between sequences: of two sessions
nothing is equal but the first few tokens, since a caller's sound comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_STRIDE = 256
"""Ids that are compared at once."""


@dataclass(eq=False, slots=True)
class Slot:
    """The memory of one sequence."""

    session: str
    most: int
    """Pages it may have in the end: promised to it while it is in use, so that it can always go on."""
    pages: list[int] = field(default_factory=list)
    """In order."""
    ids: list[int] = field(default_factory=list)
    """Exactly what ``pages`` hold, from the first token on. What comes after it in the last page counts for nothing."""


class Slots:
    """``pages`` pages of ``page_size`` tokens, numbered from 1. For one thread.

    A slot is in use, from take() to give() or drop(), or it is idle, kept for its session. A page belongs to one slot,
    or is free. Free pages and those of idle slots together are never fewer than those promised.
    """

    def __init__(self, pages: int, page_size: int) -> None:
        self._pages = pages
        self._page_size = page_size
        self._free = list(range(pages, 0, -1))
        self._used: set[Slot] = set()
        self._idle: dict[str, Slot] = {}
        """By session, the least recently used first."""
        self._idle_pages = 0
        self._promised = 0
        """Pages that slots in use may still come to need."""

    @property
    def free(self) -> int:
        """Pages that hold nothing."""
        return len(self._free)

    @property
    def idle(self) -> int:
        """Pages kept for sessions that are not in use."""
        return self._idle_pages

    @property
    def sessions(self) -> int:
        """Sessions that something is kept for, and which are not in use."""
        return len(self._idle)

    @property
    def available(self) -> int:
        """Pages that one more slot can be promised."""
        return len(self._free) + self._idle_pages - self._promised

    def pages_for(self, tokens: int) -> int:
        return -(-tokens // self._page_size)

    def take(self, session: str, ids: Sequence[int], most: int, anew: int = 1) -> Slot | None:
        """A slot with room for ``most`` tokens in the end, of which ``slot.ids`` are there already: what the session
        has kept and has in common with ``ids``, without the last ``anew`` of these (the logits after the last one are
        there only if it is read). None where so much memory cannot be had.

        Where another slot of the session is in use, or there is no session (""), nothing is reused.
        """
        need = self.pages_for(most)
        if need > self.available:
            return None
        slot = self._idle.pop(session, None) or Slot(session, need)
        self._idle_pages -= len(slot.pages)
        slot.most = need
        self._trim(slot, min(common(slot.ids, ids), len(ids) - anew))
        self._used.add(slot)
        self._promised += need - len(slot.pages)
        return slot

    def extend(self, slot: Slot, tokens: int) -> None:
        """Give ``slot`` pages for ``tokens`` more than it holds; within what it was promised."""
        need = self.pages_for(len(slot.ids) + tokens)
        assert need <= slot.most, "more than was promised"
        while len(slot.pages) < need:
            slot.pages.append(self._page())
            self._promised -= 1

    def give(self, slot: Slot) -> None:
        """``slot`` is no longer in use: what it holds is kept for its session, in place of what was kept before."""
        self._put_away(slot)
        self._trim(slot, len(slot.ids) if slot.session else 0)
        if not slot.ids:
            return
        if (before := self._idle.pop(slot.session, None)) is not None:
            self._idle_pages -= len(before.pages)
            self._trim(before, 0)
        self._idle[slot.session] = slot
        self._idle_pages += len(slot.pages)

    def drop(self, slot: Slot) -> None:
        """``slot`` is no longer in use, and what it holds is not to be relied on."""
        self._put_away(slot)
        self._trim(slot, 0)

    def check(self) -> None:
        """Assert what must always hold; for tests."""
        slots = [*self._used, *self._idle.values()]
        held = [page for slot in slots for page in slot.pages]
        assert sorted(held + self._free) == list(range(1, self._pages + 1)), "a page is lost or belongs to two"
        assert all(len(slot.pages) >= self.pages_for(len(slot.ids)) for slot in slots)
        assert self._idle_pages == sum(len(slot.pages) for slot in self._idle.values())
        assert self._promised == sum(slot.most - len(slot.pages) for slot in self._used)
        assert self.available >= 0
        assert not self._used & set(self._idle.values())
        assert "" not in self._idle

    def _put_away(self, slot: Slot) -> None:
        self._used.remove(slot)
        self._promised -= slot.most - len(slot.pages)

    def _trim(self, slot: Slot, tokens: int) -> None:
        """Keep the first ``tokens`` of a slot that is promised nothing."""
        del slot.ids[tokens:]
        keep = self.pages_for(tokens)
        self._free += slot.pages[keep:]
        del slot.pages[keep:]

    def _page(self) -> int:
        """A free page, else the last one of the session that was in use the longest ago: what comes before stays."""
        if self._free:
            return self._free.pop()
        session, slot = next(iter(self._idle.items()))
        page = slot.pages.pop()
        self._idle_pages -= 1
        del slot.ids[len(slot.pages) * self._page_size :]
        if not slot.pages:
            del self._idle[session]
        return page


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements two lists have in common from the start (4,000 of them: 0.1 ms)."""
    most = min(len(one), len(other))
    at = 0
    while at < most and one[at : at + _STRIDE] == other[at : at + _STRIDE]:
        at += _STRIDE
    at = min(at, most)
    while at < most and one[at] == other[at]:
        at += 1
    return at
