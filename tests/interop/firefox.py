"""Firefox by WebDriver BiDi, which it speaks itself: no driver program, no client library."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FIREFOX = "firefox-esr"
STARTED = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
START_S = 30
ANSWER_S = 60
LONGEST_MESSAGE = 2**26

PREFERENCES: dict[str, bool | int | str] = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "extensions.update.enabled": False,
    "services.settings.server": "data:,",
}
"""Sound without a press, and nothing that phones home."""


class Refused(Exception):
    """A command came to nothing; Firefox says why."""


class Browser:
    """The one tab of a running Firefox. ``version``: as it tells it."""

    version = ""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._tab = ""

    async def begin(self) -> None:
        session = await self._command("session.new", capabilities={})
        self.version = session["capabilities"]["browserVersion"]
        (tab,) = (await self._command("browsingContext.getTree"))["contexts"]
        self._tab = tab["context"]

    async def open(self, url: str, first: str) -> None:
        """Open ``url``; the script ``first`` runs before the page's own."""
        await self._command("script.addPreloadScript", functionDeclaration=f"() => {{ {first} }}")
        await self._command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> str:
        """The string that ``expression``, or its promise, comes to. The page takes it for a press of the user's."""
        done = await self._command(
            "script.evaluate",
            expression=expression,
            target={"context": self._tab},
            awaitPromise=True,
            userActivation=True,
        )
        if done["type"] != "success":
            raise Refused(done["exceptionDetails"]["text"])
        return str(done["result"]["value"])

    async def _command(self, method: str, **parameters: object) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_S):
            while True:
                told = await self._socket.receive_json()
                if told.get("id") == number:
                    break
        if told["type"] == "error":
            raise Refused(f"{method}: {told['error']}: {told['message']}")
        return told["result"]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Browser]:
    """A headless Firefox with a profile of its own in ``folder``; ended, whatever happened."""
    profile = folder / "profile"
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    reading: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(START_S):
            while not (found := STARTED.search(line := await process.stderr.readline())):
                assert line, "Firefox ended before it could be driven"
        reading = asyncio.create_task(process.stderr.read())  # so that it never waits for a reader
        address = found[1].decode() + "/session"
        async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=LONGEST_MESSAGE) as socket:
            browser = Browser(socket)
            await browser.begin()
            yield browser
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading
