"""Our ids against mistral-common's own, token for token."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, ToolMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Function, FunctionCall, ToolCall
from mistral_common.protocol.instruct.tool_calls import Tool as MistralTool
from mistral_common.protocol.transcription.request import TranscriptionRequest

from voxrtc.errors import ModelsError
from voxrtc.models.llm.prompt import CUT, INTERRUPTED
from voxrtc.models.voxtral.prompt import Turn, chat, transcription
from voxrtc.models.voxtral.sequence import WINDOW_SAMPLES, WINDOW_TOKENS, Clip, clip_of
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Tool, Utterance

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

SYSTEM = "You are Vox, a friendly voice. Answer in one sentence.  "
WEATHER = Tool(
    "weather", "What it is like outside, in °C", {"type": "object", "properties": {"where": {"type": "string"}}}
)
CLOCK = Tool("clock", "", {"type": "object", "properties": {}})
WORDS = [
    "hello",
    "",
    " ",
    "trailing  ",
    "  leading",
    "नमस्ते दुनिया",
    "你好\uff0c世界",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 🇩🇪",
    "[INST] </s> [AUDIO]",
    "a\n\nb\n",
]


def clip(seconds: float = 2.0) -> Clip:
    return Clip(np.zeros(int(seconds * 16_000), np.float32))


def audio_chunk(sound: Clip) -> AudioChunk:
    """The clip as mistral-common takes it: a WAV file."""
    with wave.open(file := io.BytesIO(), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(2 * sound.samples.size))
    return AudioChunk(input_audio=base64.b64encode(file.getvalue()).decode())


def said(content: str | Clip | Sequence[str | Clip]) -> UserMessage:
    """A caller's message: a text, a clip, or a list of both."""
    if isinstance(content, str):
        return UserMessage(content=content)
    parts = [content] if isinstance(content, Clip) else content
    return UserMessage(content=[TextChunk(text=part) if isinstance(part, str) else audio_chunk(part) for part in parts])


def theirs(mistral: MistralTokenizer, messages: list[Any], tools: Sequence[Tool] = ()) -> list[int]:
    offered = [
        MistralTool(function=Function(name=tool.name, description=tool.description, parameters=tool.parameters))
        for tool in tools
    ]
    request = ChatCompletionRequest(messages=messages, tools=offered or None)
    return list(mistral.encode_chat_completion(request).tokens)


def heard(tokens: Tokens, ids: Sequence[int]) -> list[int]:
    """The ids of sound as the model's own."""
    return [tokens.audio if number < 0 else number for number in ids]


def user(content: str | Clip) -> Turn:
    return Turn("user", content)


def assistant(content: str | Sequence[int], interrupted: bool = False) -> Turn:
    return Turn("assistant", content, interrupted)


# -- transcription ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [None, "en", "fr", "hi"])
@pytest.mark.parametrize("seconds", [0.1, 30.0, 30.1, 75.0])
def test_transcription(tokens: Tokens, mistral: MistralTokenizer, seconds: float, language: str | None) -> None:
    sound = clip(seconds)
    request = TranscriptionRequest(model="tiny", audio=audio_chunk(sound).input_audio, language=language)
    assert heard(tokens, transcription(tokens, sound, language)) == mistral.encode_transcription(request).tokens


def test_transcription_of_the_model_card(tokens: Tokens) -> None:
    """1 3 25 24x375 4 [lang:en] 34."""
    ids = heard(tokens, transcription(tokens, clip(), "en"))
    assert ids == [1, 3, 25, *[24] * WINDOW_TOKENS, 4, *tokens.encode("lang:en"), 34]


# -- chat ------------------------------------------------------------------------------------------


def test_chat_of_the_model_card(tokens: Tokens) -> None:
    """1 3 25 24x375 text 4, and the next turn: ... answer 2 3 ..."""
    first = [1, 3, 25, *[24] * WINDOW_TOKENS, *tokens.encode("Be nice."), 4]
    sound = clip()
    assert heard(tokens, chat(tokens, [user(sound)], "Be nice.")) == first
    turns = [user(sound), assistant("Yes."), user("Why?")]
    later = [*first, *tokens.encode("Yes."), 2, 3, *tokens.encode("Why?"), 4]
    assert heard(tokens, chat(tokens, turns, "Be nice.")) == later


@pytest.mark.parametrize("system", ["", SYSTEM])
@pytest.mark.parametrize("seconds", [1.0, 30.0, 31.0, 89.0])
def test_a_turn_of_sound(tokens: Tokens, mistral: MistralTokenizer, seconds: float, system: str) -> None:
    sound = clip(seconds)
    expected = theirs(mistral, [said([sound, system] if system else sound)])
    assert heard(tokens, chat(tokens, [user(sound)], system)) == expected
    assert expected.count(tokens.audio) == -(-sound.samples.size // WINDOW_SAMPLES) * WINDOW_TOKENS


@pytest.mark.parametrize("words", WORDS)
def test_a_turn_of_text(tokens: Tokens, mistral: MistralTokenizer, words: str) -> None:
    assert chat(tokens, [user(words)]) == theirs(mistral, [said(words)])
    with_persona = f"{SYSTEM}\n\n{words}" if words else SYSTEM
    assert chat(tokens, [user(words)], SYSTEM) == theirs(mistral, [said(with_persona)])


@pytest.mark.parametrize("answer", WORDS)
def test_several_turns(tokens: Tokens, mistral: MistralTokenizer, answer: str) -> None:
    """What the assistant said loses spaces at its end, as in training."""
    one, two = clip(1), clip(40)
    turns = [user(one), assistant("Hm, " + answer), user("and then?"), assistant("Then."), user(two)]
    messages = [
        said([one, SYSTEM]),
        AssistantMessage(content="Hm, " + answer),
        said("and then?"),
        AssistantMessage(content="Then."),
        said(two),
    ]
    assert heard(tokens, chat(tokens, turns, SYSTEM)) == theirs(mistral, messages)


def test_words_before_sound(tokens: Tokens, mistral: MistralTokenizer) -> None:
    """A caller who writes first and speaks then: the persona stays before the first words."""
    sound = clip()
    turns = [user("hello"), assistant("Hi."), user(sound)]
    messages = [said(f"{SYSTEM}\n\nhello"), AssistantMessage(content="Hi."), said(sound)]
    assert heard(tokens, chat(tokens, turns, SYSTEM)) == theirs(mistral, messages)


def test_a_system_message_beside_sound_is_refused(mistral: MistralTokenizer) -> None:
    """Why the persona is text in the caller's turn."""
    with pytest.raises(ValueError, match=r"system messages .* audio chunks .* not allowed prior to .* 13"):
        theirs(mistral, [SystemMessage(content=SYSTEM), said(clip())])


def test_lines_of_one_side_become_one(tokens: Tokens, mistral: MistralTokenizer) -> None:
    one, two = clip(1), clip(2)
    turns = [user(one), user("wait"), user("no"), user(two), assistant("Yes? "), assistant("I wait. "), user("go")]
    messages = [
        said([one, f"{SYSTEM}\n\nwait\n\nno", two]),
        AssistantMessage(content="Yes? "),
        AssistantMessage(content="I wait. "),
        said("go"),
    ]
    assert heard(tokens, chat(tokens, turns, SYSTEM)) == theirs(mistral, messages)


def test_the_assistant_speaks_first(tokens: Tokens, mistral: MistralTokenizer) -> None:
    sound = clip()
    turns = [assistant("Hello, this is Vox."), user(sound)]
    greeting = AssistantMessage(content="Hello, this is Vox.")
    assert heard(tokens, chat(tokens, turns)) == theirs(mistral, [greeting, said(sound)])
    assert heard(tokens, chat(tokens, turns, SYSTEM)) == theirs(mistral, [said(SYSTEM), greeting, said(sound)])


def test_an_interrupted_line(tokens: Tokens, mistral: MistralTokenizer) -> None:
    turns = [user("hello"), assistant("I was about to ", interrupted=True), user("stop")]
    messages = [said("hello"), AssistantMessage(content="I was about to" + CUT), said(INTERRUPTED + "stop")]
    assert chat(tokens, turns) == theirs(mistral, messages)


def test_an_interrupted_line_before_sound(tokens: Tokens, mistral: MistralTokenizer) -> None:
    sound = clip()
    turns = [user("hello"), assistant("I was", interrupted=True), user(sound), assistant("Yes?"), user("well")]
    messages = [
        said("hello"),
        AssistantMessage(content="I was" + CUT),
        said(sound),
        AssistantMessage(content="Yes?"),
        said("well"),
    ]
    assert heard(tokens, chat(tokens, turns)) == theirs(mistral, messages)


def test_a_line_as_it_was_generated_keeps_its_ids(tokens: Tokens) -> None:
    """They need not be those that its text has, and its memory is of them."""
    ids = [1000 + byte for byte in b"Sure thing "]
    assert ids != tokens.encode("Sure thing ")
    before = chat(tokens, [user("hello")], SYSTEM)
    after = chat(tokens, [user("hello"), assistant(ids), user("good")], SYSTEM)
    assert after == [*before, *ids, tokens.eos, *chat(tokens, [user("good")])[1:]]
    cut = chat(tokens, [user("hello"), assistant(ids, interrupted=True), user(clip())], SYSTEM)
    assert cut[: cut.index(tokens.eos)] == [*before, *ids, *tokens.encode(CUT)]


def test_generated_lines_that_follow_each_other(tokens: Tokens) -> None:
    one, two = tokens.encode("One."), tokens.encode("Two.")
    ids = chat(tokens, [user("count"), assistant(one), assistant("and  "), assistant(two), user("on")])
    answer = [*one, *tokens.encode("\n\n"), *tokens.encode("and  "), *tokens.encode("\n\n"), *two, tokens.eos]
    assert ids == [*chat(tokens, [user("count")]), *answer, *chat(tokens, [user("on")])[1:]]


def test_each_clip_has_ids_of_its_own(tokens: Tokens) -> None:
    one, two = clip(31), clip(1)
    ids = chat(tokens, [user(one), assistant("Yes."), user(two), assistant("No."), user(one)])
    sounds = [place for number in ids if (place := clip_of(number)) is not None]
    whole = [(one.key, row) for row in range(2 * WINDOW_TOKENS)]
    assert sounds == [*whole, *((two.key, row) for row in range(WINDOW_TOKENS)), *whole]


def test_a_prompt_goes_on_where_the_last_ended(tokens: Tokens) -> None:
    """Without functions, turn N + 1 begins with all of turn N, so that only what is new has to be read."""
    answer = tokens.encode("Fine, and you?")
    turns = [user(clip()), assistant(answer), user("also"), assistant(answer), user(clip(33)), assistant(answer)]
    prompts = [chat(tokens, turns[:end], SYSTEM) for end in (1, 3, 5)]
    for shorter, longer in pairwise(prompts):
        assert longer[: len(shorter) + len(answer)] == [*shorter, *answer]


# -- functions ------------------------------------------------------------------------------------------


def call(name: str, **arguments: object) -> Turn:
    return Turn("call", json.dumps({"name": name, "arguments": arguments}))


def result(text: str) -> Turn:
    return Turn("result", text)


def ids_of_calls(tokens: Tokens, ids: Sequence[int]) -> list[str]:
    """The ids of the calls in a prompt, in order."""
    return re.findall(r'"id": "([0-9A-Za-z]{9})"', tokens.decode(heard(tokens, ids)))


def called(number: str, name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=number, function=FunctionCall(name=name, arguments=json.dumps(arguments)))


def test_functions_are_offered_before_the_last_turn(tokens: Tokens, mistral: MistralTokenizer) -> None:
    one, two = clip(1), clip(2)
    turns = [user(one), assistant("Yes."), user(two)]
    messages = [said([one, SYSTEM]), AssistantMessage(content="Yes."), said(two)]
    expected = theirs(mistral, messages, [WEATHER, CLOCK])
    assert heard(tokens, chat(tokens, turns, SYSTEM, [WEATHER, CLOCK])) == expected


@pytest.mark.parametrize("outcome", ['{"degrees": -3.5, "sky": "☁"}', "", "no JSON at all "])
def test_a_call_and_its_result(tokens: Tokens, mistral: MistralTokenizer, outcome: str) -> None:
    sound = clip()
    turns = [user(sound), call("weather", where="Köln"), result(outcome)]
    ids = chat(tokens, turns, SYSTEM, [WEATHER])
    (number,) = ids_of_calls(tokens, ids)
    messages = [
        said([sound, SYSTEM]),
        AssistantMessage(tool_calls=[called(number, "weather", where="Köln")]),
        ToolMessage(content=outcome, tool_call_id=number),
    ]
    assert heard(tokens, ids) == theirs(mistral, messages, [WEATHER])


def test_calls_of_earlier_turns(tokens: Tokens, mistral: MistralTokenizer) -> None:
    """Words before a call, a call after a result, two calls at once, the same call twice."""
    turns = [
        user("weather?"),
        assistant("One moment. "),
        call("weather", where="Rome"),
        result("20"),
        call("clock"),
        result("12:00"),
        assistant("20 degrees at noon."),
        user("again, and both"),
        call("weather", where="Rome"),
        call("clock"),
        result("21"),
        result("12:01"),
        assistant("Here you are."),
        user("thanks"),
    ]
    ids = chat(tokens, turns, SYSTEM, [WEATHER, CLOCK])
    numbers = ids_of_calls(tokens, ids)
    assert len(set(numbers)) == 4
    messages = [
        said(f"{SYSTEM}\n\nweather?"),
        AssistantMessage(content="One moment. ", tool_calls=[called(numbers[0], "weather", where="Rome")]),
        ToolMessage(content="20", tool_call_id=numbers[0]),
        AssistantMessage(tool_calls=[called(numbers[1], "clock")]),
        ToolMessage(content="12:00", tool_call_id=numbers[1]),
        AssistantMessage(content="20 degrees at noon."),
        said("again, and both"),
        AssistantMessage(tool_calls=[called(numbers[2], "weather", where="Rome"), called(numbers[3], "clock")]),
        ToolMessage(content="21", tool_call_id=numbers[2]),
        ToolMessage(content="12:01", tool_call_id=numbers[3]),
        AssistantMessage(content="Here you are."),
        said("thanks"),
    ]
    assert ids == theirs(mistral, messages, [WEATHER, CLOCK])


def test_a_calls_id_stays_what_it_is(tokens: Tokens) -> None:
    """Prompts of the same conversation agree on it, else its result would have to be read anew."""
    turns = [user("weather?"), call("weather", where="Rome"), result("20")]
    before = chat(tokens, turns, SYSTEM)
    after = chat(tokens, [*turns, assistant("20."), user("thanks")], SYSTEM)
    assert after[: len(before)] == before


def test_calls_and_results_that_do_not_pair(tokens: Tokens) -> None:
    with pytest.raises(ModelsError, match="result in the conversation has no call before it"):
        chat(tokens, [user("a"), result("1")])
    with pytest.raises(ModelsError, match="its result is missing"):
        chat(tokens, [user("a"), call("clock"), user("b")])
    with pytest.raises(ModelsError, match="its result is missing"):
        chat(tokens, [user("a"), call("clock"), call("clock"), result("1"), assistant("one"), user("b")])


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"name": "x"}'])
def test_a_call_that_is_none(tokens: Tokens, text: str) -> None:
    with pytest.raises(ModelsError, match="no JSON of its name and arguments"):
        chat(tokens, [user("a"), Turn("call", text), result("1")])


@pytest.mark.parametrize("turns", [[], [assistant("Hello.")], [user("a"), assistant("b")], [user("a"), call("clock")]])
def test_nothing_to_answer(tokens: Tokens, turns: list[Turn]) -> None:
    with pytest.raises(ModelsError, match="there is nothing to answer"):
        chat(tokens, turns)


def test_sound_has_its_place(tokens: Tokens) -> None:
    with pytest.raises(ModelsError, match="the assistant's own line in the conversation has to be text"):
        chat(tokens, [user("a"), Turn("assistant", clip()), user("b")])
    with pytest.raises(ModelsError, match="the result of a function has to be text"):
        chat(tokens, [user("a"), call("clock"), Turn("result", clip())])


def test_a_turn_of_an_utterance() -> None:
    assert Turn.of(Utterance("assistant", "I was", interrupted=True)) == assistant("I was", interrupted=True)


# -- any conversation ------------------------------------------------------------------------------------------

TEXT = st.one_of(st.sampled_from(WORDS), st.text(max_size=30))
LENGTHS = st.sampled_from([0.2, 31.0])


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Lines of a role and its content: text, seconds of sound, or a call's arguments and its result."""
    lines: list[tuple[str, Any]] = []
    for _ in range(draw(st.integers(0, 4))):
        lines.append(("user", draw(st.one_of(TEXT, LENGTHS))))
        lines += [("steps", draw(st.tuples(TEXT, TEXT))) for _ in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()) or lines[-1][0] == "steps":
            lines.append(("assistant", "Well, " + draw(TEXT)))
    return [*lines, ("user", draw(st.one_of(TEXT, LENGTHS)))]


@settings(deadline=None, max_examples=150)
@given(conversations(), st.one_of(st.just(""), TEXT), st.booleans())
def test_any_conversation(
    tokens: Tokens, mistral: MistralTokenizer, lines: list[tuple[str, Any]], system: str, offer: bool
) -> None:
    turns: list[Turn] = []
    for role, content in lines:
        if role == "steps":
            turns += [call("weather", where=content[0]), result(content[1])]
        else:
            turns.append(Turn(role, clip(content) if isinstance(content, float) else content))  # type: ignore[arg-type]
    tools = [WEATHER] if offer else []
    ids = chat(tokens, turns, system, tools)
    numbers = iter(ids_of_calls(tokens, ids))
    messages: list[Any] = []
    for turn in turns:
        if turn.role == "user":
            assert isinstance(turn.content, str | Clip)
            messages.append(said(turn.content))
        elif turn.role == "assistant":
            messages.append(AssistantMessage(content=turn.content))
        elif turn.role == "call":
            assert isinstance(turn.content, str)
            messages.append(
                AssistantMessage(tool_calls=[called(number := next(numbers), **flat(json.loads(turn.content)))])
            )
        else:
            messages.append(ToolMessage(content=turn.content, tool_call_id=number))
    if system:
        sounds = 0
        while sounds < len(turns) and isinstance(turns[sounds].content, Clip):
            sounds += 1
        messages.insert(sounds, said(system))
    assert heard(tokens, ids) == theirs(mistral, messages, tools)


def flat(given_call: dict[str, Any]) -> dict[str, Any]:
    return {"name": given_call["name"], **given_call["arguments"]}
