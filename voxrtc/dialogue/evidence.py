"""What is learned of a pause while it lasts: how the voice sounds, and whether the words are a whole turn.

The detector asks its strategy every 10 ms; here the strategy's questions are put to those who can answer them, and what
they say is written into the pause, if it still lasts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from voxrtc.audio import Samples
from voxrtc.dialogue.tasks import Tasks
from voxrtc.endpointing.detector import TurnDetector
from voxrtc.endpointing.prosody import Prosody
from voxrtc.endpointing.waits import Pause
from voxrtc.errors import ModelsError
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard

log = logging.getLogger(__name__)


class Evidence:
    """For one session. ``uses``: what the strategy wants to know, of "voice" and "words"."""

    def __init__(
        self, uses: frozenset[str], detector: TurnDetector, prosody: Prosody | None, models: Models, tasks: Tasks
    ) -> None:
        self._prosody = prosody
        self._of_voice = "voice" in uses
        self.of_words = "words" in uses
        """Whether the words of each pause are wanted."""
        self._detector = detector
        self._models = models
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def tune(self, uses: frozenset[str]) -> None:
        """Another strategy wants to know ``uses``."""
        self._of_voice, self.of_words = "voice" in uses, "words" in uses

    def gather(self, audio: Samples) -> None:
        """A pause has begun; ``audio`` (n,) at 16 kHz is the turn so far, or its last 8 s."""
        self.stop()
        pause = self._detector.pause
        if pause is not None and self._of_voice and self._prosody is not None:
            self._spawn(self._judge(pause, self._prosody, audio), "prosody of a pause")

    def told(self, heard: Heard) -> None:
        """The words of the turn up to its pause are known."""
        pause = self._detector.pause
        if pause is None or not self.of_words or pause.words == heard.text:
            return
        pause.words, pause.language = heard.text, heard.language
        self._spawn(self._read(pause, heard), "reading a pause's words")

    def stop(self) -> None:
        """The pause is over."""
        for task in self._running:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.spawn(work, name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _judge(self, pause: Pause, prosody: Prosody, audio: Samples) -> None:
        pause.prosody = await prosody.judged(audio)

    async def _read(self, pause: Pause, heard: Heard) -> None:
        try:
            pause.ends = await self._models.ends(heard.text, heard.language)
        except ModelsError as error:
            log.debug("the words of a pause were not read: %s", error)  # the rule does without after evidence_ms
