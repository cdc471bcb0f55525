"""The foreign clients: what each is, what it needs to run, and how one call of it is had."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from playwright.async_api import async_playwright

from tests.chromium import AUTOPLAY, CHROMIUM, FLAGS
from tests.e2e.speech import script
from tests.interop import firefox, sound

HERE = Path(__file__).parent
NODE = HERE / "node"
PROGRAMS = HERE / "programs"
SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's, for which its packages of GStreamer's bindings are made."""

LONGEST_CALL_S = 50
SPEECH_AT_S = 20.0
"""Where in the browsers' microphone the speech begins: the silence before it lasts until the call is up."""

ELEMENTS = ("webrtcbin", "nicesrc", "dtlsenc", "srtpenc", "sctpenc", "opusenc", "opusdec", "rtpopuspay", "appsrc")
ASK_GSTREAMER = f"""
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
missing = [name for name in {ELEMENTS!r} if Gst.ElementFactory.find(name) is None]
raise SystemExit("no element " + ", ".join(missing) if missing else 0)
"""

Call: TypeAlias = Callable[[str, Path, Path], Awaitable[dict[str, Any]]]
"""(server's URL, folder to work in, WAV file to say) to the report; what was heard lies in the folder."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client of the suite. ``missing`` says why it cannot run here, or nothing; ``note`` goes into the matrix."""

    name: str
    stack: str
    call: Call
    missing: Callable[[], str | None]
    note: str


async def run(folder: Path, *command: str) -> dict[str, Any]:
    """A client that is a program: run it, and read its report."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(LONGEST_CALL_S):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        printed, _ = await process.communicate()
        raise AssertionError(f"not done after {LONGEST_CALL_S} s: {printed.decode()[-2000:]}") from None
    assert process.returncode == 0, f"status {process.returncode}: {printed.decode()[-2000:]}"
    return json.loads((folder / "report.json").read_text())


# -- browsers -------------------------------------------------------------------------------------------------


def page_script(folder: Path, clip: Path) -> str:
    """page.js with its microphone."""
    microphone = script(folder / "microphone.wav", SPEECH_AT_S, clip, 40.0)
    text = (HERE / "page.js").read_text().replace("SPEECH_AT", str(SPEECH_AT_S - sound.LEAD_S))
    return text.replace("CLIP", base64.b64encode(microphone.read_bytes()).decode())


def page_report(folder: Path, told: str, version: str) -> dict[str, Any]:
    report = json.loads(told)
    (folder / "heard.webm").write_bytes(base64.b64decode(report.pop("heard")))
    assert report["complaints"] == []
    assert report["hung_up"] == 204
    return report | {"version": version, "runs_on": "the real page"}


async def call_chromium(url: str, folder: Path, clip: Path) -> dict[str, Any]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, AUTOPLAY], ignore_default_args=["--mute-audio"]
        )
        try:
            page = await browser.new_page()
            await page.add_init_script(page_script(folder, clip))
            await page.goto(url)
            async with asyncio.timeout(LONGEST_CALL_S):
                return page_report(folder, await page.evaluate("interop()"), browser.version)
        finally:
            await browser.close()


async def call_firefox(url: str, folder: Path, clip: Path) -> dict[str, Any]:
    async with firefox.running(folder) as browser, asyncio.timeout(LONGEST_CALL_S):
        await browser.open(url, page_script(folder, clip))
        return page_report(folder, await browser.evaluate("interop()"), browser.version)


def needs(program: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(program) else f"no program {program} (tests/packages.sh installs it)"


# -- programs ---------------------------------------------------------------------------------------------------


def node(name: str, frame_ms: float | None = None, *, dtx: bool = False) -> Call:
    """A caller of node/; with ``frame_ms`` one that has no codec, and is given packets of that size."""

    async def call(url: str, folder: Path, clip: Path) -> dict[str, Any]:
        samples = sound.prepare(folder, clip)
        if frame_ms is not None:
            sound.prepare_packets(folder, samples, frame_ms, dtx=dtx)
        return await run(folder, "node", str(NODE / f"{name}.mjs"), url, str(folder))

    return call


def needs_node(package: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if not (NODE / "node_modules" / package).is_dir():
            return f"npm package {package} is not installed (make test does it)"
        return needs("node")()

    return missing


def python(program: str, interpreter: str) -> Call:
    async def call(url: str, folder: Path, clip: Path) -> dict[str, Any]:
        sound.prepare(folder, clip)
        return await run(folder, interpreter, str(PROGRAMS / program), url, str(folder))

    return call


def needs_wrtc() -> str | None:
    return None if importlib.util.find_spec("wrtc") else "wrtc has no wheel for this machine and Python"


def needs_gstreamer() -> str | None:
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    asked = subprocess.run([SYSTEM_PYTHON, "-c", ASK_GSTREAMER], capture_output=True, text=True, timeout=60)
    said = asked.stderr.strip().splitlines() or ["it crashed"]
    return None if asked.returncode == 0 else f"GStreamer: {said[-1]}"


CLIENTS = (
    Client(
        "Chromium",
        "libwebrtc",
        call_chromium,
        needs(CHROMIUM),
        "Calls from voxrtc's own page, headless.",
    ),
    Client(
        "Firefox ESR",
        "Firefox (nICEr, NSS, libwebrtc's audio)",
        call_firefox,
        needs(firefox.FIREFOX),
        "Calls from voxrtc's own page, headless. On a machine without a sound card its AudioContext never runs, so the "
        "page's ring stands still there; the call is not affected.",
    ),
    Client(
        "@roamhq/wrtc",
        "libwebrtc, as in the phone SDKs",
        node("roamhq"),
        needs_node("@roamhq/wrtc"),
        "Offers its candidates in the offer as well as by trickle, loopback among them.",
    ),
    Client(
        "werift",
        "TypeScript throughout",
        node("werift", 10, dtx=True),
        needs_node("werift"),
        "Has no codec: it is given Opus packets of 10 ms, encoded with DTX. Drops a ClientHello that comes before its "
        "own ICE is done; voxrtc says it again after 0.1 s (media/dtls.py), so that this costs no whole second.",
    ),
    Client(
        "node-datachannel",
        "libdatachannel (libjuice, usrsctp, libsrtp)",
        node("node-datachannel", 60),
        needs_node("node-datachannel"),
        "Has no codec: it is given Opus packets of 60 ms. Names its lines `audio` and `0`.",
    ),
    Client(
        "GStreamer webrtcbin",
        "libnice, GStreamer's DTLS on OpenSSL, usrsctp, libsrtp",
        python("gstreamer_caller.py", SYSTEM_PYTHON),
        needs_gstreamer,
        "Sends 40 ms. Its certificate is RSA, for which voxrtc adds cipher suites to aiortc's (media/dtls.py); making "
        "the key takes it half a second or more before it can offer.",
    ),
    Client(
        "wrtc (PyPI)",
        "libwebrtc, from Python",
        python("wrtc_caller.py", sys.executable),
        needs_wrtc,
        "Chrome's engine once more, with Python in front.",
    ),
)
