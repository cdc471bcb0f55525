"""What the loop counts: written by its thread, read by any."""

from __future__ import annotations

from dataclasses import dataclass

from voxrtc.models.voxtral.request import Usage

_SESSIONS = 1024
"""Sessions whose last request is remembered."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The loop at one moment. Counts are since its start."""

    waiting: int
    """Requests that are not admitted yet."""
    running: int
    """Requests whose prompt is being read, or that decode."""
    steps: int
    """Steps of decoding."""
    tokens: int
    """Tokens picked."""
    prefilled: int
    """Tokens of prompts that were read."""
    reused: int
    """Tokens of prompts that their sessions had kept."""
    encoded: int
    """Clips."""
    gave_way: int
    """Requests given up for others."""
    failures: int
    """Calls of the runner that failed."""
    pages: int
    pages_free: int
    pages_idle: int
    """Kept for sessions that are not in use."""
    sessions: int
    """Such sessions."""
    longest_delay_ms: float
    """The longest that a running sequence waited between two of its steps, since forget_delays()."""


class Figures:
    """The counts that Statistics are made of."""

    def __init__(self) -> None:
        self.steps = 0
        self.tokens = 0
        self.prefilled = 0
        self.reused = 0
        self.gave_way = 0
        self.longest_delay = 0.0
        """Seconds."""
        self._usages: dict[str, Usage] = {}
        """By session, the longest unheard of first."""

    def admitted(self, session: str, usage: Usage) -> None:
        self.reused += usage.reused
        if not session:
            return
        self._usages.pop(session, None)
        self._usages[session] = usage
        if len(self._usages) > _SESSIONS:
            del self._usages[next(iter(self._usages))]

    def usage(self, session: str) -> Usage | None:
        """Of the last request of ``session`` that was admitted."""
        return self._usages.get(session)
