"""The host process by itself: its socket, its manners towards bad clients, and when it ends."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from voxrtc.models.host import LISTENING, SWITCH_S, share_interpreter
from voxrtc.models.stream import MessageReader, frame, from_host
from voxrtc.models.wire import (
    Answer,
    Ask,
    Broken,
    Cancel,
    Done,
    Failed,
    FromHost,
    Item,
    Loading,
    Message,
    Prepare,
    Ready,
    Said,
)
from voxrtc.settings import Settings

HERE = Path(__file__).parent


class Raw:
    """A host with the test on its stdin, and connections to it."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self.process = process
        self.socket = socket

    async def connect(self) -> tuple[MessageReader[FromHost], asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        return from_host(reader), writer

    async def warm(self) -> tuple[MessageReader[FromHost], asyncio.StreamWriter]:
        messages, writer = await self.connect()
        while not isinstance(await messages.read(), Ready):
            pass
        return messages, writer


@pytest.fixture
async def spawn(tmp_path, monkeypatch) -> AsyncIterator[object]:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    processes = []

    async def start(factory: str = "make", settings: Settings = Settings()) -> Raw:  # noqa: B008 - frozen
        socket = tmp_path / "socket"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voxrtc.models.host", "--socket", str(socket)),
            *("--profile-factory", f"scripted:{factory}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        process.stdin.write(settings.model_dump_json().encode() + b"\n")
        assert (await process.stdout.readline()).decode().strip() == LISTENING
        return Raw(process, socket)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


def ask(number: int, text: str) -> bytes:
    return frame(Ask(number, Answer("s", "", [], text=text)))


async def closing(messages: MessageReader[FromHost], number: int) -> tuple[list[Message], Done | Failed]:
    """The items for ask ``number``, and how it was closed; others' messages are passed over."""
    items = []
    while True:
        match await messages.read():
            case Item(id=n, item=item) if n == number:
                items.append(item)
            case Done(id=n) | Failed(id=n) as last if n == number:
                return items, last
            case None:
                raise AssertionError("the host closed the connection")


async def test_socket_is_for_this_user_only(spawn):
    host = await spawn()
    assert stat.S_IMODE(host.socket.stat().st_mode) == 0o600


async def test_loading_then_ready_for_whoever_connects(spawn):
    host = await spawn()
    messages, _ = await host.connect()
    seen = [await messages.read()]
    while not isinstance(seen[-1], Ready):
        seen.append(await messages.read())
    assert all(isinstance(m, Loading) for m in seen[:-1])
    late, _ = await host.connect()
    assert await late.read() == seen[-1]


async def test_cancel_is_closed_with_done_and_a_second_one_is_harmless(spawn):
    host = await spawn()
    messages, writer = await host.warm()
    writer.write(ask(1, "hold mine"))
    assert await messages.read() == Item(1, Said("begun"))
    writer.write(frame(Cancel(1)) * 3 + frame(Cancel(99)))
    assert await closing(messages, 1) == ([], Done(1))
    writer.write(ask(2, "until closed mine"))
    assert await closing(messages, 2) == ([Said("closed")], Done(2))


async def test_ask_cancelled_before_it_began_is_closed_too(spawn):
    host = await spawn()
    messages, writer = await host.warm()
    writer.write(ask(1, "hold mine") + frame(Cancel(1)))
    assert (await closing(messages, 1))[1] == Done(1)


async def test_flood_is_busy_beyond_the_bound_and_every_ask_is_closed_once(spawn):
    host = await spawn(settings=Settings.model_validate({"models": {"max_waiting": 5}}))
    messages, writer = await host.warm()
    writer.write(b"".join(ask(n, f"hold {n}") for n in range(1, 201)))
    failed = [m async for m in take(messages, Failed, 195)]
    assert {m.id for m in failed} == set(range(6, 201))
    assert {m.code for m in failed} == {"busy"}
    writer.write(b"".join(frame(Cancel(n)) for n in range(1, 6)))
    assert {m.id async for m in take(messages, Done, 5)} == set(range(1, 6))


async def test_looks_ahead_leave_room_for_answers_and_end_when_they_are_cancelled(spawn):
    host = await spawn(settings=Settings.model_validate({"models": {"max_waiting": 6}}))
    messages, writer = await host.warm()
    writer.write(b"".join(frame(Ask(n, Prepare("other", "", [], f"hold {n}"))) for n in range(1, 21)))
    failed = {m.id async for m in take(messages, Failed, 17)}
    assert failed == set(range(4, 21))
    writer.write(ask(21, "count 1"))
    assert await closing(messages, 21) == ([Said("0 ")], Done(21))
    writer.write(frame(Cancel(2)))
    assert await closing(messages, 2) == ([], Done(2))
    writer.write(ask(22, "until closed 2"))
    assert await closing(messages, 22) == ([Said("closed")], Done(22))


async def take(messages, kind, count):
    while count:
        message = await messages.read()
        assert message is not None
        if isinstance(message, kind):
            count -= 1
            yield message


async def test_connection_that_drops_takes_its_asks_along(spawn):
    host = await spawn()
    messages, writer = await host.warm()
    writer.write(ask(1, "hold left"))
    await messages.read()
    writer.transport.abort()
    again, writer = await host.warm()
    writer.write(ask(1, "until closed left"))
    assert await closing(again, 1) == ([Said("closed")], Done(1))


async def test_client_that_does_not_read_slows_its_own_work_only(spawn):
    host = await spawn()
    _, deaf = await host.warm()
    deaf.write(ask(1, "count 100000000"))
    messages, writer = await host.warm()
    for number in range(1, 20):
        writer.write(ask(number, "count 10"))
        assert len((await closing(messages, number))[0]) == 10
    assert psutil.Process(host.process.pid).memory_info().rss < 300e6


async def test_client_that_only_asks_is_not_read_without_end(spawn):
    host = await spawn(settings=Settings.model_validate({"models": {"max_waiting": 1}}))
    _, deaf = await host.warm()
    deaf.write(ask(1, "hold it") + b"".join(ask(n, "hello") for n in range(2, 100_000)))
    messages, writer = await host.warm()
    writer.write(ask(1, "hello"))
    assert (await closing(messages, 1))[1].code == "busy"
    assert psutil.Process(host.process.pid).memory_info().rss < 300e6


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\3abc",
        b"\0\0\0\1\x90",
        frame(Done(1)),
        b"GET / HTTP/1.1\r\n\r\n",
        ask(7, "hold it") + ask(7, "hold it"),
    ],
)
async def test_nonsense_ends_that_connection_only(spawn, nonsense):
    host = await spawn()
    messages, writer = await host.warm()
    bad, bad_writer = await host.warm()
    bad_writer.write(nonsense)
    while await bad.read() is not None:
        pass
    writer.write(ask(1, "count 1"))
    assert await closing(messages, 1) == ([Said("0 ")], Done(1))


async def test_ask_before_the_models_are_loaded_is_refused(spawn):
    host = await spawn("endless")
    messages, writer = await host.connect()
    writer.write(ask(1, "hello"))
    _, last = await closing(messages, 1)
    assert isinstance(last, Failed)
    assert last.code == "refused"


async def test_host_that_cannot_load_says_why_and_exits(spawn):
    host = await spawn("unloadable")
    messages, _ = await host.connect()
    while isinstance(message := await messages.read(), Loading):
        pass
    assert message == Broken("there is no model here; fetch one")
    assert await host.process.wait() == 3


@pytest.mark.parametrize("factory", ["make", "endless"])
async def test_host_exits_when_its_stdin_ends(spawn, factory):
    host = await spawn(factory)
    host.process.stdin.close()
    assert await host.process.wait() in (0, 1)  # 1: its loading could not be stopped in time


async def test_sigterm_ends_it_with_work_under_way(spawn):
    host = await spawn()
    messages, writer = await host.warm()
    writer.write(ask(1, "slow mine"))
    await messages.read()
    host.process.send_signal(signal.SIGTERM)
    assert await host.process.wait() == 0


PARENT = """
import asyncio, sys
from voxrtc.settings import Settings
from voxrtc.models.client import HostClient

async def main():
    client = HostClient(Settings(), [sys.executable, "-m", "voxrtc.models.host", "--profile-factory", "scripted:make"])
    await client.start()
    print(client.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_host_exits_when_its_parent_is_killed(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    host = os.pidfd_open(int(await parent.stdout.readline()))
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(host, gone.set)
    parent.kill()
    await parent.wait()
    try:
        async with asyncio.timeout(20):
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(host)
        os.close(host)


@pytest.mark.parametrize(("profile", "changed"), [("voxtral", True), ("embedded", False)])
def test_threads_take_turns_more_often_beside_voxtral(profile: str, changed: bool) -> None:
    before = sys.getswitchinterval()
    try:
        share_interpreter(Settings.model_validate({"models": {"profile": profile}}))
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S if changed else before)
    finally:
        sys.setswitchinterval(before)
