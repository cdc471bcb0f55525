"""Chunks of a chat completion, and transcripts, in the forms that servers give them."""

import json

import pytest

from voxrtc.errors import ModelsError
from voxrtc.models.remote.replies import SIGNS_A_TOKEN, Reply
from voxrtc.models.remote.transcripts import UNKNOWN, heard
from voxrtc.models.wire import Said, ToolCall


def chunk(reason: str | None = None, **delta: object) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None})


def take(*events: str) -> list[Said | ToolCall]:
    reply = Reply(most_tokens=160)
    return [piece for event in events for piece in reply.take(event)]


def call(index: int, id: str | None, name: str | None, arguments: str | None) -> dict[str, object]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_words_come_as_they_stand():
    pieces = take(
        chunk(role="assistant", content=""), chunk(content=" a"), chunk(content=None), chunk("stop"), "[DONE]"
    )
    assert pieces == [Said(" a")]


def test_chunks_without_choices_add_nothing():
    assert take('{"choices":[],"usage":{"total_tokens":3}}', '{"usage":{}}', '{"choices":null}') == []


def test_parts_as_mistral_s_servers_send_them():
    assert take(chunk(content=[{"type": "text", "text": "a"}, {"type": "thinking"}, 7])) == [Said("a")]


def test_calls_are_put_together_from_their_pieces():
    first = call(0, "abc123456", "weather", '{"ci')
    assert take(
        chunk(tool_calls=[first]),
        chunk(tool_calls=[call(0, None, None, 'ty": "Ulm"}')]),
        chunk(tool_calls=[call(1, "def123456", "time", "")]),
        chunk("tool_calls"),
        "[DONE]",
    ) == [ToolCall("weather", '{"city": "Ulm"}', "abc123456"), ToolCall("time", "{}", "def123456")]


def test_a_call_without_an_id_gets_one():
    (asked,) = take(chunk("tool_calls", tool_calls=[call(0, None, "time", "{}")]), "[DONE]")
    assert asked.id


@pytest.mark.parametrize(
    ("reason", "arguments", "message"),
    [("length", '{"ci', "max_reply_tokens"), ("stop", '{"ci', "no JSON object"), ("stop", "[]", "no JSON object")],
)
def test_a_call_that_is_none(reason, arguments, message):
    with pytest.raises(ModelsError, match=message):
        take(chunk(reason, tool_calls=[call(0, "a", "time", arguments)]), "[DONE]")


@pytest.mark.parametrize(
    "event",
    [
        '{"error": {"message": "out of cheese and secrets", "type": "InternalServerError", "code": 500}}',
        '{"error": "secrets"}',
        '{"object": "error", "error": {"message": "secrets"}}',
    ],
)
def test_an_error_in_the_stream_is_told_without_its_words(event):
    with pytest.raises(ModelsError, match="middle of an answer") as error:
        take(chunk(content="a"), event)
    assert "secrets" not in str(error.value)


@pytest.mark.parametrize("event", ["secrets", "[1]", '{"choices": 5}', "[" * 100_000])
def test_what_is_no_chunk(event):
    with pytest.raises(ModelsError, match="no chat completion") as error:
        take(event)
    assert "secrets" not in str(error.value)


def test_an_answer_that_breaks_off():
    reply = Reply()
    reply.take(chunk(content="a"))
    with pytest.raises(ModelsError, match="broke off"):
        reply.finish()


def test_an_answer_that_is_done_without_a_reason():
    reply = Reply()
    assert [*reply.take(chunk(content="a")), *reply.take("[DONE]")] == [Said("a")]
    assert reply.ended


def test_an_answer_without_an_end_is_ended():
    reply, pieces = Reply(most_tokens=20), 0
    while not reply.ended:
        pieces += len(reply.take(chunk(content="a")))
    assert pieces == 20 * SIGNS_A_TOKEN + 1
    more = chunk(tool_calls=[call(0, "abc123456", "time", '{"a')])
    with pytest.raises(ModelsError, match="max_reply_tokens"):
        take(*[more] * 10_000)


def transcript(**more: object) -> bytes:
    return json.dumps({"text": " hello there", **more}).encode()


def segment(text: str, p: float, no_speech: float = 0.0, end: float = 1.0) -> dict[str, object]:
    return {"text": text, "start": 0.0, "end": end, "avg_logprob": p, "no_speech_prob": no_speech}


def test_a_plain_transcript_has_no_confidence():
    found = heard(transcript(), "en", 5.0)
    assert (found.text, found.language, found.confidence, found.took_ms) == ("hello there", "en", UNKNOWN, 5.0)


@pytest.mark.parametrize(("told", "code"), [("french", "fr"), ("fr", "fr"), ("Klingon", "en"), (None, "en")])
def test_the_language_is_the_server_s_where_we_know_it(told, code):
    assert heard(transcript(language=told), "en", 0.0).language == code


def test_segments_give_a_confidence_and_those_without_speech_are_dropped():
    found = heard(
        transcript(segments=[segment(" hello", -0.2, end=3.0), segment(" there", -0.6), segment(" you", -2.0, 0.9)]),
        "en",
        0.0,
    )
    assert found.text == "hello there"
    assert found.confidence == pytest.approx(2.718281828 ** -((0.2 * 3 + 0.6) / 4))


def test_log_probabilities_of_tokens_give_a_confidence():
    assert heard(transcript(logprobs=[{"token": "a", "logprob": 0.0}]), "en", 0.0).confidence == 1.0


@pytest.mark.parametrize("text", ["", " ", "...", "♪"])
def test_what_says_nothing_is_empty(text):
    found = heard(json.dumps({"text": text}).encode(), "en", 0.0)
    assert (found.text, found.confidence) == ("", 0.0)


@pytest.mark.parametrize("body", [b"secrets", b"{}", b'{"text": 7}', b"\xff"])
def test_what_is_no_transcript(body):
    with pytest.raises(ModelsError, match="no transcript") as error:
        heard(body, "en", 0.0)
    assert "secrets" not in str(error.value)
