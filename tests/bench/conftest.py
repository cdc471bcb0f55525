"""A server that answers with tones, and clips that it understands."""

import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tone_server import Behaviour, ToneServer, speech

from voxrtc.audio import to_pcm16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips with their words."""
    for name, seconds, words in (("a", 0.8, "One, two three!"), ("b", 0.6, "four five")):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(to_pcm16(speech(seconds)))
        (tmp_path / f"{name}.txt").write_text(words + "\n")
    return tmp_path


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Behaviour], Awaitable[ToneServer]]]:
    """Starts a tone server that behaves as told; all are closed at the end."""
    servers: list[ToneServer] = []

    async def start(behaviour: Behaviour) -> ToneServer:
        servers.append(ToneServer(behaviour))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.close()
