"""HostClient against a scripted profile in a real host process."""

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import uvloop

from voxrtc.errors import GaveWay, HostLost, ModelsError
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Answer, Heard, Prepare, Said, Speak, unpack
from voxrtc.settings import Settings


def ask(text: str, **more: object) -> Answer:
    return Answer(session="s", system="", history=[], text=text, **more)


async def said(client: HostClient, text: str) -> str:
    return "".join([item.text async for item in client.answer(ask(text))])


async def test_every_verb_is_answered(scripted):
    client = scripted()
    ready = await client.start()
    assert ready.profile == "scripted"
    assert client.ready == ready

    heard = await client.transcribe(np.zeros(1600, np.float32), "fr", partial=True)
    assert heard == Heard("1600 samples, partial True", "fr", 1.0)
    assert await client.ends("so be it", "en") == 0.08
    assert await client.ends("so sei es", "de") < 0, "not to be told"
    answered = [item async for item in client.answer(Answer("s", "", [], audio=b"\0\0\0\0"))]
    assert answered == [Heard("something", "en", 1.0), Said("0 ")]
    assert await client.prepare(Prepare("s", "", [], "hel")) is None
    speech = [item async for item in client.speak(Speak("count 3"))]
    assert [unpack(s.samples)[0] for s in speech] == [0, 1, 2]


async def test_words_that_cannot_be_read_are_an_error_of_that_ask(scripted):
    client = scripted()
    await client.start()
    with pytest.raises(ModelsError, match="this is not to be read"):
        await client.ends("refuse", "en")
    assert await client.ends("yes", "en") == 0.03


async def test_ten_minutes_of_audio_go_over_the_wire_and_more_than_may_is_refused(scripted):
    client = scripted()
    await client.start()
    heard = await client.transcribe(np.zeros(600 * 16_000, np.float32))
    assert heard.text.startswith("9600000 samples")
    with pytest.raises(ModelsError, match="too long"):
        await client.transcribe(np.zeros(1200 * 16_000, np.float32))
    assert await said(client, "hello") == "hello?"


async def test_a_guess_is_released(scripted):
    client = scripted()
    await client.start()
    guess, other = (client.answer(ask("urgency", guess=name)) for name in ("s/1", "s/2"))
    assert await anext(guess) == await anext(other) == Said("1")
    client.release("s/1")
    assert await anext(guess) == Said("0")
    assert await said(client, "urgency") == "00"
    await other.aclose()


async def test_a_guess_that_gives_way_says_so(scripted):
    client = scripted()
    await client.start()
    with pytest.raises(GaveWay, match="another caller"):
        await said(client, "way")


async def test_who_else_is_being_answered(scripted):
    client = scripted()
    await client.start()
    assert not client.answering(without="t")
    stream = client.answer(ask("hold one"))
    await anext(stream)
    assert client.answering(without="t")
    assert not client.answering(without="s")
    await stream.aclose()
    assert not client.answering(without="t")


async def test_guesses_are_the_first_to_be_refused(scripted):
    client = scripted(max_waiting=2)
    await client.start()
    guess = client.answer(ask("hold one", guess="s/1"))
    await anext(guess)
    with pytest.raises(ModelsError, match="waiting already"):
        await anext(client.answer(ask("hold two", guess="s/2")))
    assert await said(client, "hello") == "hello?"
    await guess.aclose()


async def test_streams_interleave(scripted):
    client = scripted()
    await client.start()
    slow = client.answer(ask("slow one"))
    assert await anext(slow) == Said("begun")
    assert await said(client, "count 50") == "".join(f"{n} " for n in range(50))
    assert await anext(slow) == Said(".")
    await slow.aclose()


@pytest.mark.parametrize("kind", ["slow", "hold"])
async def test_closing_a_stream_stops_the_work_in_the_host(scripted, kind):
    client = scripted()
    await client.start()
    stream = client.answer(ask(f"{kind} mine"))
    await anext(stream)
    await stream.aclose()
    assert await said(client, "until closed mine") == "closed"


async def test_cancelling_the_reading_task_stops_the_work_in_the_host(scripted):
    client = scripted()
    await client.start()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in client.answer(ask("hold mine")):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await said(client, "until closed mine") == "closed"


async def test_cancelling_what_prepares_stops_the_work_in_the_host(scripted):
    client = scripted()
    await client.start()
    task = asyncio.create_task(client.prepare(Prepare("s", "", [], "hold mine")))
    await asyncio.sleep(0)  # it is sent
    await said(client, "hello")  # and has begun: this came after it
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await said(client, "until closed mine") == "closed"


async def test_refusals_and_failures_are_errors_of_one_ask(scripted, caplog):
    caplog.set_level(logging.DEBUG)
    client = scripted()
    await client.start()
    with pytest.raises(ModelsError, match="this is not to be answered"):
        await said(client, "refuse")
    with pytest.raises(ModelsError, match=r"the model failed \(RuntimeError\)"):
        await said(client, "fail my bank account is 1234")
    assert await said(client, "hello") == "hello?"
    assert client.restarts == 0
    assert "1234" not in caplog.text  # no words of callers in the log


async def test_more_than_may_wait_is_busy_and_a_freed_place_is_taken(scripted):
    client = scripted(max_waiting=3)
    await client.start()
    held = [client.answer(ask(f"hold {n}")) for n in range(3)]
    for stream in held:
        await anext(stream)
    with pytest.raises(ModelsError, match="3 requests are waiting already"):
        await said(client, "hello")
    await held[0].aclose()
    while True:  # the place is free once the work has stopped, which is soon after the close
        try:
            assert await said(client, "until closed 0") == "closed"
            break
        except ModelsError:
            continue
    for stream in held[1:]:
        await stream.aclose()


async def test_killed_host_ends_streams_at_once_and_the_next_verb_is_answered(scripted):
    client = scripted()
    await client.start()
    first = client.pid
    held = client.answer(ask("hold it"))
    await anext(held)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(HostLost, match="died"):
        await anext(held)
    assert await said(client, "hello") == "hello?"  # waited for the new host
    assert client.restarts == 1
    assert client.pid != first


async def test_host_that_kills_itself_in_an_answer(scripted, caplog):
    client = scripted()
    await client.start()
    for restarts in (1, 2):
        with pytest.raises(HostLost):
            await said(client, "die")
        assert await said(client, "count 1") == "0 "
        assert client.restarts == restarts
    assert "killed by SIGKILL" in caplog.text


async def test_stopped_host_is_lost_only_when_it_dies_and_cancel_does_not_wait_for_it(scripted):
    client = scripted()
    await client.start()
    held = client.answer(ask("hold it"))
    await anext(held)
    os.kill(client.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            await held.aclose()
    finally:
        os.kill(client.pid, signal.SIGCONT)
    assert await said(client, "until closed it") == "closed"


async def test_reader_that_stays_behind_holds_up_nobody(scripted):
    client = scripted()
    await client.start()
    behind = client.answer(ask("count 4000"))
    assert await anext(behind) == Said("0 ")
    assert await said(client, "hello") == "hello?"
    assert len([item async for item in behind]) == 3999


async def test_reader_of_what_nobody_may_ask_for_is_told(scripted):
    client = scripted()
    await client.start()
    behind = client.answer(ask("count 100000"))
    assert await anext(behind) == Said("0 ")
    assert await said(client, "count 20000") != ""
    with pytest.raises(ModelsError, match="was not read as it came"):
        async for _ in behind:
            pass


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [("unloadable", "there is no model here; fetch one"), ("buggy", "cannot be loaded: ZeroDivisionError: oh")],
)
async def test_host_that_says_why_it_cannot_start_is_not_started_again(scripted, factory, sentence):
    client = scripted(factory)
    with pytest.raises(ModelsError, match=sentence):
        await client.start()
    assert client.restarts == 0
    with pytest.raises(ModelsError, match=sentence):
        await said(client, "hello")


async def test_host_that_dies_while_loading_tells_how_and_why(scripted):
    client = scripted("dying")
    with pytest.raises(ModelsError, match="code 7") as caught:
        await client.start()
    assert "no such instruction" in str(caught.value)


async def test_command_that_is_not_there():
    client = HostClient(Settings(), ["/nonexistent/python"])
    with pytest.raises(ModelsError, match="cannot be started: /nonexistent/python: No such file"):
        await client.start()
    await client.close()


async def test_command_that_is_no_host():
    client = HostClient(Settings(), [sys.executable, "-c", "raise SystemExit('not today')"])
    with pytest.raises(ModelsError, match="not today"):
        await client.start()
    await client.close()


async def test_load_that_takes_too_long_is_ended_with_what_to_do(scripted):
    client = scripted("endless", load_timeout_s=1.0)
    with pytest.raises(ModelsError, match="MODEL_LOAD_TIMEOUT"):
        await client.start()
    assert client.pid is None


async def test_fetching_does_not_count_as_loading(scripted):
    client = scripted("fetching", load_timeout_s=5.0)  # less than the fetch takes, more than Python does
    progress = []
    await client.start(lambda what, fraction: progress.append((what, fraction)))
    assert client.ready is not None
    assert ("fetching a-model", 0.1) in progress


async def test_close_ends_the_host_and_every_stream(scripted):
    client = scripted()
    await client.start()
    pid = client.pid
    held = client.answer(ask("hold it"))
    await anext(held)
    await client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(HostLost, match="shut down"):
        await anext(held)
    with pytest.raises(ModelsError, match="shut down"):
        await said(client, "hello")
    assert client.ready is None
    await client.close()


async def test_close_while_the_models_load(scripted):
    client = scripted("fetching")
    begun = asyncio.Event()
    starting = asyncio.create_task(client.start(lambda what, fraction: begun.set()))
    await begun.wait()
    await client.close()
    with pytest.raises(ModelsError, match="shut down"):
        await starting


async def test_lives_and_deaths_leave_nothing_behind(scripted, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tasks, descriptors = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    client = scripted()
    await client.start()
    for _ in range(3):
        assert stat.S_IMODE(next(tmp_path.glob("voxrtc-*")).stat().st_mode) == 0o700
        with pytest.raises(HostLost):
            await said(client, "die")
        assert await said(client, "count 1") == "0 "
    await client.close()
    assert not list(tmp_path.iterdir())
    assert len(asyncio.all_tasks()) == tasks
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_on_uvloop_too(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    async def use() -> None:
        command = [sys.executable, "-m", "voxrtc.models.host", "--profile-factory", "scripted:make"]
        client = HostClient(Settings(), command)
        await client.start()
        with pytest.raises(HostLost):
            await said(client, "die")
        assert await said(client, "hello") == "hello?"
        pid = client.pid
        async with asyncio.timeout(4):  # it exits when asked to: the kill would come after 6 s
            await client.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use())


async def test_not_started():
    with pytest.raises(ModelsError, match="not been started"):
        await said(HostClient(Settings()), "hello")
