"""The conversation in the form of chat completions."""

import base64
import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.remote.fake import Fake
from voxrtc.audio import from_pcm16
from voxrtc.models.remote.messages import CALL_BEGINS, conversation, functions, wav
from voxrtc.models.wire import Tool, Utterance

SOUND = wav(np.zeros(1600, np.float32))
CALL = Utterance("call", '{"name": "weather", "arguments": {"city": "Ulm"}}')
RESULT = Utterance("result", '{"degrees": 7}')


def user(text: str) -> Utterance:
    return Utterance("user", text)


def assistant(text: str, interrupted: bool = False) -> Utterance:
    return Utterance("assistant", text, interrupted)


def test_a_wav_file_is_what_was_heard():
    samples = np.sin(np.arange(12_345, dtype=np.float32) / 20) * 0.7
    with wave.open(io.BytesIO(wav(samples))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        back = from_pcm16(file.readframes(file.getnframes()))
    assert back.shape == samples.shape
    assert np.abs(back - samples).max() < 2 / 32_768


def test_the_persona_is_a_system_message_where_there_is_no_sound():
    assert conversation("Be kind.", [user("hi"), assistant("Hello.")], "how are you") == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "how are you"},
    ]


def test_the_persona_is_text_after_the_sound_of_the_first_turn():
    (message,) = conversation("Be kind.", [], SOUND)
    sound, text = message["content"]
    assert base64.b64decode(sound["input_audio"]["data"]) == SOUND
    assert text == {"type": "text", "text": "Be kind."}


def test_the_persona_goes_before_the_words_of_the_first_turn_where_a_later_one_is_sound():
    first, _, last = conversation("Be kind.", [user("hi"), assistant("Hello.")], SOUND)
    assert first == {"role": "user", "content": "Be kind.\n\nhi"}
    assert [part["type"] for part in last["content"]] == ["input_audio"]


def test_the_assistant_may_have_spoken_first():
    roles = [("user", "Be kind."), ("assistant", "Good day.")]
    chat = conversation("Be kind.", [assistant("Good day.")], SOUND)
    assert [(m["role"], m["content"]) for m in chat[:2]] == roles
    chat = conversation("Be kind.", [assistant("Good day.")], "hi")
    assert [m["content"] for m in chat] == ["Be kind.", CALL_BEGINS, "Good day.", "hi"]
    assert conversation("", [assistant("Good day.")], SOUND)[0]["content"] == CALL_BEGINS


def test_a_line_that_was_cut_short_shows():
    chat = conversation("", [user("hi"), assistant("Well, I think ", True)], "stop")
    assert [m["content"] for m in chat] == ["hi", "Well, I think—", "(cutting in) stop"]


def test_calls_and_results_have_ids_and_their_own_roles():
    chat = conversation("", [user("a"), CALL, RESULT, assistant("Seven.")], "b", [CALL, RESULT])
    assert [m["role"] for m in chat] == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]
    first, second = chat[1]["tool_calls"][0], chat[5]["tool_calls"][0]
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Ulm"}'}
    assert (first["id"], second["id"]) == (chat[2]["tool_call_id"], chat[6]["tool_call_id"])
    assert first["id"] != second["id"]


LINES = st.lists(
    st.one_of(
        st.builds(lambda t: [user(t)], st.text(min_size=1)),
        st.builds(lambda t, cut: [assistant(t, cut)], st.text(min_size=1), st.booleans()),
        st.just([CALL, RESULT]),
    ),
    max_size=8,
)


@given(LINES, st.sampled_from(["words", SOUND]), st.sampled_from(["", "Be kind."]), st.integers(0, 2))
def test_any_conversation_is_one_that_strict_servers_take(lines, turn, system, steps):
    history = [line for group in lines for line in group]
    chat = conversation(system, history, turn, [CALL, RESULT] * steps)
    fake = Fake(room=10**9)
    fake._check({"model": "tiny-voxtral", "stream": True, "messages": chat, "max_tokens": 5, "temperature": 0})
    text = str([m["content"] for m in chat])
    assert all(not line.text.isalnum() or line.text in text for line in history)
    assert system in text


def test_mistral_s_own_checks_pass():
    request = pytest.importorskip("mistral_common.protocol.instruct.request", reason="the gpu extra is not installed")
    validator = pytest.importorskip("mistral_common.protocol.instruct.validator")
    history = [assistant("Good day."), user("a"), CALL, RESULT, assistant("Seven."), user("b"), CALL, RESULT]
    for turn in ("words", SOUND):
        chat = conversation("Be kind.", history, turn)
        asked = request.ChatCompletionRequest.from_openai(chat, functions([Tool("weather", "", {"type": "object"})]))
        validator.MistralRequestValidatorV5(validator.ValidationMode.serving).validate_messages(asked.messages)
