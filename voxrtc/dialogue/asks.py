"""What the models are asked in one conversation: the settings, the memory, the language, the functions."""

from __future__ import annotations

from voxrtc.audio import Samples
from voxrtc.dialogue.memory import Exchange, Memory
from voxrtc.dialogue.phrases import ONE_MOMENT, words
from voxrtc.dialogue.thought import Manner
from voxrtc.dialogue.tongue import Tongue
from voxrtc.dialogue.tools import Toolbox
from voxrtc.models.wire import Answer, Prepare, pack
from voxrtc.settings import Settings


class Asks:
    """Makes the asks of the session ``call``."""

    def __init__(self, call: str, settings: Settings, memory: Memory, tongue: Tongue, toolbox: Toolbox) -> None:
        self._call = call
        self._settings = settings
        self._memory = memory
        self._tongue = tongue
        self._toolbox = toolbox
        self.instructions = ""
        """The call's own, in place of the configured system prompt."""
        self.notes: list[str] = []
        """Further instructions, in their order."""
        self.max_tokens: int | None = None
        self.temperature: float | None = None
        self.fillers = True
        """Whether the caller is asked for patience while a function takes long."""
        self.speaks = True
        """Whether replies are spoken; else they are text alone."""

    def answer(
        self,
        *,
        audio: Samples | None = None,
        text: str | None = None,
        again: Exchange | None = None,
        instructions: str | None = None,
    ) -> Answer:
        """To answer a turn that was heard or written. ``again``: its exchange, where it is in the memory already.
        ``instructions``: for this answer, in place of the call's."""
        dialogue, tools = self._settings.dialogue, self._toolbox.tools
        return Answer(
            session=self._call,
            system=self._system(instructions),
            history=self._memory.history(again),
            audio=pack(audio) if audio is not None else None,
            text=text,
            language=self._tongue.heard_as(audio.size if audio is not None else 0),
            max_tokens=self.max_tokens or dialogue.max_reply_tokens,
            # Sampled, a small model calls what it should not, and invents results.
            temperature=0.0 if tools else dialogue.temperature if self.temperature is None else self.temperature,
            tools=tools,
            steps=list(again.steps) if again is not None else [],
        )

    def prepare(self, text: str) -> Prepare:
        """To warm what a caller needs who seems to be saying ``text``."""
        return Prepare(self._call, self._system(), self._memory.history(), text, self._toolbox.tools)

    def _system(self, instructions: str | None = None) -> str:
        """The system prompt, with the language to answer in."""
        prompt = instructions or self.instructions or self._settings.system_prompt
        return "\n".join(part for part in (prompt, *self.notes, self._tongue.told()) if part)

    def manner(self, language: str | None = None) -> Manner:
        """How to speak, in ``language`` if it is not to be the call's."""
        settings, tongue = self._settings, self._tongue
        moment, speaks = words(ONE_MOMENT, tongue.spoken)
        return Manner(
            voice=tongue.voice,
            language=language or ("auto" if tongue.language == "auto" else tongue.spoken),
            spoken=tongue.spoken,
            after=lambda heard, voice_ms: tongue.speaks(tongue.after(heard, voice_ms)),
            tts=settings.tts,
            patience_s=settings.dialogue.patience_s,
            filler=moment if self.fillers and speaks == tongue.spoken and settings.dialogue.tool_filler_s else "",
            filler_s=settings.dialogue.tool_filler_s,
            feels=settings.emotion.enabled,
            speaks=self.speaks,
        )
