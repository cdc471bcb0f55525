"""Turns of one call through the loop: how much of a conversation is read again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from voxrtc.audio import Samples
from voxrtc.bench.voxtral.sound import EOS, Words
from voxrtc.errors import ModelsError, VoxrtcError
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Request
from voxrtc.models.voxtral.sequence import Clip, Runner

TURNS = 5
ANSWER = 24
"""Tokens of one answer."""
PATIENCE_S = 120.0


def measure(runner: Runner, sound: Samples, vocabulary: int, seed: int) -> dict[str, Any]:
    """Five turns of one session, each of 6 s of sound: the tokens of each prompt, and how many of them were read."""
    words, loop = Words(vocabulary, seed), Loop(runner)
    loop.start()
    try:
        turns = _turns(loop, sound, words)
    finally:
        loop.close()
    return {
        "turn1_prefill_tokens": turns[0]["prefilled"],
        f"turn{TURNS}_prefill_tokens": turns[-1]["prefilled"],
        f"turn{TURNS}_prompt_tokens": turns[-1]["prompt"],
        "turns": turns,
    }


def _turns(loop: Loop, sound: Samples, words: Words) -> list[dict[str, int]]:
    ids: list[int] = []
    clips: dict[int, Clip] = {}
    turns = []
    for turn in range(TURNS):
        clip = Clip(sound)
        clips[clip.key] = clip
        ids += words.prompt(clip) if not turn else words.turn(clip)
        before = loop.statistics().prefilled
        answer = _ask(loop, Request(list(ids), ANSWER, clips=dict(clips), session="reuse"))
        turns.append({"prompt": len(ids), "prefilled": loop.statistics().prefilled - before})
        ids += [*answer, EOS]
    return turns


def _ask(loop: Loop, request: Request) -> Sequence[int]:
    """The tokens of the answer. Raises VoxrtcError where there is none."""
    tokens: list[int] = []
    done = threading.Event()
    ends: list[End | ModelsError] = []

    def ended(end: End | ModelsError) -> None:
        ends.append(end)
        done.set()

    loop.submit(request, lambda pick: tokens.append(pick.token), ended)
    if not done.wait(PATIENCE_S):
        raise VoxrtcError(f"no answer came within {PATIENCE_S:g} s")
    if isinstance(ends[0], ModelsError):
        raise ends[0]
    return tokens
