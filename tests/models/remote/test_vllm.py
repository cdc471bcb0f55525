"""The real vLLM, on the CPU, with a tiny Voxtral of random weights: the same conversation as with the stand-in.

Only where VOXRTC_TEST_VLLM names a vllm to start; vllm.sh beside this file makes one.
"""

import asyncio
import contextlib
import json
import os
import signal
import wave
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.models.remote.conftest import settings
from tests.models.remote.fake import MODEL
from voxrtc.audio import from_pcm16
from voxrtc.errors import ModelsError
from voxrtc.models.client import HostClient
from voxrtc.models.remote.profile import Remote
from voxrtc.models.remote.transcripts import UNKNOWN
from voxrtc.models.wire import Answer, Heard, Said, Tool, Transcribe, Utterance, pack

VLLM = os.environ.get("VOXRTC_TEST_VLLM", "")
pytestmark = [
    pytest.mark.skipif(not VLLM, reason="VOXRTC_TEST_VLLM names no vllm (tests/models/remote/vllm.sh makes one)"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]
START_S = 400
PARAMS = {
    "dim": 64,
    "n_layers": 2,
    "head_dim": 64,  # vLLM's attention on the CPU has no smaller ones
    "hidden_dim": 128,
    "n_heads": 4,
    "n_kv_heads": 2,
    "rope_theta": 1e8,
    "norm_eps": 1e-5,
    "vocab_size": 131_072,
    "max_position_embeddings": 32_768,
    "multimodal": {
        "whisper_model_args": {
            "encoder_args": {
                "dim": 128,
                "n_layers": 2,
                "head_dim": 64,
                "hidden_dim": 128,
                "n_heads": 2,
                "vocab_size": 51_866,
                "max_source_positions": 1500,
                "audio_encoding_args": {
                    "sampling_rate": 16_000,
                    "num_mel_bins": 128,
                    "hop_length": 160,
                    "window_size": 400,
                    "chunk_length_s": 30.0,
                    "frame_rate": 12.5,
                    "max_source_positions": 1500,
                },
            },
            "downsample_args": {"downsample_factor": 4},
        }
    },
}
"""Of params.json, which is what a checkpoint in Mistral's format has for a configuration."""
OPTIONS = [
    *("--served-model-name", MODEL, "--tokenizer-mode", "mistral", "--config-format", "mistral"),
    *("--load-format", "dummy", "--enforce-eager", "--dtype", "float32", "--max-model-len", "8192"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "mistral", "--host", "127.0.0.1"),
]


def speech(name: str = "jfk") -> bytes:
    with wave.open(str(Path(__file__).parents[2] / "data" / f"{name}.wav")) as file:
        return pack(from_pcm16(file.readframes(file.getnframes())))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory) -> AsyncIterator[str]:
    """Where vLLM answers, once it does."""
    pytest.importorskip("torch", reason="the gpu extra is not installed")
    from tests.models.voxtral.tiny import _write_tokenizer

    folder, port = tmp_path_factory.mktemp("tiny"), unused_tcp_port_factory()
    _write_tokenizer(folder / "tekken.json", 131_072)
    (folder / "params.json").write_text(json.dumps(PARAMS))
    log = folder / "log"
    with log.open("wb") as out:
        server = await asyncio.create_subprocess_exec(
            *(VLLM, "serve", str(folder), *OPTIONS, "--port", str(port)),
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        await until_up(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        if server.returncode is None:
            server.send_signal(signal.SIGTERM)
        await server.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # what it may have left of its workers; the session is its own


async def until_up(health: str, server: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
        while server.returncode is None:
            try:
                async with session.get(health) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.5)
    raise AssertionError(f"vllm ended with {server.returncode}")


async def metric(url: str, name: str) -> float:
    """The sum of a metric's values."""
    async with aiohttp.ClientSession() as session, session.get(f"{url.removesuffix('/v1')}/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def profile(url: str) -> AsyncIterator[Remote]:
    loaded = Remote(settings(url))
    ready = await loaded.load(lambda what, fraction: None)
    assert ready.hears == f"{MODEL} (remote)", "it transcribes itself"
    yield loaded
    await loaded.close()


async def turn(profile: Remote, asked: Answer) -> tuple[str, Heard | None]:
    async with aclosing(profile.answer(asked)) as stream:
        items = [item async for item in stream]
    heard = [item for item in items if isinstance(item, Heard)]
    return "".join(item.text for item in items if isinstance(item, Said)), heard[0] if heard else None


async def test_two_turns_are_heard_and_answered(profile, url):
    text, heard = await turn(profile, Answer("s", "Be kind.", [], audio=speech(), language="en", max_tokens=12))
    assert text
    assert heard is not None
    assert heard.text
    assert (heard.language, heard.confidence) == ("en", UNKNOWN)
    history = [Utterance("user", "And so my fellow Americans."), Utterance("assistant", "Well, I", True)]
    asked = Answer("s", "Be kind.", history, audio=speech("austen-0880"), language="en", max_tokens=12, seed=3)
    before = await metric(url, "vllm:prefix_cache_hits_total")
    again, _ = await turn(profile, asked)
    assert again
    assert (await turn(profile, asked))[0] == again, "by its seed"
    assert await metric(url, "vllm:prefix_cache_hits_total") > before


async def test_functions_and_a_conversation_that_the_assistant_began(profile):
    weather = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
    history = [
        Utterance("assistant", "Good day."),
        Utterance("user", "how is the weather"),
        Utterance("call", '{"name": "weather", "arguments": {"city": "Ulm"}}'),
        Utterance("result", '{"degrees": 7}'),
        Utterance("assistant", "Seven degrees."),
    ]
    for may_call in (True, False):
        asked = Answer("s", "Be kind.", history, audio=speech(), tools=[weather], may_call=may_call, max_tokens=6)
        assert (await turn(profile, asked))[0]
    assert (await turn(profile, Answer("s", "Be kind.", history, text="and now", max_tokens=6)))[0]


async def test_transcripts(profile):
    async with aclosing(profile.transcribe(Transcribe(speech(), None, partial=True))) as stream:
        (heard,) = [item async for item in stream]
    assert heard.text
    assert len(heard.text) < 4000, "what loops is cut by the length of the sound"


async def test_leaving_an_answer_ends_its_work(profile, url):
    before = await metric(url, "vllm:generation_tokens_total")
    stream = profile.answer(Answer("s", "", [], text="hello", max_tokens=4000, temperature=0.0))
    for _ in range(3):
        await anext(stream)
    assert await metric(url, "vllm:num_requests_running") >= 1
    await stream.aclose()
    async with asyncio.timeout(30):
        while await metric(url, "vllm:num_requests_running"):  # noqa: ASYNC110 - it tells only who asks
            await asyncio.sleep(0.05)
    assert await metric(url, "vllm:generation_tokens_total") - before < 3000


async def test_a_conversation_that_is_too_long(profile):
    with pytest.raises(ModelsError, match=r"lower dialogue\.memory_turns"):
        await turn(profile, Answer("s", "", [], text="hello " * 9000))


async def test_through_a_host(url):
    client = HostClient(settings(url))
    try:
        await client.start()
        items = [item async for item in client.answer(Answer("s", "", [], audio=speech(), max_tokens=5))]
        assert sum(isinstance(item, Heard) for item in items) == 1
        assert any(isinstance(item, Said) for item in items)
    finally:
        await client.close()
