"""The dialogue's end of the wire: the verbs of Models, and the keeping alive of the host that answers them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

from voxrtc.audio import Samples
from voxrtc.errors import HostLost, ModelsError
from voxrtc.models.clones import Clones
from voxrtc.models.connection import Connection, Stream
from voxrtc.models.process import HostProcess
from voxrtc.models.store import FETCHING, WAITING
from voxrtc.models.stream import MessageReader, from_host
from voxrtc.models.wire import (
    Answer,
    Broken,
    Ending,
    Ends,
    FromHost,
    Heard,
    Loading,
    Message,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    ToolCall,
    Transcribe,
    Verb,
    pack,
)
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "voxrtc.models.host")
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0
TRIES = 3
"""Starts in a row that may fail."""

LOST = "the model process died; it is being started again"

Progress = Callable[[str, float], None]
T = TypeVar("T", bound=Message)


class CannotStart(ModelsError):
    """The host says, or shows by its silence, that it cannot start."""


class HostClient:
    """Models in a host process of its own, started again whenever it dies. Implements verbs.Models.

    ``command`` starts the host; ``--socket PATH`` is appended. Use from one event loop.
    """

    def __init__(self, settings: Settings, command: Sequence[str] | None = None) -> None:
        self._settings = settings
        self._command = command or COMMAND
        self._supervisor: asyncio.Task[None] | None = None
        self._progress: Progress | None = None
        self._process: HostProcess | None = None
        self._connection: Connection | None = None
        self._ready: Ready | None = None
        self._been_ready = False
        self._closing = False
        self._failure: str | None = None
        self._settled = asyncio.Event()
        """Set while a verb need not wait: the models are warm, or will never be."""
        self._clones = Clones()
        self._answering: Counter[str] = Counter()
        """Answers under way, by session."""
        self.restarts = 0
        """How many times the host was started again."""

    @property
    def ready(self) -> Ready | None:
        return self._clones.beside(self._ready)

    @property
    def pid(self) -> int | None:
        """Of the host process, while there is one."""
        return self._process.pid if self._process else None

    async def start(self, progress: Progress | None = None) -> Ready:
        """Start the host; return once its models are warm. ``progress`` hears of this first load only.

        Raises ModelsError where it cannot start; close() is to be called all the same.
        """
        if self._supervisor is not None:
            raise RuntimeError("this HostClient was started before")
        self._progress = progress
        self._supervisor = asyncio.create_task(self._supervise())
        while self._ready is None:
            await self._settled.wait()
            if self._failure is not None:
                raise ModelsError(self._failure)
        return self._ready

    async def close(self) -> None:
        """End the host. Streams under way end with HostLost; verbs raise ModelsError from now on."""
        self._closing = True
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
        self._fail(self._failure or "the models have been shut down")

    # -- the verbs ------------------------------------------------------------------------------------------

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        heard: Heard | None = None
        ask = Transcribe(pack(audio), language, partial, patient)
        async with contextlib.aclosing(self._items(ask, Heard)) as items:
            async for item in items:
                heard = item
        if heard is None:
            raise ModelsError("the host gave no transcript")
        return heard

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        self._answering[ask.session] += 1
        try:
            async with contextlib.aclosing(self._items(ask, Heard, Said, ToolCall)) as items:
                async for item in items:
                    assert isinstance(item, Heard | Said | ToolCall)
                    yield item
        finally:
            self._answering[ask.session] -= 1
            self._answering += Counter()  # drops the zeros

    def answering(self, without: str) -> bool:
        return any(session != without for session in self._answering)

    def release(self, guess: str) -> None:
        if self._connection is not None:
            self._connection.release(guess)

    async def prepare(self, ask: Prepare) -> None:
        async with contextlib.aclosing(self._items(ask, Said)) as items:
            async for _ in items:
                pass

    async def ends(self, text: str, language: str) -> float:
        probability = -1.0
        async with contextlib.aclosing(self._items(Ends(text, language), Ending)) as items:
            async for item in items:
                probability = item.probability
        return probability

    async def clone(self, name: str, samples: Samples, rate: int) -> list[str]:
        return await self._clones.add(await self._connected(), name, samples, rate)

    async def forget(self, name: str) -> bool:
        return await self._clones.remove(self._connection, name)

    def speak(self, ask: Speak) -> AsyncGenerator[Speech, None]:
        return self._items(ask, Speech)

    async def _items(self, verb: Verb, *kinds: type[T]) -> AsyncGenerator[T, None]:
        """What comes back for ``verb``. Leaving it early, however that comes about, cancels the work in the host."""
        stream = await self._ask(verb)
        try:
            while (item := await stream.next()) is not None:
                if not isinstance(item, kinds):
                    raise ModelsError(f"the host answered {type(verb).__name__} with {type(item).__name__}")
                yield item
        finally:
            stream.close()

    async def _ask(self, verb: Verb) -> Stream:
        connection = await self._connected()
        if isinstance(verb, Speak):
            await self._clones.give(connection, verb.voice)
        return await connection.ask(verb)

    async def _connected(self) -> Connection:
        """The connection to a warm host, waited for where it is being started."""
        if self._supervisor is None:
            raise ModelsError("the models have not been started")
        limit = self._settings.models.load_timeout_s
        try:
            async with asyncio.timeout(limit):
                while (connection := self._connection) is None:
                    await self._settled.wait()
                    if self._failure is not None:
                        raise ModelsError(self._failure)
        except TimeoutError:
            raise HostLost(f"the models did not come back within {limit:.0f} s") from None
        return connection

    # -- keeping the host alive -------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except ModelsError as error:
            logger.error("the models are given up: %s", error)  # noqa: TRY400 - a sentence, not a bug
            self._fail(str(error))
        except Exception:
            self._fail("the keeper of the model process failed; the log has the details")
            logger.exception("the supervisor of the host failed")

    async def _keep_running(self) -> None:
        """Start the host again and again. Raises ModelsError once that is pointless."""
        failures, backoff = 0, FIRST_BACKOFF_S
        while True:
            try:
                await self._live()
                failures, backoff = 0, FIRST_BACKOFF_S
            except ModelsError as error:
                failures += 1
                if isinstance(error, CannotStart) and not self._been_ready:
                    raise  # it says why: a second try would take as long, and end in the same sentence
                logger.warning("start %d of the host failed: %s", failures, error)
                # A host that has run before and then dies while loading (out of memory, say) may run again.
                if failures >= TRIES and (isinstance(error, CannotStart) or not self._been_ready):
                    raise
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_S)
            self.restarts += 1

    async def _live(self) -> None:
        """One life of the host, from its start to its end. Raises ModelsError where it never became ready."""
        process = self._process = HostProcess(self._command, self._settings)
        kill = True
        try:
            await process.start()
            try:
                connection, messages = await self._load(process)
            except HostLost as error:
                await process.close()
                raise HostLost(_with_last_lines(f"{error}: it {process.ending()}", process)) from None
            try:
                await self._serve(connection, messages)
            finally:
                self._connection = self._ready = None
                self._settled.clear()
                connection.lose("the models are being shut down" if self._closing else LOST)
        except asyncio.CancelledError:
            kill = False  # close(): it may end in order
            raise
        finally:
            await process.close(kill=kill)
            self._process = None
        logger.warning("the host (pid %s) is gone: it %s", process.pid, process.ending())

    async def _load(self, process: HostProcess) -> tuple[Connection, MessageReader[FromHost]]:
        """Connect and wait until the models are warm. Raises CannotStart, or HostLost where the process ends."""
        limit = self._settings.models.load_timeout_s
        try:
            async with asyncio.timeout(limit) as deadline:
                reader, writer = await process.connect()
                messages = from_host(reader)
                while not isinstance(message := await _read(messages), Ready):
                    if isinstance(message, Broken):
                        raise CannotStart(message.message)
                    if isinstance(message, Loading):
                        self._loading(message, deadline, limit)
        except TimeoutError:
            raise CannotStart(
                f"the models were not loaded within {limit:.0f} s; "
                "raise models.load_timeout_s (MODEL_LOAD_TIMEOUT) if this machine needs longer"
            ) from None
        self._ready, self._connection = message, Connection(writer)
        self._been_ready, self._progress = True, None
        self._settled.set()
        return self._connection, messages

    def _loading(self, message: Loading, deadline: asyncio.Timeout, limit: float) -> None:
        """Pass progress on. Fetching a model takes as long as the network does, so the time-out stands still for it."""
        if self._progress is not None:
            self._progress(message.what, message.fraction)
        if message.what.startswith((FETCHING, WAITING)):
            deadline.reschedule(None)
        elif deadline.when() is None:
            deadline.reschedule(asyncio.get_running_loop().time() + limit)

    async def _serve(self, connection: Connection, messages: MessageReader[FromHost]) -> None:
        """Hand out what the host sends, until it ends or sends what cannot be understood."""
        try:
            while True:
                message = await _read(messages)
                if isinstance(message, Loading | Ready | Broken):
                    raise HostLost(f"the host sent {type(message).__name__} after it was ready")
                connection.receive(message)
        except ModelsError as error:
            logger.warning("the connection to the host ended: %s", error)

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._settled.set()


async def _read(messages: MessageReader[FromHost]) -> FromHost:
    """The next message. Raises HostLost where there is none, StreamBroken where it is none."""
    try:
        message = await messages.read()
    except ConnectionError as error:
        raise HostLost(f"the connection to the model process broke ({error.strerror or error})") from None
    if message is None:
        raise HostLost("the model process went away")
    return message


def _with_last_lines(sentence: str, process: HostProcess) -> str:
    """Before the models are ready no caller has spoken: what the process printed last is private to nobody."""
    return f"{sentence}\n{process.last_lines()}" if process.last_lines() else sentence
