"""docs/mobile.md: its React Native caller runs on libwebrtc against a real server; all four do what its list says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Open
from tests.dialogue.scripted import ScriptedModels
from tests.interop import sound
from tests.interop.clients import NODE, needs_node
from tests.server.conftest import serve as serve
from voxrtc.calls import Calls
from voxrtc.media.peer import Peer

DOCUMENT = Path(__file__).parents[2] / "docs" / "mobile.md"
CLIP = Path(__file__).parents[1] / "data" / "austen-0930.wav"
LANGUAGES = ("js", "dart", "swift", "kotlin")
LONG = "A long story about the sea, which goes on and on. " * 6
QUICK: dict[str, Any] = {"asr_s": 0.05, "first_token_s": 0.05, "token_s": 0.0, "voice_s": 0.0}
STEPS = {
    1: ["GET", "/ice", "ice_servers"],
    2: ["PeerConnection", "(?i)max.?bundle", "add.?Track|pc.add\\(", "[\"']voxrtc[\"']"],
    3: ["[oO]ffer", "setLocalDescription", '"?type', "resume", "silent_ms", "POST", "/offer"],
    4: ["session", "resume", "setRemoteDescription"],
    5: ["PATCH", "/offer/", "candidates", "sdp_mid", "sdp_mline_index"],
    6: ["call_ended", "call_moved"],
    7: ["inbound-rtp", "packetsReceived", "3.?5", "1.?5", "connect\\("],
    8: ["DELETE", "/offer/"],
}
"""What the code of each step must name, in the line of its number and the 1,600 characters after it."""


def code(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.S)
    return block


def listed() -> dict[int, str]:
    """The steps of the document's list, with what is on the wire."""
    rows = re.findall(r"^\| (\d) \| [^|]* \| ?([^|]*?) ?\|$", DOCUMENT.read_text(), re.M)
    return {int(number): wire for number, wire in rows}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_caller_takes_every_step(language: str) -> None:
    text = code(language)
    assert set(listed()) == set(STEPS)
    for number, names in STEPS.items():
        marks = [found.start() for found in re.finditer(rf"// {number}\b", text)]
        assert marks, f"no step {number}"
        around = "\n".join(text[text.rfind("\n", 0, mark) : mark + 1_600] for mark in marks)
        for name in names:
            assert re.search(name, around), f"step {number} without {name}"


# -- the wire ---------------------------------------------------------------------------------------------------


@dataclass
class Phone:
    """The process that runs the document's code."""

    process: asyncio.subprocess.Process
    told: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next event of ``kind`` with these fields."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                self.told.append(json.loads(line))
                event = self.told[-1].get("event", {})
                if event.get("type") == kind and all(event[name] == value for name, value in fields.items()):
                    return event
        raise AssertionError(f"it ended without {kind}")

    def do(self, what: str, **how: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what} | how).encode() + b"\n")

    async def hang_up(self) -> int:
        """Returns how many blocks of 10 ms were loud."""
        self.do("hangUp")
        async with asyncio.timeout(20):
            rest, _ = await self.process.communicate()
        self.told += [json.loads(line) for line in rest.splitlines()]
        return self.told[-1]["loud"]

    @property
    def asked(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(one["asked"], one["path"], one["body"] or {}) for one in self.told if "asked" in one]


@asynccontextmanager
async def calling(url: str, folder: Path) -> AsyncIterator[Phone]:
    sound.prepare(folder, CLIP)
    native = (NODE / "native.mjs").as_uri()
    (folder / "caller.mjs").write_text(code("js").replace('"react-native-webrtc"', f'"{native}"'))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(NODE / "mobile.mjs"), url, str(folder), stdin=pipe, stdout=pipe, limit=2**20
    )
    try:
        yield Phone(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def cut(calls: Calls) -> None:
    """The network takes the caller's line: nothing goes out or comes in any more."""
    (call,) = calls._calls.values()
    assert call.leg is not None
    assert isinstance(call.leg.line, Peer)
    for protocol in call.leg.line._pc.sctp.transport.transport._connection._protocols:
        protocol.transport.sendto = lambda *_: None
        protocol.datagram_received = lambda *_: None


@pytest.mark.models
async def test_the_document_s_own_code_calls(serve: Any, exchange: Open, silero: Any, tmp_path: Path) -> None:
    if missing := needs_node("@roamhq/wrtc")():
        pytest.skip(missing)
    models = ScriptedModels(words=["hello there"], replies=[LONG, "Yes."], by_turn=True, **QUICK)
    front = await serve(models, silero=silero)
    async with calling(front.url, tmp_path) as phone:
        await phone.until("call_started", resumed=False)
        phone.do("speak")
        assert (await phone.until("transcript", final=True))["text"] == "hello there"
        await phone.until("reply_spoken")
        cut(front.exchange.calls)
        await phone.until("call_started", resumed=True)
        await phone.until("reply_resumed")
        await phone.until("media_stats")
        await phone.until("media_stats")  # for two seconds
        phone.do("send", command={"type": "interrupt"})
        await phone.until("reply_ended", ended="interrupted")
        phone.do("send", command={"type": "text", "text": "And now?"})
        assert (await phone.until("reply_ended"))["text"] == "Yes."
        loud = await phone.hang_up()
    assert loud > 50, "blocks of 10 ms with sound"
    heard = max((models.heard_samples(n) for n, one in enumerate(models.answers) if one.audio), key=len)
    assert heard.size > 2 * 16_000, "the whole clip, and not only up to a pause in it"
    assert float(abs(heard).max()) > 0.05
    await front.exchange.settle(active=0, waiting=0)
    check_wire(phone.asked)


def check_wire(asked: list[tuple[str, str, dict[str, Any]]]) -> None:
    """What went over HTTP is what the document's list says, in its order."""
    said = {number: re.findall(r"`([^`]*)`", wire) for number, wire in listed().items()}
    lines = [(method + " " + path, body) for method, path, body in asked if method != "PATCH"]
    assert [line for line, _ in lines[:4]] == [said[1][0], said[3][0]] * 2
    assert list(lines[1][1]) == said[3][1:]
    assert list(lines[3][1]) == said[7][1:]
    assert 1_000 < lines[3][1]["silent_ms"] < 10_000
    assert re.fullmatch(said[8][0].replace("{session}", r"\w[\w-]*"), lines[-1][0])
    assert len(lines) == 5
    patches = [body for method, _, body in asked if method == "PATCH"]
    assert all(list(body) == said[5][1:] for body in patches)
    ends = [n for n, body in enumerate(patches) if body["candidates"][-1]["candidate"] == ""]
    assert len(ends) == 2, "one end of the candidates for each line"
    for body in patches:
        assert {tuple(one) for one in body["candidates"]} == {("candidate", "sdp_mid", "sdp_mline_index")}
