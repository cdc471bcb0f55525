"""The host: the process that owns the models, and answers asks over a Unix socket.

Started by models.client as ``python -m voxrtc.models.host --socket PATH``, its settings one line of JSON on stdin.
Stdin then stays open for as long as the parent lives: its end is the order to exit, and comes however the parent
dies. One line on stdout says that the socket listens; the log goes to stderr. No words of callers are logged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxrtc.errors import BadClip, GaveWay, ModelsError, VoxrtcError
from voxrtc.models import profiles, quiet
from voxrtc.models.profiles import Profile
from voxrtc.models.stream import BUFFER, StreamBroken, frame, from_client
from voxrtc.models.urgency import FIRST, SPECULATIVE, Urgency
from voxrtc.models.wire import (
    Answer,
    Ask,
    Broken,
    Cancel,
    Clone,
    Done,
    Ends,
    Failed,
    Forget,
    Item,
    ItemOf,
    Loading,
    Message,
    Prepare,
    Ready,
    Release,
    Speak,
    Transcribe,
    Verb,
)
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

LISTENING = "voxrtc host: listening"
"""The line on stdout after which the socket can be connected to."""
EXIT_BROKEN = 3
EXIT_GRACE_S = 5.0
"""How long native code that does not return may hold up an exit that was ordered."""
ASK_WAIT_S = 5.0
"""How long a host that cannot start waits for somebody to tell it to."""

SWITCH_S = 0.0005
"""After how long a thread that wants the interpreter gets it, in a host of Voxtral (a tenth of Python's default).

The loop's thread lets the interpreter go while it waits for the GPU, once a step of some 4 ms; where another thread
works then (voices, features, the event loop under load) it would wait for up to 5 ms more each time."""

Make = Callable[[Settings], Profile]


@dataclass(slots=True, eq=False)
class Connection:
    """One client: what it has asked and how to write to it."""

    writer: asyncio.StreamWriter
    asks: dict[int, asyncio.Task[Done | Failed]] = field(default_factory=dict)
    guesses: dict[int, tuple[str, Urgency]] = field(default_factory=dict)
    """Of the asks, those that nobody waited for when they came."""

    def write(self, message: Message) -> None:
        """Queue a message. Only for those that are few and small; the others go through send()."""
        if not self.writer.is_closing():
            self.writer.write(frame(message))

    async def send(self, message: Message) -> None:
        """Queue a message, then wait until fewer than BUFFER bytes are unsent: a slow reader slows its own work."""
        self.write(message)
        with contextlib.suppress(ConnectionError):  # the reading side sees the same end and cancels this ask
            await self.writer.drain()


class Host:
    """Runs one profile for any number of connections."""

    def __init__(self, settings: Settings, make: Make) -> None:
        self._settings = settings
        self._make = make
        self._profile: Profile | None = None
        self._connections: set[Connection] = set()
        self._connected = asyncio.Event()
        self._state: Loading | Ready | Broken = Loading("starting", 0.0)
        self._waiting = 0
        """Asks under way, over all connections."""
        self._stop = asyncio.Event()

    async def run(self, socket: Path) -> int:
        """Listen, load, answer, until stop() or until the models cannot be loaded. Returns the exit code."""
        try:
            async with asyncio.TaskGroup() as group:
                before = os.umask(0o177)  # the socket is made with mode 0600, whatever the folder allows
                server = await asyncio.start_unix_server(
                    lambda r, w: self._accept(group, r, w), str(socket), limit=BUFFER
                )
                os.umask(before)
                print(LISTENING, flush=True)
                loading = group.create_task(self._load())
                await self._stop.wait()
                server.close()
                for connection in self._connections:
                    connection.writer.close()  # ends its reader, which cancels its asks
                loading.cancel()
        finally:
            if self._profile is not None:
                await self._profile.close()
        return EXIT_BROKEN if isinstance(self._state, Broken) else 0

    def stop(self) -> None:
        self._stop.set()

    # -- loading --------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()

        def progress(what: str, fraction: float) -> None:  # called from threads of the profile
            loop.call_soon_threadsafe(self._loading, what, fraction)

        began = time.monotonic()
        try:
            self._profile = self._make(self._settings)
            ready = await self._profile.load(progress)
        except VoxrtcError as error:
            await self._broken(str(error))
        except Exception as error:  # whatever a runtime raises must reach the client as a sentence
            logger.exception("the profile cannot be loaded")  # no caller has spoken yet: nothing private in it
            await self._broken(f"the models cannot be loaded: {type(error).__name__}: {error}")
        else:
            logger.info("ready after %.1f s", time.monotonic() - began)
            self._tell(ready)

    def _loading(self, what: str, fraction: float) -> None:
        """Tell a step of at least one percent."""
        state = self._state
        if isinstance(state, Loading) and (what != state.what or abs(fraction - state.fraction) >= 0.01):
            self._tell(Loading(what, fraction))

    async def _broken(self, message: str) -> None:
        self._state = Broken(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_WAIT_S):
                await self._connected.wait()
        self._tell(self._state)
        self._stop.set()

    def _tell(self, state: Loading | Ready | Broken) -> None:
        self._state = state
        for connection in self._connections:
            connection.write(state)

    # -- one connection -------------------------------------------------------------------------------------

    def _accept(self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        group.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read asks until the client is gone, then cancel what it left behind and wait for it to have stopped."""
        writer.transport.set_write_buffer_limits(high=BUFFER)
        connection = Connection(writer)
        connection.write(self._state)
        self._connections.add(connection)
        self._connected.set()
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    await self._read(connection, reader, group)
                except (StreamBroken, ConnectionError) as error:
                    logger.warning("a client's connection broke: %s", error)
                for number in connection.asks:
                    self._cancel(connection, number)
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _read(self, connection: Connection, reader: asyncio.StreamReader, group: asyncio.TaskGroup) -> None:
        messages = from_client(reader)
        while (message := await messages.read()) is not None:
            if isinstance(message, Ask):
                self._ask(connection, message, group)
            elif isinstance(message, Cancel):
                self._cancel(connection, message.id)
            elif isinstance(message, Release):
                self._release(connection, message.guess)
            elif isinstance(message, Forget) and isinstance(self._state, Ready):
                assert self._profile is not None
                self._profile.forget(message.name)
            await connection.writer.drain()  # a client that only asks, and never reads, is not read either

    def _ask(self, connection: Connection, ask: Ask, group: asyncio.TaskGroup) -> None:
        if ask.id in connection.asks:
            raise StreamBroken(f"ask {ask.id} was sent twice")
        if not isinstance(self._state, Ready):
            connection.write(Failed(ask.id, "refused", "the models are not loaded yet"))
        elif self._waiting >= self._room(ask.verb):
            connection.write(Failed(ask.id, "busy", f"{self._waiting} requests are waiting already; try again shortly"))
        else:
            self._waiting += 1
            guess = _guess(ask.verb)
            urgency = Urgency(SPECULATIVE if guess else FIRST)
            if guess:
                connection.guesses[ask.id] = (guess, urgency)
            task = group.create_task(self._answer(connection, ask, urgency))
            connection.asks[ask.id] = task
            task.add_done_callback(lambda task: self._close(connection, ask.id, task))

    def _room(self, verb: Verb) -> int:
        """How many asks may be under way for one more to be taken; half of that for guesses and looks ahead, which
        give way first, and for pieces of files."""
        room = self._settings.models.max_waiting
        yields = _guess(verb) or isinstance(verb, Prepare) or (isinstance(verb, Transcribe) and verb.patient)
        return (room + 1) // 2 if yields else room

    def _release(self, connection: Connection, guess: str) -> None:
        for name, urgency in connection.guesses.values():
            if name == guess:
                urgency.release()

    def _cancel(self, connection: Connection, number: int) -> None:
        """Cancel an ask once; a second cancellation would cut short the clean-up of the first."""
        task = connection.asks.get(number)
        if task is not None and not task.cancelling():
            task.cancel()

    async def _answer(self, connection: Connection, ask: Ask, urgency: Urgency) -> Done | Failed:
        """Do the work of one ask, sending what it gives. Returns the message that closes it."""
        assert self._profile is not None
        try:
            async with contextlib.aclosing(_work(self._profile, ask.verb, urgency)) as items:
                async for item in items:
                    await connection.send(Item(ask.id, item))
        except GaveWay as error:
            return Failed(ask.id, "gave_way", str(error))
        except BadClip as error:
            return Failed(ask.id, "bad_clip", str(error))
        except ModelsError as error:
            return Failed(ask.id, "refused", str(error))
        except Exception as error:  # noqa: BLE001 - one failed request must not end the others
            # Not logger.exception: the message of an error may hold the words it was given.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.warning("%s failed with %s\n%s", type(ask.verb).__name__, type(error).__name__, where)
            return Failed(ask.id, "broken", f"the model failed ({type(error).__name__})")
        return Done(ask.id)

    def _close(self, connection: Connection, number: int, task: asyncio.Task[Done | Failed]) -> None:
        """An ask is over, however it went: say so, and make room for another."""
        self._waiting -= 1
        del connection.asks[number]
        connection.guesses.pop(number, None)
        connection.write(Done(number) if task.cancelled() else task.result())


def _guess(verb: Verb) -> str:
    """Which guess ``verb`` is asked for; empty where somebody waits for it."""
    return verb.guess if isinstance(verb, Answer | Speak) else ""


def _work(profile: Profile, verb: Verb, urgency: Urgency) -> AsyncGenerator[ItemOf, None]:
    match verb:
        case Transcribe():
            return profile.transcribe(verb)
        case Answer():
            return profile.answer(verb, urgency)
        case Prepare():
            return profile.prepare(verb)
        case Ends():
            return profile.ends(verb)
        case Speak():
            return profile.speak(verb, urgency)
        case Clone():
            return profile.clone(verb)


# -- the process ----------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="voxrtc.models.host", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket to listen on")
    # For tests only: MODULE:FUNCTION that makes the profile, instead of the one that the settings name.
    parser.add_argument("--profile-factory", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    _log_to_stderr(settings.server.log_level)
    quiet.hush(settings.models)
    share_interpreter(settings)
    make = _factory(options.profile_factory) if options.profile_factory else profiles.make
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_run(Host(settings, make), options.socket))
    sys.stdout.flush()
    # Not sys.exit: a thread of a model runtime that never returns would be waited for without end.
    os._exit(code)


async def _run(host: Host, socket: Path) -> int:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        _exit_after(EXIT_GRACE_S)
        loop.call_soon_threadsafe(host.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    threading.Thread(target=_until_stdin_ends, args=(stop,), daemon=True, name="parent-watch").start()
    return await host.run(socket)


def _until_stdin_ends(stop: Callable[[], None]) -> None:
    """In a thread of its own, so that it works while native code keeps the loop from running.

    Stdin rather than PR_SET_PDEATHSIG: that follows the thread that started us, not the process, and misses a
    parent that died before it was set.
    """
    while os.read(0, 4096):
        pass
    stop()


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


def share_interpreter(settings: Settings) -> None:
    """Have threads take turns as often as the profile wants it."""
    if settings.models.profile == "voxtral":
        sys.setswitchinterval(SWITCH_S)


def _factory(name: str) -> Make:
    module, _, function = name.partition(":")
    make: Make = getattr(importlib.import_module(module), function)
    return make


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_to_stderr(level: str) -> None:
    """Lines that begin with <LEVEL>, so that the client can log them at it; what native code prints has none."""
    logging.basicConfig(stream=sys.stderr, level=level, format="<%(levelname)s>%(name)s: %(message)s")


if __name__ == "__main__":
    sys.exit(main())
