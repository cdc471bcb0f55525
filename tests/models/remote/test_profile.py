"""The remote profile against a stand-in for vLLM: what is asked, what comes of it, and what may go wrong."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest

from tests.models.remote import fake as faults
from tests.models.remote.conftest import settings
from tests.models.remote.fake import KEY, MODEL, Fake
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.remote.profile import Remote
from voxrtc.models.remote.transcripts import UNKNOWN
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.wire import (
    Answer,
    Ends,
    Heard,
    Prepare,
    Said,
    Speak,
    Tool,
    ToolCall,
    Transcribe,
    Utterance,
    pack,
)

SPEECH = pack(np.sin(np.arange(16_000, dtype=np.float32) / 9) * 0.3)
SECRET = "my dog is called Rumpelstilzchen"
WEATHER = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
HEARD = Heard("And so my fellow Americans.", "en", UNKNOWN)
WORDS = [Said("Hello"), Said(" there,"), Said(" caller.")]


def ask(text: str | None = None, *, history: list[Utterance] | None = None, **more: object) -> Answer:
    """A turn that was spoken, or ``text``."""
    audio = None if text is not None else SPEECH
    return Answer("s", "Be kind.", history or [], audio=audio, text=text, **{"language": "en", **more})


async def items(stream: AsyncGenerator[object, None]) -> list[object]:
    async with aclosing(stream):
        return [untimed(item) async for item in stream]


def untimed(item: object) -> object:
    return Heard(item.text, item.language, item.confidence) if isinstance(item, Heard) else item


# -- the start ------------------------------------------------------------------------------------------------


async def test_it_says_what_runs_where(fake):
    profile, told = Remote(settings(fake.url)), []
    ready = await profile.load(lambda what, fraction: told.append((what, fraction)))
    await profile.close()
    assert (ready.profile, ready.hears, ready.thinks) == ("remote", f"{MODEL} (remote)", f"{MODEL} (remote)")
    assert "hibari" in ready.voices
    assert told[-1] == ("ready", 1.0)
    (trial,) = fake.chats
    assert trial["max_tokens"] == 1
    assert fake.sounds == [16_000] * 3, "the trial of the model, and of the transcripts in two forms"


async def cannot_load(url: str, match: str, **more: object) -> None:
    profile = Remote(settings(url, **more))
    try:
        with pytest.raises(ModelsError, match=match):
            await profile.load(lambda what, fraction: None)
    finally:
        await profile.close()


async def test_a_model_that_is_not_there_is_named_with_those_that_are(fake):
    await cannot_load(
        fake.url, f"has no model 'other': set remote.model to one that it has \\({MODEL}\\)", model="other"
    )
    await cannot_load(fake.url, "set remote.hearing_model to one", hearing_model="other")


async def test_a_server_that_does_not_list_is_asked_all_the_same(fake, loaded):
    fake.lists = False
    assert await items((await loaded()).answer(ask("hi"))) == WORDS
    await cannot_load(fake.url, "remote.url should end as its /v1 does", model="other")


async def test_the_key(fake, loaded):
    fake.key = KEY
    await cannot_load(fake.url, "wants a key: set remote.api_key")
    await cannot_load(fake.url, "refused remote.api_key", api_key="wrong")
    assert await items((await loaded(api_key=KEY)).answer(ask("hi"))) == WORDS


async def test_a_model_that_does_not_hear_says_how_to_go_on(fake):
    fake.chat_hears = False
    await cannot_load(fake.url, '0 audio.*remote.hears = "transcripts"')


async def test_a_server_that_does_not_transcribe_is_an_error_where_it_has_to(fake):
    fake.transcribes = False
    await cannot_load(fake.url, 'remote.transcribes = "whisper"', transcribes="server")
    await cannot_load(fake.url, "does not support Transcriptions", hearing_model=MODEL)


async def test_nothing_that_answers(unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}/v1"
    await cannot_load(url, "start it, or correct remote.url.*waited", models={"load_timeout_s": 0.5})


async def test_something_else_that_answers(fake):
    await cannot_load(fake.url.removesuffix("/v1"), "remote.url should end as its /v1 does")


async def test_a_server_that_starts_later_is_waited_for(unused_tcp_port):
    profile, asked = Remote(settings(f"http://127.0.0.1:{unused_tcp_port}/v1")), asyncio.Event()
    loading = asyncio.create_task(profile.load(lambda what, fraction: asked.set()))
    await asked.wait()
    async with Fake().serving(unused_tcp_port):
        assert (await loading).profile == "remote"
        await profile.close()


# -- a turn ---------------------------------------------------------------------------------------------------


async def test_a_turn_is_heard_and_answered(fake, loaded):
    profile = await loaded()
    got = await items(profile.answer(ask(max_tokens=50, temperature=0.3, seed=7)))
    assert [item for item in got if isinstance(item, Said)] == WORDS
    assert [item for item in got if isinstance(item, Heard)] == [HEARD]
    (asked,), (fields,) = fake.chats, fake.transcriptions
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (50, 0.3, 7)
    assert "tools" not in asked
    assert fields == {
        "model": MODEL,
        "response_format": "json",
        "temperature": "0",
        "language": "en",
        "max_completion_tokens": "41",
    }
    assert fake.sounds == [16_000, 16_000]


async def test_words_do_not_wait_for_the_transcript(fake, loaded):
    profile, fake.hearing_gate = await loaded(), asyncio.Event()
    async with aclosing(profile.answer(ask())) as stream:
        assert [await anext(stream) for _ in WORDS] == WORDS
        fake.hearing_gate.set()
        assert untimed(await anext(stream)) == HEARD


async def test_the_transcript_does_not_wait_for_words(fake, loaded):
    profile, fake.chat_gate = await loaded(), asyncio.Event()
    async with aclosing(profile.answer(ask())) as stream:
        assert {type(await anext(stream)) for _ in range(2)} == {Heard, Said}
        fake.chat_gate.set()
        assert [item async for item in stream] == WORDS[1:]


async def test_nothing_follows_a_transcript_without_words(fake, loaded):
    profile, fake.heard, fake.chat_gate = await loaded(), "...", asyncio.Event()
    got = await items(profile.answer(ask()))
    assert got[-1] == Heard("", "en", 0.0)
    assert got[:-1] in ([], WORDS[:1])
    await fake.left.wait()


async def test_a_model_that_reads_is_given_the_transcript(fake, loaded):
    fake.chat_hears = False
    profile = await loaded(hears="transcripts")
    assert await items(profile.answer(ask())) == [HEARD, *WORDS]
    assert [m["content"] for m in fake.chats[0]["messages"]] == ["Be kind.", HEARD.text]
    fake.heard = ""
    assert await items(profile.answer(ask())) == [Heard("", "en", 0.0)]
    assert len(fake.chats) == 1


async def test_earlier_turns_are_text(fake, loaded):
    profile = await loaded()
    lines = [Utterance("user", "hi"), Utterance("assistant", "Hello, I", True)]
    await items(profile.answer(ask(history=lines)))
    first, second, third = fake.chats[0]["messages"]
    assert (first["content"], second["content"]) == ("Be kind.\n\nhi", "Hello, I—")
    assert [part["type"] for part in third["content"]] == ["input_audio"]


async def test_a_written_turn(fake, loaded):
    assert await items((await loaded()).answer(ask("hi"))) == WORDS
    assert fake.transcriptions == []


async def test_turns_share_a_connection(fake, loaded):
    profile = await loaded()
    fake.peers.clear()
    for _ in range(5):
        assert await items(profile.answer(ask("hi"))) == WORDS
    assert len(fake.peers) == 1


async def test_a_stream_that_stays_open_after_its_end(fake, loaded):
    profile = await loaded()

    async def lingering(request: faults.web.Request) -> faults.web.StreamResponse:
        word = b'data: {"choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        await faults.stream(word)(request)
        await asyncio.Event().wait()
        raise AssertionError

    fake.faults.append(lingering)
    assert await items(profile.answer(ask("hi"))) == [Said("Hi.")]
    await fake.left.wait()


async def test_functions_are_called_and_told(fake, loaded):
    profile = await loaded()
    fake.calls = [
        {"index": 0, "id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": '}},
        {"index": 0, "function": {"arguments": '"Ulm"}'}},
    ]
    assert await items(profile.answer(ask("hi", tools=[WEATHER]))) == [
        ToolCall("weather", '{"city": "Ulm"}', "abcdefghi")
    ]
    steps = [
        Utterance("call", '{"name": "weather", "arguments": {"city": "Ulm"}}'),
        Utterance("result", '{"degrees": 7}'),
    ]
    assert await items(profile.answer(ask("hi", tools=[WEATHER], steps=steps, may_call=False))) == WORDS
    assert [asked["tool_choice"] for asked in fake.chats] == ["auto", "none"]
    assert fake.chats[1]["messages"][-1]["content"] == '{"degrees": 7}'


async def test_the_voice_the_end_of_a_turn_and_what_is_not_prepared(fake, loaded):
    profile = await loaded()
    assert await items(profile.speak(Speak("Hello.")))
    assert (await items(profile.ends(Ends("so be it", "en"))))[0].probability < 0
    assert await items(profile.prepare(Prepare("s", "", [], "hel"))) == []
    assert fake.chats == []


# -- transcripts ----------------------------------------------------------------------------------------------


async def test_a_transcript_with_all_that_whisper_tells(fake, loaded):
    fake.verbose = True
    (heard,) = await items((await loaded()).transcribe(Transcribe(SPEECH)))
    assert (heard.text, heard.language) == (HEARD.text, "fr")
    assert heard.confidence == pytest.approx(0.905, abs=0.001)
    assert "language" not in fake.transcriptions[0]


async def test_the_language_that_is_configured_where_none_is_told(loaded):
    profile = await loaded(dialogue={"language": "de"})
    assert [h.language for h in await items(profile.transcribe(Transcribe(SPEECH, "auto")))] == ["de"]


async def test_a_language_that_the_server_does_not_take_is_no_hint(fake, loaded):
    profile = await loaded()
    for _ in range(2):
        (heard,) = await items(profile.transcribe(Transcribe(SPEECH, "ja")))
        assert (heard.text, heard.language) == (HEARD.text, "ja")
    assert [fields.get("language") for fields in fake.transcriptions] == ["ja", None, None]


@pytest.mark.models
async def test_whisper_hears_here_where_the_server_does_not(fake, loaded, caplog):
    fake.transcribes = False
    profile = await loaded()
    assert "whisper-base hears in its place" in caplog.text
    assert await items(profile.transcribe(Transcribe(pack(np.zeros(16_000, np.float32)), "en", partial=True)))
    got = await items(profile.answer(ask()))
    assert got[-1] == Heard("", "en", 0.0), "a tone is no speech"


# -- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset,
        faults.status(503),
        faults.status(502),
        faults.status(504),
        faults.status(429, **{"Retry-After": "0"}),
        faults.stream(),
        faults.stream(b": nothing yet\n\n", then_reset=True),
    ],
)
async def test_it_is_tried_again_while_nothing_has_come(fake, loaded, fault):
    profile = await loaded()
    fake.faults.extend([fault, fault])
    assert await items(profile.answer(ask("hi"))) == WORDS
    fake.faults.extend([fault, fault, fault])
    with pytest.raises(ModelsError, match="server of models"):
        await items(profile.answer(ask("hi")))
    assert not fake.faults


async def test_it_is_never_tried_again_once_something_has_come(fake, loaded):
    profile = await loaded()
    word = b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    fake.faults.extend([faults.stream(word, then_reset=True)])
    stream = profile.answer(ask("hi"))
    assert await anext(stream) == Said("Hel")
    with pytest.raises(ModelsError, match="broke"):
        await anext(stream)
    assert fake.chats == []


async def test_transcripts_are_tried_again_too(fake, loaded):
    profile = await loaded()
    fake.faults.extend([faults.status(503), faults.reset])
    assert await items(profile.transcribe(Transcribe(SPEECH, "en"))) == [HEARD]


async def test_a_piece_of_a_file_is_heard_by_the_server_too(loaded):
    assert await items((await loaded()).transcribe(Transcribe(SPEECH, "en", patient=True))) == [HEARD]


async def test_a_server_that_asks_for_too_much_patience(fake, loaded):
    profile = await loaded()
    fake.faults.append(faults.status(429, **{"Retry-After": "3600"}))
    with pytest.raises(ModelsError, match="quota"):
        await items(profile.answer(ask("hi")))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.status(401, SECRET), "wants a key"),
        (faults.status(400, SECRET), r"refused to answer \(400: BadRequestError\)"),
        (faults.status(400, f"maximum context length is 8192 tokens: {SECRET}"), "dialogue.memory_turns"),
        (faults.status(400, "auto tool choice requires --enable-auto-tool-choice"), "start vLLM with"),
        (faults.status(413, SECRET), "takes no request that large"),
        (faults.status(307, SECRET), "set remote.url"),
        (faults.status(500, SECRET), "its log says why"),
        (faults.stream(b'data: {"error": {"message": "' + SECRET.encode() + b'"}}\n\n'), "middle of an answer"),
        (faults.stream(b"data: " + SECRET.encode() + b"\n\n"), "no chat completion"),
    ],
)
async def test_errors_say_what_to_do_and_nothing_of_the_caller(fake, loaded, caplog, fault, message):
    profile = await loaded()
    fake.faults.append(fault)
    with pytest.raises(ModelsError, match=message) as error:
        await items(profile.answer(ask(SECRET)))
    assert SECRET not in str(error.value) + caplog.text
    assert await items(profile.answer(ask("hi"))) == WORDS


async def test_a_conversation_that_is_too_long(fake, loaded):
    profile = await loaded()
    with pytest.raises(ModelsError, match=r"lower dialogue\.memory_turns") as error:
        await items(profile.answer(ask(SECRET * 200)))
    assert SECRET not in str(error.value)


async def test_a_model_that_is_gone_by_now(fake, loaded):
    profile = await loaded()
    fake.faults.append(faults.status(404, "The model does not exist."))
    profile._client._remote = settings(fake.url, model="gone").remote
    with pytest.raises(ModelsError, match=f"no model 'gone'.*{MODEL}"):
        await items(profile.answer(ask("hi")))


async def test_a_server_that_gives_no_sign(fake, loaded):
    profile = await loaded(timeout_s=0.3)
    fake.faults.append(faults.silence)
    with pytest.raises(ModelsError, match=r"gave no sign for 0\.3 s: raise remote\.timeout_s"):
        await items(profile.answer(ask("hi")))
    await fake.left.wait()
    fake.chat_gate = asyncio.Event()
    with pytest.raises(ModelsError, match="gave no sign"):
        await items(profile.answer(ask("hi")))


@pytest.mark.parametrize("sign", [b": ping\n\n", b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'])
async def test_signs_of_life_are_no_answer(fake, loaded, sign):
    """What keeps the connection open does not keep the caller waiting, nor is it tried again."""
    profile = await loaded(timeout_s=0.4)
    asked = 0

    async def pinging(request: faults.web.Request) -> faults.web.StreamResponse:
        nonlocal asked
        asked += 1
        response = faults.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(sign)
            await asyncio.sleep(0.02)

    fake.faults.extend([pinging] * 3)
    with pytest.raises(ModelsError, match=r"gave no sign for 0\.4 s"):
        await items(profile.answer(ask("hi")))
    assert asked == 1


async def test_a_server_that_streams_without_an_end(fake, loaded):
    profile = await loaded()
    word = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    fake.faults.append(faults.stream(*[word] * 20_000))
    assert len(await items(profile.answer(ask("hi", max_tokens=20)))) <= 1_000


async def test_a_server_that_does_not_stream(fake, loaded):
    profile = await loaded()

    async def whole(request: object) -> object:
        return faults.web.json_response({"choices": [{"message": {"content": "Hello."}}]})

    fake.faults.append(whole)
    with pytest.raises(ModelsError, match="does not stream"):
        await items(profile.answer(ask("hi")))


async def test_a_transcript_that_fails_ends_the_reply(fake, loaded):
    profile, fake.chat_gate = await loaded(retries=0), asyncio.Event()
    fake.faults.append(faults.status(500))
    with pytest.raises(ModelsError, match="failed to"):
        await items(profile.answer(ask()))


async def test_a_server_that_went_away_is_asked_again_when_it_is_back(fake, unused_tcp_port):
    profile = Remote(settings(f"http://127.0.0.1:{unused_tcp_port}/v1", retries=0))
    async with Fake().serving(unused_tcp_port):
        await profile.load(lambda what, fraction: None)
        assert await items(profile.answer(ask("hi"))) == WORDS
    for _ in range(2):
        with pytest.raises(ModelsError, match=r"server of models at .* (cannot be reached|broke)"):
            await items(profile.answer(ask()))
    async with Fake().serving(unused_tcp_port):
        assert await items(profile.answer(ask("hi"))) == WORDS
        await profile.close()


# -- ends, and bounds -------------------------------------------------------------------------------------------


async def test_leaving_an_answer_closes_its_connections_at_once(fake, loaded):
    profile, fake.chat_gate, fake.hearing_gate = await loaded(), asyncio.Event(), asyncio.Event()
    stream = profile.answer(ask())
    assert await anext(stream) == WORDS[0]
    assert fake.at_once == 2
    await stream.aclose()
    async with asyncio.timeout(10):
        while fake.at_once:
            await fake.left.wait()
            fake.left.clear()
    assert await items(profile.answer(ask("hi", max_tokens=1))) == WORDS[:1]


async def test_cancelling_who_reads_closes_them_too(fake, loaded):
    profile, fake.chat_gate = await loaded(), asyncio.Event()
    first = asyncio.Event()

    async def read() -> None:
        async with aclosing(profile.answer(ask("hi"))) as stream:
            async for _ in stream:
                first.set()

    reading = asyncio.create_task(read())
    await first.wait()
    reading.cancel()
    await asyncio.wait({reading})
    await fake.left.wait()


async def test_guesses_give_way_and_callers_wait_at_the_bound(fake, loaded):
    profile, fake.chat_gate = await loaded(max_requests=4), asyncio.Event()
    held = [profile.answer(ask("hi")) for _ in range(4)]
    for stream in held[:2]:
        await anext(stream)
    with pytest.raises(GaveWay):
        await items(profile.answer(ask("hi"), Urgency(SPECULATIVE)))
    with pytest.raises(ModelsError, match="busy"):
        await items(profile.transcribe(Transcribe(SPEECH, partial=True)))
    for stream in held[2:]:
        await anext(stream)
    waiting = asyncio.create_task(items(profile.answer(ask("hi"))))
    fake.chat_gate.set()
    assert await items(held[0]) == WORDS[1:]
    assert await waiting == WORDS
    for stream in held[1:]:
        await stream.aclose()
    assert fake.most_at_once == 4


async def test_many_turns_at_once_within_the_bound(fake, loaded):
    profile = await loaded(max_requests=6)
    answers = await asyncio.gather(*(items(profile.answer(ask())) for _ in range(30)))
    assert all(sum(isinstance(item, Said) for item in answer) == 3 for answer in answers)
    assert fake.most_at_once <= 6
