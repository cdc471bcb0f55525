"""The three verbs as messages: what crosses between the dialogue's side and a host of models.

A message is msgpack behind a 4-byte big-endian length; samples travel as raw little-endian float32. The
dialogue's side sends ``Ask``, ``Cancel``, ``Release`` and ``Forget``; the host answers each ask with any number of
``Item``, then one ``Done`` or ``Failed``. ``Loading``, then ``Ready``, come once, before anything else.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from voxrtc.audio import Samples

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes. Ten minutes of 16 kHz float32 are 38 MB; a longer length is a broken stream."""


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="t", omit_defaults=True):
    """Base of everything on the wire; the class name is the tag."""


def pack(samples: Samples) -> bytes:
    """Samples (n,) as raw little-endian float32."""
    return np.ascontiguousarray(samples, dtype="<f4").tobytes()


def unpack(data: bytes) -> Samples:
    """The inverse of pack; the result is read-only."""
    return np.frombuffer(data, dtype="<f4")


# -- what is asked ------------------------------------------------------------------------------------------


class Utterance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the conversation, as the model is to remember it.

    Between a user's line and the assistant's there may be pairs of ``call`` (a function that was asked for: the JSON
    object of its ``name`` and ``arguments``) and ``result`` (what it gave, as JSON).
    """

    role: Literal["user", "assistant", "call", "result"]
    text: str
    interrupted: bool = False
    """An assistant's line that the caller cut short: ``text`` is what was heard of it."""


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the model may call. ``parameters``: a JSON schema of its arguments, an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Transcribe(Message, frozen=True):
    """Turn speech into words. ``audio``: packed 16 kHz samples. ``language``: ISO 639-1, or None to detect it."""

    audio: bytes
    language: str | None = None
    partial: bool = False
    """A look at an unfinished turn: gives way to everything else, may be answered less carefully."""
    patient: bool = False
    """A piece of a file: comes after what callers wait for, guesses included, however long that takes."""


class Answer(Message, frozen=True):
    """Hear a turn (``audio``) or read it (``text``; exactly one of the two is set) and answer it or call a function."""

    session: str
    system: str
    history: list[Utterance]
    audio: bytes | None = None
    text: str | None = None
    language: str | None = None
    max_tokens: int = 160
    temperature: float = 0.5
    seed: int | None = None
    tools: list[Tool] = []
    steps: list[Utterance] = []
    """What was done about this turn already: pairs of ``call`` and ``result``."""
    may_call: bool = True
    """False where it has to be words now, whatever ``tools`` there are."""
    guess: str = ""
    """Names the guess that this is for: nobody waits for it until ``Release(guess)``, and it may fail with GaveWay."""


class Prepare(Message, frozen=True):
    """What the caller seems to be saying, so far: fill caches with it so that Answer comes sooner. Yields nothing."""

    session: str
    system: str
    history: list[Utterance]
    text: str
    tools: list[Tool] = []


class Ends(Message, frozen=True):
    """How probable is it that somebody who said ``text`` is done? ``language``: of the text."""

    text: str
    language: str


class Speak(Message, frozen=True):
    """Say one clause. ``voice`` and ``language`` as in the Ready message; ``emotion`` of settings.EMOTIONS,
    ``intensity`` 0.5..2: what a voice makes of them is in models.tts.delivery."""

    text: str
    voice: str = ""
    language: str = "en"
    speed: float = 1.0
    emotion: str = "neutral"
    intensity: float = 1.0
    guess: str = ""
    """As in Answer."""
    ahead_ms: int = 0
    """Of sound that the listener has still to hear before this clause: who hears nothing yet goes first."""


class Clone(Message, frozen=True):
    """From now on ``name`` is a voice: that of ``audio``, packed samples at ``rate`` Hz. One of that name that was made
    so before is replaced."""

    name: str
    audio: bytes
    rate: int


Verb = Transcribe | Answer | Prepare | Ends | Speak | Clone


# -- what comes back ------------------------------------------------------------------------------------------


class Heard(Message, frozen=True):
    """What was said. ``confidence``: mean token probability, 0..1; negative where a remote server does not tell it.
    Empty text: nothing that is speech."""

    text: str
    language: str
    confidence: float
    took_ms: float = 0.0


class Ending(Message, frozen=True):
    """``probability``, 0..1; negative where nothing can be told, as in a language that is not read."""

    probability: float


class Said(Message, frozen=True):
    """The next piece of the answer's text, to be appended as it stands."""

    text: str


class ToolCall(Message, frozen=True):
    """The model asks for a function: ``arguments`` is a JSON object as text."""

    name: str
    arguments: str
    id: str


class Speech(Message, frozen=True):
    """Packed 24 kHz samples, and the span ``start``..``end`` of the clause's characters that they say."""

    samples: bytes
    start: int
    end: int


class Cloned(Message, frozen=True):
    """The voice can be spoken with, in these ``languages``."""

    languages: list[str]


ItemOf = Heard | Said | ToolCall | Speech | Ending | Cloned


# -- the conversation of the two processes --------------------------------------------------------------------


class Ask(Message, frozen=True):
    id: int
    verb: Verb


class Cancel(Message, frozen=True):
    """Stop the work for ``id``; the host still closes it with Done or Failed."""

    id: int


class Release(Message, frozen=True):
    """Somebody waits for what was asked for ``guess``. Not answered."""

    guess: str


class Forget(Message, frozen=True):
    """The voice of a clip that was called ``name`` is not needed any more. Not answered."""

    name: str


class Item(Message, frozen=True):
    id: int
    item: ItemOf


class Done(Message, frozen=True):
    id: int


class Failed(Message, frozen=True):
    """``code``: ``busy`` (too much waits), ``refused`` (bad request), ``broken`` (the model failed), ``gave_way`` (a
    guess, to what somebody waits for), or ``bad_clip`` (no voice can be made of it)."""

    id: int
    code: Literal["busy", "refused", "broken", "gave_way", "bad_clip"]
    message: str


class Loading(Message, frozen=True):
    """Progress of the start: what is being done and how far it is, 0..1."""

    what: str
    fraction: float


class Ready(Message, frozen=True):
    """The models are loaded and warm."""

    profile: str
    hears: str
    thinks: str
    speaks: str
    voices: dict[str, list[str]]
    """Voice name to the language codes it speaks; the first is the one that speaks where none is asked for."""
    hears_languages: list[str]
    load_s: float
    cloning: bool = False
    """Whether voices may be made of clips, and can be."""
    clones: list[str] = []
    """Which of the voices were. The host tells none: they are added on the dialogue's side, where the clips are."""


class Broken(Message, frozen=True):
    """The host cannot start, and why; it exits after this."""

    message: str


FromClient = Ask | Cancel | Release | Forget
FromHost = Item | Done | Failed | Loading | Ready | Broken
