"""Network namespaces: made together, removed together, also those of a run that was killed before it could do so."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

MOUNTS = Path("/run/netns")
PREFIX = "voxlab"
"""Of every namespace's name, voxlab-PID-BEGAN-GROUP-NAME: the process that made it, and when that began."""

CLONE_NEWNET = 0x4000_0000
END_S = 2.0
T = TypeVar("T")


def missing() -> str | None:
    """Why there can be no namespaces here, as a sentence; None where there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may make network namespaces"
    for program in ("ip", "nft", "turnserver"):
        if shutil.which(program) is None:
            return f"there is no program named {program} (tests/packages.sh installs it)"
    probe = Spaces("probe").name_of("probe")
    tried = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        nat = "add table ip nat\nadd chain ip nat out { type nat hook postrouting priority srcnat; }"
        check = ["ip", "netns", "exec", probe, "nft", "-f", "-"]
        tried = subprocess.run(check, input=nat, capture_output=True, text=True, check=False)
        run("ip", "netns", "del", probe)
    return None if tried.returncode == 0 else f"the kernel refuses: {tried.stderr.strip() or tried.stdout.strip()}"


def run(*command: str, stdin: str = "") -> str:
    """Run a command to its end; what it printed. Raises RuntimeError with what it said where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}\n{stdin}")
    return done.stdout


class Spaces:
    """Namespaces by short names, in ``with``. At the end whatever still runs in them is ended and they are removed."""

    def __init__(self, group: str, *names: str) -> None:
        """``group``: tells those of one process apart."""
        self.names = names
        self._prefix = f"{PREFIX}-{os.getpid()}-{_began(os.getpid())}-{group}"

    def name_of(self, name: str) -> str:
        """The full name of ``name``."""
        return f"{self._prefix}-{name}"

    def __enter__(self) -> Spaces:
        sweep()
        try:
            for name in self.names:
                run("ip", "netns", "add", self.name_of(name))
                self.ip(name, "link set lo up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def remove(self) -> None:
        for name in self.names:
            if (MOUNTS / self.name_of(name)).exists():
                remove(self.name_of(name))

    def join(self, one: str, interface: str, other: str, its: str) -> None:
        """A cable from ``interface`` of ``one`` to the interface ``its`` of ``other``; both are still down."""
        ends = (
            interface,
            "netns",
            self.name_of(one),
            "type",
            "veth",
            "peer",
            "name",
            its,
            "netns",
            self.name_of(other),
        )
        run("ip", "link", "add", *ends)

    def ip(self, name: str, *lines: str) -> None:
        """Commands of ``ip`` in ``name``, one after another."""
        run("ip", "-n", self.name_of(name), "-batch", "-", stdin="\n".join(lines))

    def nft(self, name: str, rules: str) -> None:
        """Rules of ``nft`` in ``name``, all or none of them."""
        run(*self.command(name, "nft", "-f", "-"), stdin=rules)

    def command(self, name: str, *command: str) -> list[str]:
        """``command`` as it is run in ``name``."""
        return ["ip", "netns", "exec", self.name_of(name), *command]

    def inside(self, name: str, do: Callable[[], T]) -> T:
        """What ``do`` returns in ``name``: only the sockets of this thread that are made meanwhile are there."""
        with Path("/proc/thread-self/ns/net").open() as here, (MOUNTS / self.name_of(name)).open() as there:
            _setns(there.fileno())
            try:
                return do()
            finally:
                _setns(here.fileno())


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def sweep() -> None:
    """Remove the namespaces of processes that are gone, and end what still runs in them."""
    for space in MOUNTS.glob(f"{PREFIX}-*"):
        _, pid, began, *_ = [*space.name.split("-"), "", ""]
        if not pid.isdigit() or _began(int(pid)) != began:
            remove(space.name)


def _began(pid: int) -> str:
    """When a process began, in ticks since the machine did (proc(5), stat, field 22); empty where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def remove(full_name: str) -> None:
    """End what runs in a namespace, politely at first, and remove it; the interfaces in it go with it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with ExitStack() as open_ones:
            processes = []
            for pid in run("ip", "netns", "pids", full_name).split():
                with contextlib.suppress(ProcessLookupError):
                    processes.append(os.pidfd_open(int(pid)))
                    open_ones.callback(os.close, processes[-1])
                    signal.pidfd_send_signal(processes[-1], how)
            _until_ended(processes, END_S)
    run("ip", "netns", "del", full_name)


def _until_ended(processes: list[int], seconds: float) -> None:
    """Wait for processes (pidfd_open(2)); whoever began one can still ask for its exit status."""
    until = time.monotonic() + seconds
    while processes and (left := until - time.monotonic()) > 0:
        ended, _, _ = select.select(processes, [], [], left)
        processes = [process for process in processes if process not in ended]
