"""The seam between dialogue and models: the three verbs, as whoever holds a conversation sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from voxrtc.audio import Samples
from voxrtc.models.wire import Answer, Heard, Prepare, Ready, Said, Speak, Speech, ToolCall


class Models(Protocol):
    """What hears, thinks and speaks. Implemented by models.client, and by the scripted stand-in of the tests.

    Closing a stream (``aclose``), or cancelling the task that reads it, stops the work behind it in the host.
    Every verb that asks raises HostLost when the host dies under it, and ModelsError when the host refuses or fails it.
    While a host is being (re)started the verbs wait for it, for ``models.load_timeout_s`` at the most.
    """

    @property
    def ready(self) -> Ready | None:
        """What runs, or None while the models are not warm."""

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        """The words in ``audio`` (n,) at 16 kHz. Empty text where there is no speech in it. ``partial`` and
        ``patient``: as in wire.Transcribe."""

    def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """The reply's text in pieces, which append to the whole as they stand, or a ToolCall of one of ``ask.tools``;
        and, where ``ask.audio`` is set, one Heard, before the first of these, between them or after the last: what
        hears and thinks at once has its first words before it has all of the caller's. Empty text in Heard means that
        there is no speech to answer: nothing follows it, and what came before it is not to be used.

        Of a guess (``ask.guess``) it also raises GaveWay, where another caller waits for the models."""

    def answering(self, without: str) -> bool:
        """Whether an answer is under way for any session but ``without``."""

    def release(self, guess: str) -> None:
        """Somebody waits from now on for what was asked for ``guess``."""

    async def prepare(self, ask: Prepare) -> None:
        """Warm caches with what the caller seems to be saying. Best effort: gives way to everything else."""

    async def ends(self, text: str, language: str) -> float:
        """The probability, 0..1, that somebody who said ``text`` is done; negative where that cannot be told."""

    async def clone(self, name: str, samples: Samples, rate: int) -> list[str]:
        """From now on ``name`` is a voice like those of ``ready``: that of ``samples`` (n,) at ``rate`` Hz, of which
        the first 10 s are used. Returns the languages that it speaks. It outlives the host, not this process; of more
        than can be kept, the oldest is forgotten. One of that name that was made so before is replaced.

        Raises BadClip where no voice can be made of it, ModelsError where that is not allowed or not possible."""

    async def forget(self, name: str) -> bool:
        """Forget a voice that was made of a clip; whether there was one."""

    def speak(self, ask: Speak) -> AsyncGenerator[Speech, None]:
        """24 kHz samples of one clause, in order, each with the characters it says. Silence at both ends is trimmed."""
