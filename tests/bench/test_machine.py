"""What the processes cost, and where."""

import asyncio
import sys

import psutil

from voxrtc.bench.machine import Load, listening_pid, machine


def test_machine_is_described():
    found = machine()
    assert found["cores"] >= 1
    assert found["memory_mb"] > 100
    assert found["python"].startswith("3.")
    assert found["cpu"]


async def test_process_that_listens_is_found():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert listening_pid("127.0.0.1", port) == psutil.Process().pid
    assert listening_pid("voxrtc.example.org", port) is None
    server.close()
    await server.wait_closed()


async def test_server_and_its_children_are_told_apart():
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "child.kill(); child.wait()\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    await process.stdout.readline()
    async with Load(process.pid) as load:
        await asyncio.sleep(0.5)
    await process.communicate(b"")
    assert (load.cpu_percent("host") or 0.0) > (load.cpu_percent("server") or 0.0)
    assert (load.rss_mb("server") or 0.0) > 1.0
    assert (load.rss_mb("caller") or 0.0) > 10.0


async def test_no_server_to_be_seen_and_one_that_is_gone():
    async with Load(None) as load:
        pass
    assert load.cpu_percent("server") is None
    assert load.rss_mb("host") is None
    assert load.cpu_percent("caller") is not None
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    async with Load(gone.pid) as load:
        pass
    assert load.cpu_percent("server") is None
