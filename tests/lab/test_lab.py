"""The lab is what it says: a symmetric NAT, a 1:1 NAT, walls that hold, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab import spaces
from tests.lab.lab import (
    CALLER,
    CALLER_MOBILE,
    CLOUD,
    HOME,
    HTTP_PORT,
    MEDIA_PORTS,
    MOBILE,
    SERVER,
    STUN_PORT,
    TLS_PORT,
    TURN,
    Lab,
)
from tests.lab.running import ROOT

DROPPED_S = 0.3
"""Seconds after which what did not come within one machine was dropped."""

MAKE_AND_WAIT = """
import sys
from tests.lab.lab import Lab
with Lab() as lab:
    print(*map(lab.spaces.name_of, lab.spaces.names), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_lab() -> Iterator[Lab]:
    """A lab without a server, in which a test may listen on any port."""
    with Lab("second") as lab:
        yield lab


def listening(lab: Lab, name: str, port: int, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.settimeout(DROPPED_S)
        return made

    return lab.spaces.inside(name, listen)


def seen(caller: socket.socket, address: str, at: socket.socket) -> tuple[str, int] | None:
    """Where a datagram from ``caller`` to ``address`` seems to come from; None if it does not come."""
    caller.sendto(b"here I am", (address, at.getsockname()[1]))
    try:
        return at.recvfrom(100)[1]
    except TimeoutError:
        return None


def reached(lab: Lab, address: str, port: int) -> bool:
    """Whether the caller can connect there by TCP."""

    def connect() -> bool:
        try:
            socket.create_connection((address, port), DROPPED_S).close()
        except TimeoutError:
            return False
        return True

    return lab.spaces.inside("caller", connect)


def test_the_home_is_a_symmetric_nat(other_lab: Lab) -> None:
    """One port inside is another outside for each destination (RFC 4787, 4.1), and stays it."""
    with (
        listening(other_lab, "caller", 5_000) as caller,
        listening(other_lab, "server", MEDIA_PORTS[0]) as server,
        listening(other_lab, "turn", STUN_PORT) as turn,
    ):
        to_server, to_turn = seen(caller, CLOUD, server), seen(caller, TURN, turn)
        assert to_server is not None
        assert to_turn is not None
        assert to_server[0] == to_turn[0] == HOME
        assert len({5_000, to_server[1], to_turn[1]}) == 3
        assert seen(caller, CLOUD, server) == to_server
        turn.sendto(b"not asked", to_server)
        server.sendto(b"an answer", to_server)
        assert caller.recvfrom(100) == (b"an answer", (CLOUD, MEDIA_PORTS[0]))


def test_the_cloud_is_a_one_to_one_nat_with_a_firewall(other_lab: Lab) -> None:
    with listening(other_lab, "server", 50_000) as server, listening(other_lab, "turn", STUN_PORT) as turn:
        assert seen(server, TURN, turn) == (CLOUD, 50_000)
        turn.sendto(b"an answer", (CLOUD, 50_000))
        assert server.recvfrom(100) == (b"an answer", (TURN, STUN_PORT))
    with listening(other_lab, "caller", 5_000) as caller, listening(other_lab, "server", 50_001) as closed:
        assert seen(caller, CLOUD, closed) is None
        assert seen(caller, SERVER, closed) is None
    with listening(other_lab, "server", HTTP_PORT, socket.SOCK_STREAM):
        assert reached(other_lab, CLOUD, 80)
        assert reached(other_lab, CLOUD, HTTP_PORT)


def test_the_walls_hold(other_lab: Lab) -> None:
    """What each lets out, and nothing else: [UDP to the server, UDP, TCP and TLS to the TURN server]."""
    lets_out = {
        "open": [True, True, True, True],
        "turn only": [False, True, True, True],
        "tcp only": [False, False, True, True],
        "web only": [False, False, False, True],
    }
    with (
        listening(other_lab, "caller", 5_000) as caller,
        listening(other_lab, "server", MEDIA_PORTS[0]) as server,
        listening(other_lab, "turn", STUN_PORT) as turn,
        listening(other_lab, "turn", STUN_PORT, socket.SOCK_STREAM),
        listening(other_lab, "turn", TLS_PORT, socket.SOCK_STREAM),
    ):
        for wall, expected in lets_out.items():
            other_lab.wall(wall)  # type: ignore[arg-type]
            udp = [seen(caller, CLOUD, server) is not None, seen(caller, TURN, turn) is not None]
            assert [*udp, reached(other_lab, TURN, STUN_PORT), reached(other_lab, TURN, TLS_PORT)] == expected, wall
        other_lab.wall("open")
        other_lab.counted()
        seen(caller, CLOUD, server)
        assert other_lab.counted() == {"direct": 1, "turn_udp": 0, "turn_tcp": 0, "turn_tls": 0, "relayed": 0}
        other_lab.without_turn(True)
        assert seen(caller, TURN, turn) is None
        assert not reached(other_lab, TURN, TLS_PORT)
        other_lab.without_turn(False)
        assert seen(caller, TURN, turn) is not None


def test_a_caller_moves(other_lab: Lab) -> None:
    addresses = ["-4", "-o", "addr", "show", "scope", "global", "up"]
    with listening(other_lab, "caller", 5_000) as caller, listening(other_lab, "server", MEDIA_PORTS[0]) as server:
        for move, inside, outside in (
            (other_lab.on_the_road, CALLER_MOBILE, MOBILE),
            (other_lab.at_home, CALLER, HOME),
        ):
            move()
            printed = spaces.run("ip", "-n", other_lab.spaces.name_of("caller"), *addresses)
            assert [line.split()[3] for line in printed.splitlines()] == [f"{inside}/24"]
            came_from = seen(caller, CLOUD, server)
            assert came_from is not None
            assert came_from[0] == outside
        other_lab.without_network()
        with pytest.raises(OSError, match="unreachable"):
            seen(caller, CLOUD, server)


def test_nothing_is_left_of_a_lab(other_lab: Lab) -> None:
    """Also when a test failed in it, and a process in it does not listen to SIGTERM."""
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(ZeroDivisionError):
        fail_in_a_lab(started)
    assert started[0].wait(1) == -signal.SIGKILL
    assert not list(spaces.MOUNTS.glob("*-third-*"))
    assert list(spaces.MOUNTS.glob("*-second-*")), "another lab is left alone"


def fail_in_a_lab(started: list[subprocess.Popen[bytes]]) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    with Lab("third") as lab:
        words = lab.spaces.command("caller", sys.executable, "-c", stubborn)
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE))
        assert started[0].stdout is not None
        with started[0].stdout as printed:
            printed.readline()
        raise ZeroDivisionError


def test_a_killed_run_is_swept_up_by_the_next(other_lab: Lab) -> None:
    words = [sys.executable, "-c", MAKE_AND_WAIT]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        names = killed.stdout.readline().split()
        assert len(names) == len(other_lab.spaces.names)
        inside = subprocess.Popen(["ip", "netns", "exec", names[0], "sleep", "60"])
        spaces.sweep()
        assert all((spaces.MOUNTS / name).exists() for name in names), "its process still runs"
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        spaces.sweep()
        assert not any((spaces.MOUNTS / name).exists() for name in names)
        assert inside.wait(1) == -signal.SIGTERM
    assert list(spaces.MOUNTS.glob("*-second-*")), "that of this process is left alone"
