"""``voxrtc.Client``: one call from Python. It outlives its lines: one that breaks is replaced, and the call goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from aiortc import RTCIceServer
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.client.desk import Desk
from voxrtc.client.ear import Ear, write_wav
from voxrtc.client.failed import CallFailed
from voxrtc.client.functions import Functions
from voxrtc.client.line import OnEvent
from voxrtc.client.lines import Lines, Persistence
from voxrtc.client.microphone import Microphone
from voxrtc.client.packets import Stream, encode, room
from voxrtc.errors import AudioError
from voxrtc.sources import Guard, read

SILENT_S = 1.0
RECONNECT_S = 30.0
KEPT_EVENTS = 1_000
QUIET_S = 0.3
"""Of quiet, after which a reply is over also for the ear."""
ANSWER_S = 10.0
"""For what the server is to say at once."""
LONGEST_FILE_S = 900.0

Audio = NDArray[Any] | str | Path | AsyncIterable[NDArray[Any]]
T = TypeVar("T")


class Client:
    """One call to the server at ``url``: ``async with Client(url) as call``, or ``connect`` and at the end ``close``.

    ``async for event in call`` gives the events of docs/protocol.md as they are on the wire, from ``call_started`` on,
    and ends with the call; it raises CallFailed where the call broke and could not be taken up again. Of events that
    nobody iterates over the last 1,000 are kept. ``on_event`` is called with each besides, and the ``loop.time()`` of
    its arrival.

    ``functions``: Python functions, plain or async, with a docstring and types, that the model may call; they run here.
    ``bearer``: sent as ``Authorization: Bearer``. ``resume``: the ``token`` of a call whose line is gone, to go on with
    it. ``memory``: what ``export_memory`` gave, to begin with. ``record``: keep what is heard, 15 minutes at the most.
    ``reconnect_s``: for how long a broken line is tried to be replaced, 0 for not at all; what is being said waits
    meanwhile. ``silent_s``: of silence, after which a line is looked at. ``ice_servers``: STUN and TURN servers, of
    which aiortc uses the first of each; None asks the server for them. ``events``: False for a server that may tell of
    none; ``connect`` then waits for none.

    ``ended`` says why the call is over, once it is; ``started`` is the newest ``call_started``.
    """

    def __init__(
        self,
        url: str,
        *,
        functions: Sequence[Callable[..., Any]] = (),
        bearer: str | None = None,
        resume: str | None = None,
        memory: str | None = None,
        record: bool = True,
        reconnect_s: float = RECONNECT_S,
        silent_s: float = SILENT_S,
        ice_servers: Sequence[RTCIceServer] | None = None,
        events: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._memory = memory
        self._tells = events
        self._exported: str | None = None
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._broke = False
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._spoke_at = 0.0
        self.microphone = Microphone(room())
        self.ear = Ear(self._loop.time, keep=record)
        self._functions = Functions(functions, self._send_when_up)
        self._desk = Desk(url, bearer)
        keep = Persistence(reconnect_s, silent_s)
        self._lines = Lines(self._desk, self.microphone, self.ear, keep, ice_servers, self._hear, self._end)
        self._lines.token = resume
        self.on_event: OnEvent = lambda event, now: None
        self.started: dict[str, Any] = {}
        self.ended: str | None = None

    # -- from the beginning to the end ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Place the call, and wait until it is up: the server has said so (``started``), and what is said from now on
        comes after the functions. Raises CallFailed."""
        await self._lines.connect({} if self._memory is None else {"memory": self._memory})
        if self._tells and not await self.until(lambda: bool(self.started), ANSWER_S):
            raise CallFailed(f"the call did not begin: {self.ended or f'no call_started within {ANSWER_S:g} s'}")

    async def close(self) -> None:
        """Hang up and free everything."""
        await self._lines.let_go()
        try:
            if self._lines.session is not None and self.ended is None:
                await self._desk.hang_up(self._lines.session)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Free everything without a word: the call waits for whoever comes with its ``token``."""
        self._end("hung up")
        await self._functions.close()
        await self._lines.leave()
        await self._desk.close()

    @property
    def token(self) -> str | None:
        """With it another Client may go on with this call (``resume``), until the server forgets it."""
        return self._lines.token

    @property
    def offer_ms(self) -> float | None:
        """POST /offer sent to answer read, of the first line."""
        return None if self._lines.first is None else self._lines.first.offer_ms

    @property
    def connect_ms(self) -> float | None:
        """POST /offer sent to the data channel open (ICE, DTLS and SCTP done: both may speak), or to the first packet
        of the server's where it takes no data channel."""
        return None if self._lines.first is None else self._lines.first.connect_ms

    @property
    def first_packet_ms(self) -> float | None:
        """POST /offer sent to the server's first packet."""
        first, at = self._lines.first, self.ear.first_packet_at
        return None if first is None or at is None else (at - first.offered_at) * 1e3

    # -- what is said to the server -----------------------------------------------------------------------------

    async def speak(self, audio: Audio, rate: int = HEARD_RATE) -> None:
        """Say ``audio``; returns when it is sent. What is being said already is broken off.

        ``audio``: samples (n,) at ``rate`` Hz, float in [-1, 1] or int16; the name of a file in any form that FFmpeg
        reads; or what gives such samples piece by piece, as a microphone does, whose gaps are the silence of a room.
        Raises AudioError, and CallFailed where the call is over before all is sent.
        """
        if isinstance(audio, AsyncIterable):
            await self._speak_stream(aiter(audio), rate)
            return
        packets = await asyncio.to_thread(_packets, audio, rate)
        await self._while_up(self.microphone.started())
        self._spoke_at = self.microphone.play(packets)
        await self._while_up(self.microphone.sent())

    async def _speak_stream(self, audio: AsyncIterator[NDArray[Any]], rate: int) -> None:
        await self._while_up(self.microphone.started())
        stream = Stream(rate)
        self.microphone.stream(stream)
        self._spoke_at = self._loop.time()

        async def following() -> NDArray[Any] | None:
            return await anext(audio, None)

        try:
            while (samples := await self._while_up(following())) is not None:
                stream.put(_floats(samples))
                await self._while_up(stream.taken())
        finally:
            stream.end()
        await self._while_up(self.microphone.sent())

    def send(self, message: dict[str, Any]) -> None:
        """Any command of docs/protocol.md. Raises CallFailed where it cannot be sent now."""
        if self.ended is not None:
            raise CallFailed(f"nothing can be sent: {self.ended}")
        self._lines.send(message)

    def text(self, text: str, **how: Any) -> None:
        """Type ``text`` (1 to 4,000 characters), as a turn of its own; ``how``: ``respond`` and ``role``."""
        self._spoke_at = self._loop.time()
        self.send({"type": "text", "text": text} | how)

    def interrupt(self) -> None:
        """Stop the reply that is being spoken."""
        self.send({"type": "interrupt"})

    def configure(self, **settings: Any) -> None:
        """Change the call (docs/protocol.md): language, voice, interruptions, instructions, max_tokens ..."""
        self.send({"type": "config"} | settings)

    async def export_memory(self) -> str:
        """What is remembered of the conversation, as ``memory`` of another Client takes it. Raises CallFailed."""
        self._exported = None
        self.send({"type": "export_memory"})
        await self.until(lambda: self._exported is not None, ANSWER_S)
        if self._exported is None:
            raise CallFailed(f"the memory was not told: {self.ended or f'no answer within {ANSWER_S:g} s'}")
        return self._exported

    async def _send_when_up(self, message: dict[str, Any]) -> None:
        """As ``send``, once there is a line. Raises CallFailed where there will be none any more."""
        await self._while_up(self._lines.up.wait())
        self.send(message)

    # -- what comes from it ---------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._events:
            if self._broke:
                raise CallFailed(f"the call broke: {self.ended}")
            if self.ended is not None:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``condition`` holds (True), or the call is over or ``timeout_s`` has passed (False).

        Looked at after each event, and every 50 ms besides: quiet is a condition that no event announces.
        """
        deadline = self._loop.time() + timeout_s
        while not condition():
            now = self._loop.time()
            if self.ended is not None or now >= deadline:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(min(0.05, deadline - now)):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return True

    def heard(self) -> NDArray[np.int16]:
        """What was heard since this caller began to say something (or to type) last, from the first sound to the last:
        (n,) at 24 kHz, empty if there was none."""
        return self.ear.recording(self._spoke_at)

    async def save(self, file: str | Path) -> None:
        """Write ``heard``, once it is quiet, as a WAV file, 24 kHz mono. Raises AudioError."""
        await self.until(self._quiet, ANSWER_S)
        try:
            await asyncio.to_thread(write_wav, Path(file), self.heard())
        except OSError as error:
            raise AudioError(f"{file}: cannot be written: {error.strerror or error}") from None

    def _quiet(self) -> bool:
        last = self.ear.last_audible_at
        return last is None or self._loop.time() - last >= QUIET_S

    # -- below ------------------------------------------------------------------------------------------------------

    def _hear(self, event: dict[str, Any], now: float) -> None:
        kind = event.get("type")
        if kind == "call_started":
            self.started = event
            if self._functions.tools and not event.get("resumed"):
                self.send({"type": "config", "tools": self._functions.tools})
        elif kind == "memory_exported":
            self._exported = str(event.get("memory"))
        self._functions.take(event)
        self._events.append(event)
        self.on_event(event, now)
        self._changed.set()

    def _end(self, reason: str, broke: bool = False) -> None:
        if self.ended is None:
            self.ended, self._broke = reason, broke
        self._over.set()
        self._changed.set()

    async def _while_up(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` gives. Raises CallFailed where the call is over before."""
        doing, over = asyncio.ensure_future(work), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((doing, over), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
        finally:
            for task in (doing, over):
                task.cancel()
            await asyncio.gather(doing, over, return_exceptions=True)
        raise CallFailed(f"the call is over: {self.ended}")


def _packets(audio: NDArray[Any] | str | Path, rate: int) -> list[bytes]:
    """Raises AudioError."""
    if isinstance(audio, str | Path):
        return encode(read(Path(audio), Guard(max_seconds=LONGEST_FILE_S)))
    return encode(_floats(audio), rate=rate)


def _floats(samples: NDArray[Any]) -> Samples:
    """Raises AudioError where they are no mono samples."""
    if samples.ndim != 1 or samples.dtype.kind not in "fi":
        raise AudioError(f"samples are (n,) float or int16, mono; these are {samples.shape} {samples.dtype}")
    if samples.dtype.kind == "i":
        return np.asarray(samples, np.float32) / np.float32(32_768)
    return np.asarray(samples, np.float32)
