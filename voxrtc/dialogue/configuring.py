"""What a caller may change of its own call, and what of that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from pydantic import ValidationError

from voxrtc.commands import Configure, Endpoint, Interruptions
from voxrtc.dialogue.announce import Announcer
from voxrtc.dialogue.assistant import Assistant
from voxrtc.dialogue.caller import Caller
from voxrtc.dialogue.tongue import FALLBACK
from voxrtc.dialogue.tools import Toolbox
from voxrtc.errors import ConfigError
from voxrtc.events import Notice
from voxrtc.languages import ALL, primary
from voxrtc.models.verbs import Models
from voxrtc.settings import Endpointing, Settings


class Configuring:
    """For one session. ``warm``: called when the functions are others."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        assistant: Assistant,
        caller: Caller,
        toolbox: Toolbox,
        announcer: Announcer,
        warm: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._models = models
        self._assistant = assistant
        self._caller = caller
        self._toolbox = toolbox
        self._say = announcer.say
        self._warm = warm

    def apply(self, asked: Configure) -> None:
        """Change what ``asked`` sets, from the next turn on; what cannot be is answered by a Notice."""
        asks = self._assistant.asks
        if asked.replies is not None:
            self._assistant.requested.on = asked.replies == "asked"
        if asked.speaks is not None:
            asks.speaks = asked.speaks
        if asked.fillers is not None:
            asks.fillers = asked.fillers
        if asked.instructions is not None:
            asks.instructions = asked.instructions
        if asked.endpointing is not None:
            self._take_endpointing(asked.endpointing)
        self._take_sampling(asked.max_tokens, asked.temperature)
        if asked.language is not None:
            self._take_language(asked.language)
        if asked.voice is not None:
            self._take_voice(asked.voice)
        if asked.tools is not None:
            self._take_tools(asked.tools)
        if asked.interruptions is not None:
            self._take_interruptions(asked.interruptions)

    def _refuse(self, why: str) -> None:
        self._say(Notice, code="bad_config", message=why)

    def _take_endpointing(self, endpoint: Endpoint) -> None:
        """Beside what is configured; nothing is taken where any of it is not possible."""
        changed = {key: value for key, value in msgspec.to_builtins(endpoint).items() if value is not None}
        try:
            self._caller.tune(Endpointing.model_validate(self._settings.endpointing.model_dump() | changed))
        except (ValidationError, ConfigError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            self._refuse(f"endpointing was not taken: {why}.")

    def _take_sampling(self, max_tokens: int | None, temperature: float | None) -> None:
        asks, most = self._assistant.asks, self._settings.models.context_tokens // 2
        if max_tokens is not None and not 0 <= max_tokens <= most:
            self._refuse(f"max_tokens is 1 to {most}, or 0 for as configured.")
        elif max_tokens is not None:
            asks.max_tokens = max_tokens or None
        if temperature is not None and not 0.0 <= temperature <= 2.0:
            self._refuse("temperature is 0 to 2.")
        elif temperature is not None:
            asks.temperature = temperature

    def _take_language(self, asked: str) -> None:
        """A language that nobody here knows is taken for English, with a warning."""
        language = primary(asked)
        if language != "auto" and language not in ALL:
            message = f"No language '{asked}', so it is English; there are {', '.join(ALL)}."
            self._say(Notice, code="unsupported_language", message=message)
            language = FALLBACK
        self._assistant.tongue.language = self._assistant.memory.language = language
        self._assistant.check_voice()

    def _take_voice(self, voice: str) -> None:
        ready = self._models.ready
        if ready is not None and voice not in ready.voices:
            self._refuse(f"No voice '{voice}'; there are {', '.join(ready.voices)}.")
        else:
            self._assistant.tongue.voice = voice

    def _take_tools(self, specs: Sequence[dict[str, Any]]) -> None:
        try:
            self._toolbox.offer(specs)
        except ValueError as error:
            self._refuse(f"The tools were not taken: {error}.")
        else:
            self._warm()

    def _take_interruptions(self, mode: Interruptions) -> None:
        if mode != self._caller.floor.mode:
            self._caller.forget()
            self._caller.floor.mode = mode
            self._caller.by_hand(mode == "manual")
