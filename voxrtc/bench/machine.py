"""The machine a figure was measured on, and what a server's processes cost it.

psutil is imported where processes are watched: a machine that only measures a GPU need not have it.
"""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

SAMPLE_EVERY_S = 2.0
MIB = 1_048_576
LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


def machine() -> dict[str, Any]:
    """CPU model, cores that may be used, memory, system and Python of this machine."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def today() -> str:
    """The date and time, in UTC, as ISO 8601 has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def listening_pid(host: str | None, port: int | None) -> int | None:
    """The process that listens on ``port`` here; None if ``host`` is another machine, or it may not be seen."""
    if host not in LOCAL or port is None:
        return None
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    pids = (c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port)
    return next((pid for pid in pids if pid is not None), None)


class Load:
    """Watches a server process, its children (the model host) and this process (the caller), from start to stop.

    CPU is in percent of one core; a process that dies in between counts until it was last seen. Memory is the most
    that all processes of a role held at one time.
    """

    def __init__(self, server: int | None) -> None:
        self._server = server
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._role: dict[int, str] = {}
        self._rss: dict[str, int] = {}
        self._began = self._ended = 0.0
        self._began_unix = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._began, self._began_unix = monotonic(), time()
        self._sample()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._sample()
        self._ended = monotonic()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            self._sample()

    def _sample(self) -> None:
        import psutil

        now = {"caller": self._look(psutil.Process(), "caller")}
        try:
            if self._server is not None:
                server = psutil.Process(self._server)
                now["server"] = self._look(server, "server")
                now["host"] = sum(self._look(child, "host") for child in server.children(recursive=True))
        except psutil.NoSuchProcess:
            pass  # it died; what was seen of it stands
        for role, rss in now.items():
            self._rss[role] = max(self._rss.get(role, 0), rss)

    def _look(self, process: psutil.Process, role: str) -> int:
        """Note the CPU time of ``process``; returns the memory it holds."""
        import psutil

        try:
            with process.oneshot():
                times, rss, made = process.cpu_times(), process.memory_info().rss, process.create_time()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0
        used = times.user + times.system
        self._first.setdefault(process.pid, 0.0 if made > self._began_unix else used)
        self._last[process.pid] = used
        self._role[process.pid] = role
        return int(rss)

    def cpu_percent(self, role: str) -> float | None:
        """Of one core, over the whole time; ``role``: caller, server or host. None if there was no such process."""
        wall = self._ended - self._began
        used = [self._last[pid] - self._first[pid] for pid, its in self._role.items() if its == role]
        return round(100.0 * sum(used) / wall, 2) if used and wall > 0 else None

    def rss_mb(self, role: str) -> float | None:
        """The most memory held at one time, in MiB; None if there was no such process."""
        rss = self._rss.get(role)
        return round(rss / MIB, 1) if rss else None
