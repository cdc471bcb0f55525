"""A scene: what a caller's microphone hears besides silence, and what the assistant is made to say meanwhile.

Scenes are small descriptions; the sounds they name are in ``sounds``, and ``stage`` plays them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One sound at the microphone.

    ``sound``: its name (``sounds.Sounds``). ``at``: seconds; where it is a voice, of its onset. ``dbfs``: the level of
    its loud parts. ``seconds``: how long an endless sound lasts, and what a voice is cut to; None for as long as it is.
    """

    sound: str
    at: float
    dbfs: float
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Echo:
    """The reply comes back ``delay_ms`` after it was played, ``db`` (negative) softer, with or without a room's own
    reverberation."""

    db: float
    delay_ms: float
    room: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """``parts`` count from when the reply begins to be heard; where there is none (``reply`` None), from the start.

    ``opening``: what the caller says first; None where the first turn is typed. ``ambient``: sounds all the way
    through. ``seconds``: how long the scene lasts after the point the parts count from. ``stop_at``: when the reply is
    stopped by a command.
    """

    name: str
    seconds: float
    reply: str | None = None
    opening: Part | None = None
    ambient: tuple[Part, ...] = ()
    parts: tuple[Part, ...] = ()
    echo: Echo | None = None
    stop_at: float | None = None
    seed: int = 0
