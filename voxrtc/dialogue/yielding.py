"""Does the reply that a voice made stop go on? The rules of it; who then speaks or is silent follows elsewhere.

A reply yields in two steps. At the first sign of a voice it is *ducked*: softer, and loud again if nothing follows.
Once there is enough voice to interrupt it is *held*: silent, but not over. Words take the floor for good, and so does
whoever keeps on speaking. A backchannel ("mhm") or a sound without words gives it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxrtc.dialogue.backchannels import is_backchannel, words_of
from voxrtc.dialogue.reply import Reply

Verdict = Literal["interrupts", "backchannel", "no words"]

SETTLED_MS = 250
"""Silence after which a backchannel, or a sound without words, counts as all there was."""
TAKEN_MS = 2_500
"""Voice after which the floor is taken, whether its words are known or not."""


@dataclass(slots=True)
class Held:
    """A ``reply`` that was stopped at sample ``since``. ``asked``: it had just asked the caller something, so that
    "yes" is an answer. ``backchannel_ms``: voice that is longer is more than a backchannel, whatever the words."""

    reply: Reply
    since: int
    asked: bool
    backchannel_ms: int

    def while_speaking(self, voice_ms: float, words: str) -> bool:
        """Whether the voice interrupts, ``voice_ms`` long by now; ``words``: what is known of them."""
        return voice_ms >= TAKEN_MS or self.judge(voice_ms, words) == "interrupts"

    def in_pause(self, voice_ms: float, silence_ms: float, words: str | None) -> Verdict | None:
        """What the voice was, so many ms after it stopped; ``words``: all of them, None where not known. None: it is
        too early to tell."""
        if words is None:
            return None
        verdict = self.judge(voice_ms, words)
        if verdict == "interrupts":
            return verdict
        return verdict if silence_ms >= SETTLED_MS and voice_ms <= self.backchannel_ms else None

    def judge(self, voice_ms: float, words: str) -> Verdict:
        """What a voice of this length was that said ``words`` and nothing else."""
        if not words_of(words):
            return "no words"
        if self.asked or voice_ms > self.backchannel_ms or not is_backchannel(words):
            return "interrupts"
        return "backchannel"
