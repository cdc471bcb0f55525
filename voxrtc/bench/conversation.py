"""One conversation of the measuring caller: each clip is one turn, and each turn waits until the answer is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from voxrtc.bench.clip import Clip
from voxrtc.bench.turn import Turn
from voxrtc.client.client import Client

SILENT_S = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the caller waits, in seconds. ``answer_s``: from the end of speech to the first sound of an answer.

    ``reply_s``: for an answer to end. ``quiet_s``: of quiet, after which an answer is over and the next clip may
    begin. ``lead_s``: of room noise before the first clip.
    """

    answer_s: float = 20.0
    reply_s: float = 60.0
    quiet_s: float = 0.6
    lead_s: float = 0.5


OnTurn = Callable[[Turn], None]
OnEvent = Callable[[dict[str, Any]], None]


def measuring(url: str, record: bool = False) -> Client:
    """A caller that does nothing beside what is measured: a line that breaks is a call that failed. Servers that tell
    of nothing are measured as well."""
    return Client(url, record=record, reconnect_s=0.0, silent_s=SILENT_S, ice_servers=(), events=False)


async def converse(
    caller: Client,
    clips: Sequence[Clip],
    patience: Patience,
    on_turn: OnTurn = lambda turn: None,
    on_event: OnEvent = lambda event: None,
) -> list[Turn]:
    """Play ``clips`` to a connected ``caller``, one turn each; ``on_turn`` gets each as it is over.

    Turns that could not be played any more, since the call ended, are left out: the caller's ``ended`` says why.
    """
    turns: list[Turn] = []

    def hear(event: dict[str, Any], now: float) -> None:
        if turns:
            turns[-1].note(event, now)
        on_event(event)

    caller.on_event = hear
    await _settle(caller, patience)
    for clip in clips:
        if caller.ended is not None:
            break
        turn = Turn(clip, caller.microphone.play(clip.packets))
        turn.state = turns[-1].state if turns else ""
        turns.append(turn)
        await _finish(turn, caller, patience)
        on_turn(turn)
    return turns


async def _settle(caller: Client, patience: Patience) -> None:
    """Let the room be heard, and a greeting be said, before the first word."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + patience.lead_s

    def ready() -> bool:
        now = loop.time()
        return now >= begin and caller.microphone.running and _quiet(caller, now, patience)

    await caller.until(ready, patience.lead_s + patience.reply_s)


async def _finish(turn: Turn, caller: Client, patience: Patience) -> None:
    """Return when the turn is answered and the answer is over, or neither will happen any more."""
    loop = asyncio.get_running_loop()
    caller.microphone.late_s = 0.0

    def answered() -> bool:
        return loop.time() >= turn.speech_ended and turn.responded(caller.ear)

    def over() -> bool:
        now = loop.time()
        return now >= turn.began + turn.clip.seconds and not turn.replying and _quiet(caller, now, patience)

    wait = turn.speech_ended + patience.answer_s - loop.time()
    if not await caller.until(answered, wait):
        turn.failed = caller.ended or f"no answer within {patience.answer_s:g} s"
    elif not await caller.until(over, patience.reply_s) and caller.ended is not None:
        turn.failed = f"the call ended in the middle of the answer: {caller.ended}"
    turn.late_ms = caller.microphone.late_s * 1e3


def _quiet(caller: Client, now: float, patience: Patience) -> bool:
    last = caller.ear.last_audible_at
    return last is None or now - last >= patience.quiet_s
