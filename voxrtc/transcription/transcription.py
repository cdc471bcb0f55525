"""One recording through the models: cut in its pauses, several windows under way at once, told in order.

A window is what lies between two cuts, without the silence at its ends. A language that is not given is detected in
the first windows, by the majority of their seconds, and then kept: a window that had been taken for another is heard
again. What fails in one window fails the whole, since a transcript with a hole in it looks like one without.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import islice

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.errors import HostLost, ModelsError
from voxrtc.models.asr.cutting import Limits, Piece, cut
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard
from voxrtc.transcription.transcript import Segment, Transcript, gather

LIMITS = Limits(10.0, 28.0, 2.0)
"""Whisper's and Voxtral's windows hold 30 s, and whisper wants 1.5 s of silence after the last word. Word errors of
whisper-base in 11 minutes of joined clips, 1,472 words: 0.7 % with these and from 6 s on, 0.9 % with 6 to 15 s and
pauses of 1 s, 0.8 % with 22 to 28 s; 1.1 % in the clips one by one. So the windows may be as short as is of use."""
MARGIN = int(0.3 * HEARD_RATE)
"""Samples of the silence around a window that are given with it: onsets may be softer than what counts as sound."""
LEAST = int(0.1 * HEARD_RATE)
"""Less sound than this is a click and not asked about."""
IN_FLIGHT = 4
"""Windows asked for at once: a profile that batches works on all of them. Also those that wait for an earlier one."""

Progress = Callable[[float], None]
"""Told how far it is, 0..1."""


async def transcribe(
    models: Models,
    samples: Samples,
    language: str | None = None,
    progress: Progress | None = None,
    in_flight: int = IN_FLIGHT,
) -> Transcript:
    """What is said in ``samples`` (n,) at 16 kHz, n of any size. ``language``: ISO 639-1; None, "" or "auto" detects.

    Cancelling it stops the work in the host. Raises ModelsError, which says at what time of the recording.
    """
    work = Transcription(models, samples, language, progress, in_flight)
    async with contextlib.aclosing(work.segments()) as segments:
        found = [segment async for segment in segments]
    return gather(found, work.language, samples.size / HEARD_RATE)


class Transcription:
    """A recording that is being transcribed: for who wants the segments as they come."""

    def __init__(
        self,
        models: Models,
        samples: Samples,
        language: str | None = None,
        progress: Progress | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        """As in transcribe()."""
        self.language = "" if language in (None, "", "auto") else str(language)
        """Empty until it is known."""
        self._models = models
        self._samples = samples
        self._progress = progress
        self._in_flight = in_flight

    async def segments(self) -> AsyncGenerator[Segment, None]:
        """The windows in which something is said, in order. To be run once; closing it stops the work."""
        pieces = await asyncio.to_thread(cut, self._samples, LIMITS)
        windows = iter([piece for piece in pieces if piece.last - piece.first >= LEAST])
        while not self.language and (first := list(islice(windows, self._in_flight))):
            for piece, heard in await self._detect(first):
                if segment := self._segment(piece, heard):
                    yield segment
        async with contextlib.aclosing(self._hear(windows, self.language)) as rest:
            async for piece, heard in rest:
                if segment := self._segment(piece, heard):
                    yield segment
        self._tell(self._samples.size)

    async def _detect(self, pieces: Iterable[Piece]) -> list[tuple[Piece, Heard]]:
        """``pieces`` heard in whatever language each seems to be in, then all in the one that most of them are in."""
        async with contextlib.aclosing(self._hear(pieces, "")) as hearing:
            found = [(piece, heard) async for piece, heard in hearing]
        votes: Counter[str] = Counter()
        for piece, heard in found:
            if heard.text.strip() and heard.language:
                votes[heard.language] += piece.last - piece.first
        if not votes:
            return found
        self.language = max(votes, key=lambda language: (votes[language], language))
        others = [piece for piece, heard in found if heard.language not in ("", self.language)]
        async with contextlib.aclosing(self._hear(others, self.language)) as hearing:
            again = {piece.start: heard async for piece, heard in hearing}
        return [(piece, again.get(piece.start, heard)) for piece, heard in found]

    async def _hear(self, pieces: Iterable[Piece], language: str) -> AsyncGenerator[tuple[Piece, Heard], None]:
        """Each piece with what is heard in it, in order, with no more than ``in_flight`` asked and not yet told."""
        rest = iter(pieces)
        pending: deque[tuple[Piece, asyncio.Task[Heard]]] = deque()
        try:
            while True:
                for piece in islice(rest, self._in_flight - len(pending)):
                    pending.append((piece, asyncio.create_task(self._ask(piece, language))))
                if not pending:
                    return
                heard = await pending[0][1]
                yield pending.popleft()[0], heard
        finally:
            for _, task in pending:
                task.cancel()
            await asyncio.gather(*(task for _, task in pending), return_exceptions=True)

    async def _ask(self, piece: Piece, language: str) -> Heard:
        sound = self._samples[max(piece.start, piece.first - MARGIN) : min(piece.end, piece.last + MARGIN)]
        try:
            return await self._models.transcribe(sound, language or None, patient=True)
        except ModelsError as error:
            kind = HostLost if isinstance(error, HostLost) else ModelsError
            where = f"{clock(piece.first / HEARD_RATE)} to {clock(piece.last / HEARD_RATE)}"
            raise kind(f"what is said from {where} could not be transcribed: {error}") from error

    def _segment(self, piece: Piece, heard: Heard) -> Segment | None:
        self._tell(piece.end)
        text = " ".join(heard.text.split())
        if not text:
            return None
        return Segment(piece.first / HEARD_RATE, piece.last / HEARD_RATE, text, heard.confidence)

    def _tell(self, position: int) -> None:
        if self._progress is not None:
            self._progress(position / self._samples.size if self._samples.size else 1.0)


def clock(seconds: float) -> str:
    """m:ss, or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
