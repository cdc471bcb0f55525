"""The session object: what of it a client may set, what that means here, and how it stands now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voxrtc.commands import MAX_INSTRUCTIONS, Configure
from voxrtc.events import CallStarted
from voxrtc.languages import ALL, primary
from voxrtc.server.realtime import detection, tools
from voxrtc.server.realtime.errors import Refused, converted
from voxrtc.server.realtime.shapes import Json, new_id
from voxrtc.settings import Settings

OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"}
)
"""Voices that clients ask for because OpenAI has them: here, each of them is the default voice."""

DEEPEST = 32
"""Lists and objects inside each other: more would not be copied, or written, without end."""

MOST = 65_536
"""Bytes of a session as JSON: it is told with every change."""

PCM = {"type": "audio/pcm", "rate": 24_000}
"""The one format of samples in messages; over WebRTC there are none."""

Modalities = Annotated[list[Literal["audio", "text"]], Meta(min_length=1, max_length=1)]
Tokens = Annotated[int, Meta(ge=1, le=4_096)] | Literal["inf"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a session object, of which only what is given changes."""


class Format(Part, frozen=True):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class Transcription(Part, frozen=True):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    delay: str | None = None


class CustomVoice(Part, frozen=True):
    id: str


class AudioInput(Part, frozen=True):
    format: Format | UnsetType | None = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    turn_detection: detection.Detection | UnsetType = UNSET


class AudioOutput(Part, frozen=True):
    format: Format | UnsetType | None = UNSET
    voice: str | CustomVoice | UnsetType | None = UNSET
    speed: float | UnsetType = UNSET


class Audio(Part, frozen=True):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class Patch(Part, frozen=True):
    """The ``session`` of session.update, and of a client secret."""

    type: Literal["realtime"] = "realtime"
    model: str | UnsetType | None = UNSET
    instructions: str | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: Audio = Audio()
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: Any = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    max_output_tokens: Tokens | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    prompt: dict[str, Any] | UnsetType | None = UNSET
    tracing: Any = UNSET
    truncation: Any = UNSET
    include: Any = UNSET
    reasoning: Any = UNSET


ECHOED = ("parallel_tool_calls", "tracing", "truncation", "include", "reasoning")
"""Taken, told again, and without effect."""


@dataclass(frozen=True)
class House:
    """What this server has. ``voices``: those that there are now, the default one first."""

    settings: Settings
    voices: Callable[[], Sequence[str]]


class Config:
    """One session's object. Each change is all or nothing."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._detection: detection.Detection = detection.SemanticVad()
        self._object = self._default()

    def _default(self) -> Json:
        longest = self._house.settings.dialogue.max_call_s
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": new_id("sess"),
            "model": "",
            "expires_at": round(time.time() + longest) if longest else None,
            "output_modalities": ["audio"],
            "instructions": self._house.settings.dialogue.system_prompt,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "audio": {
                "input": {
                    "format": PCM,
                    "transcription": {"model": "", "language": None, "prompt": None},
                    "noise_reduction": None,
                    "turn_detection": msgspec.to_builtins(self._detection),
                },
                "output": {"format": PCM, "voice": "", "speed": 1.0},
            },
        }

    # -- how it stands ----------------------------------------------------------------------------------------

    def to_json(self) -> Json:
        return self._object

    @property
    def modality(self) -> Literal["audio", "text"]:
        modality: Literal["audio", "text"] = self._object["output_modalities"][0]
        return modality

    @property
    def transcribes(self) -> bool:
        """Whether the client wants to read what its user said."""
        return self._object["audio"]["input"]["transcription"] is not None

    @property
    def asks_when_silent(self) -> bool:
        return isinstance(self._detection, detection.ServerVad) and self._detection.idle_timeout_ms is not None

    @property
    def by_hand(self) -> bool:
        """Whether turns are made by ``input_audio_buffer.commit``."""
        return self._detection is None

    def opening(self) -> Configure:
        """What a call is asked before its client asks anything: nobody speaks there unless a response is told of."""
        whole = detection.commanded(self._detection, self._house.settings.endpointing)
        return msgspec.structs.replace(whole, fillers=False)

    def begun(self, started: CallStarted) -> None:
        """The call is up: fill in what the client left open."""
        self._object["model"] = self._object["model"] or started.thinks
        output, transcription = self._object["audio"]["output"], self._object["audio"]["input"]["transcription"]
        output["voice"] = output["voice"] or started.voice
        if transcription is not None:
            transcription["model"] = transcription["model"] or started.hears

    # -- changing it ------------------------------------------------------------------------------------------

    def update(self, raw: object) -> list[Configure]:
        """Take the client's ``session``; returns what the call is to be asked for it. Raises Refused."""
        if _deeper_than(DEEPEST, raw):
            raise Refused("The session is nested too deeply.", param="session")
        if isinstance(raw, dict) and raw.get("type", "realtime") != "realtime":
            raise Refused("Sessions here are of the type realtime.", param="session.type")
        patch: Patch = converted(raw, Patch, "session")
        changed = self._copy()
        asked: dict[str, Any] = {}
        self._persona(patch, changed, asked)
        self._functions(patch, changed, asked)
        self._hearing(patch.audio.input, changed["audio"]["input"], asked)
        self._voice(patch.audio.output, changed["audio"]["output"], asked)
        for name in ECHOED:
            if (value := getattr(patch, name)) is not UNSET:
                changed[name] = value
        if patch.audio.input.turn_detection is not UNSET:
            asked |= self._turns(patch.audio.input.turn_detection, changed["audio"]["input"])
        if len(msgspec.json.encode(changed)) > MOST:
            raise Refused(f"A session has {MOST} bytes at most.", param="session")
        if patch.audio.input.turn_detection is not UNSET:
            self._detection = patch.audio.input.turn_detection
        self._object = changed
        return [Configure(**asked)] if asked else []

    def _copy(self) -> Json:
        """The session, to be changed: what lies deeper than here is only ever replaced as a whole."""
        audio = {way: {**part} for way, part in self._object["audio"].items()}
        return self._object | {"audio": audio}

    def _persona(self, patch: Patch, changed: Json, asked: Json) -> None:
        if patch.prompt is not UNSET and patch.prompt is not None:
            raise Refused("Stored prompts are not to be had here; send instructions.", param="session.prompt")
        if patch.model is not UNSET and patch.model is not None:
            changed["model"] = patch.model
        if patch.instructions is not UNSET:
            checked_instructions(patch.instructions, "session.instructions")
            changed["instructions"] = asked["instructions"] = patch.instructions
        if patch.output_modalities is not UNSET:
            changed["output_modalities"] = patch.output_modalities
            asked["speaks"] = patch.output_modalities == ["audio"]
        if patch.max_output_tokens is not UNSET:
            changed["max_output_tokens"] = patch.max_output_tokens
            most = self._house.settings.models.context_tokens // 2
            asked["max_tokens"] = 0 if patch.max_output_tokens == "inf" else min(patch.max_output_tokens, most)
        if patch.temperature is not UNSET:
            changed["temperature"] = asked["temperature"] = float(patch.temperature)

    def _functions(self, patch: Patch, changed: Json, asked: Json) -> None:
        before = changed["tools"], changed["tool_choice"]
        if patch.tools is not UNSET:
            changed["tools"] = patch.tools
        if patch.tool_choice is not UNSET and patch.tool_choice is not None:
            changed["tool_choice"] = tools.checked_choice(patch.tool_choice)
        if before != (changed["tools"], changed["tool_choice"]):
            specs = tools.specs(changed["tools"], len(self._house.settings.dialogue.tools))
            asked["tools"] = specs if changed["tool_choice"] == "auto" else []

    def _hearing(self, patch: AudioInput, changed: Json, asked: Json) -> None:
        if patch.noise_reduction is not UNSET:
            changed["noise_reduction"] = patch.noise_reduction
        if patch.transcription is UNSET:
            return
        changed["transcription"] = msgspec.to_builtins(patch.transcription)
        language = patch.transcription.language if patch.transcription is not None else None
        if language is not None:
            if primary(language) not in ALL:
                there = ", ".join(ALL)
                raise Refused(f"There are {there}.", param="session.audio.input.transcription.language")
            asked["language"] = primary(language)

    def _voice(self, patch: AudioOutput, changed: Json, asked: Json) -> None:
        if patch.speed is not UNSET and patch.speed != 1:
            raise Refused("The speed is 1 here.", param="session.audio.output.speed")
        if patch.voice is UNSET or patch.voice is None:
            return
        voice = patch.voice.id if isinstance(patch.voice, CustomVoice) else patch.voice
        there = self._house.voices()
        if voice not in there and voice not in OPENAI_VOICES:
            raise Refused(f"No voice '{voice[:64]}'; there are {', '.join(there)}.", param="session.audio.output.voice")
        changed["voice"] = voice
        if voice in there:
            asked["voice"] = voice
        elif there:
            asked["voice"] = there[0]

    def _turns(self, wanted: detection.Detection, changed: Json) -> Json:
        configure = detection.commanded(wanted, self._house.settings.endpointing)
        changed["turn_detection"] = msgspec.to_builtins(wanted)
        if wanted == self._detection:
            return {}
        names = ("interruptions", "replies", "endpointing", "idle_prompt_s")
        return {name: getattr(configure, name) for name in names}


def _deeper_than(most: int, value: object) -> bool:
    """Whether lists and objects lie deeper than ``most`` in each other."""
    level = [value]
    for _ in range(most):
        inside: list[object] = []
        for one in level:
            inside += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        level = inside
    return bool(level)


def checked_instructions(instructions: str, param: str) -> None:
    """Raises Refused where they are too long."""
    if len(instructions) > MAX_INSTRUCTIONS:
        raise Refused(f"Instructions have {MAX_INSTRUCTIONS} characters at most.", "string_above_max_length", param)
