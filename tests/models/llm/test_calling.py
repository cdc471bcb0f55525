"""Functions the model may call: what can come of one answer, and Qwen really calling."""

import json
import re
from collections.abc import Iterator

import pytest

from voxrtc.errors import ModelsError
from voxrtc.models.llm.calling import Sorter, explain, grammar
from voxrtc.models.llm.gguf import Gguf, Sampling
from voxrtc.models.store import ensure
from voxrtc.models.wire import Tool, Utterance
from voxrtc.settings import Settings

SYSTEM = Settings().dialogue.system_prompt
WEATHER = Tool(
    "weather",
    "The weather in a city now.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(
    "clock",
    "The time of day, here.",
    {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
)
TOOLS = [WEATHER, CLOCK]


def sort(*pieces: str) -> tuple[Sorter, list[str]]:
    said: list[str] = []
    sorter = Sorter(said.append)
    for piece in pieces:
        sorter.take(piece)
    return sorter, said


def test_words_pass_as_they_come():
    sorter, said = sort("It is ", "two.")
    assert said == ["It is ", "two."]
    assert not sorter.calls


def test_a_call_is_kept_to_its_end():
    sorter, said = sort('{"name": "wea', 'ther", "arguments": {"city": "Rom"}}')
    assert said == []
    assert sorter.calls
    assert sorter.call() == ("weather", '{"city": "Rom"}')


def test_a_call_cut_off_is_told_in_a_sentence():
    sorter, _ = sort('{"name": "wea')
    with pytest.raises(ModelsError, match="max_reply_tokens"):
        sorter.call()


def test_the_functions_are_named_after_the_system_prompt():
    assert explain(TOOLS).startswith("\n\n")
    assert json.dumps(WEATHER.parameters) in explain(TOOLS)
    assert "call" not in grammar(TOOLS, may_call=False).split("words:")[0]


@pytest.mark.models
def test_words_may_begin_with_a_mark_where_the_model_is_told_of_marks(gguf):
    """Random words, held to the grammar: with marks it is taken as it is, and so is what follows."""
    answers: list[str] = []

    def take(chunk):
        assert "error" not in chunk
        answers.extend(one.get("delta", {}).get("content") or "" for one in chunk.get("choices", ()))
        return False

    rules = grammar(TOOLS, may_call=False, marks=True).replace("\\] )?", "\\] )")  # as if it had to be one
    message = {"messages": [{"role": "user", "content": "Sing!"}], "max_tokens": 12, "stream": True, "grammar": rules}
    gguf._server.handle_chat_completions(message, take)
    assert re.match(r"\[(neutral|happy|sad|angry|excited)\] [^\[]", "".join(answers))
    assert r"\[" not in grammar(TOOLS, may_call=True).split("words: /")[1].split("[^")[0]


@pytest.fixture(scope="module")
def qwen() -> Iterator[Gguf]:
    folder = ensure("qwen2.5-1.5b", Settings().models.cache_path, lambda what, fraction: None)
    model = Gguf(folder / "model.gguf", threads=2, slots=1, context_tokens=1024)
    yield model
    model.close()


def ask(gguf: Gguf, text: str, *, tools=TOOLS, steps=(), may_call=True, tokens=48, temperature=0.0):
    """Words, calls and usage of one answer."""
    said: list[str] = []
    calls: list[tuple[str, str]] = []
    usage = gguf.generate(
        SYSTEM,
        [],
        text,
        0,
        Sampling(tokens, temperature, 1),
        said.append,
        tools=tools,
        steps=steps,
        call=(lambda name, arguments: calls.append((name, arguments))) if may_call else None,
    )
    return "".join(said), calls, usage


@pytest.mark.models
def test_qwen_calls_and_then_tells_the_result(qwen):
    question = "What is the weather in Paris right now, in celsius?"
    said, calls, _ = ask(qwen, question)
    assert said == ""
    ((name, arguments),) = calls
    assert (name, json.loads(arguments)) == ("weather", {"city": "Paris", "unit": "celsius"})
    step = json.dumps({"name": name, "arguments": json.loads(arguments)})
    steps = [Utterance("call", step), Utterance("result", '{"temperature": 17, "sky": "light rain"}')]
    said, calls, usage = ask(qwen, question, steps=steps)
    assert calls == []
    assert "17" in said
    assert usage.prompt - usage.cached < 90, "the question was not read again"


@pytest.mark.models
def test_qwen_answers_in_words_what_needs_no_function(qwen):
    said, calls, usage = ask(qwen, "What is the capital of France?")
    assert "Paris" in said
    assert calls == []
    assert usage.said > 3, "in pieces"


@pytest.mark.models
def test_it_may_be_held_to_words(qwen):
    said, calls, _ = ask(qwen, "What time is it?", may_call=False)
    assert said
    assert calls == []


@pytest.mark.models
def test_arguments_are_what_their_schema_allows_however_wild_the_model_is(gguf):
    """SmolLM2, hot: it cannot call at all by itself, so its answer is begun for it by leaving it nothing else."""
    choice = Tool(
        "pick",
        "Pick.",
        {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False},
    )
    rules = grammar([choice], may_call=True).replace("start: call | words", "start: call").replace("\nwords:", "\nx:")
    answers: list[str] = []

    def take(chunk):
        answers.extend(one.get("delta", {}).get("content") or "" for one in chunk.get("choices", ()))
        assert "error" not in chunk
        return False

    for seed in range(3):
        answers.clear()
        gguf._server.handle_chat_completions(
            {
                "messages": [{"role": "user", "content": "Sing!"}],
                "max_tokens": 60,
                "temperature": 2.0,
                "seed": seed,
                "stream": True,
                "grammar": rules,
            },
            take,
        )
        call = json.loads("".join(answers))
        assert call["name"] == "pick"
        assert call["arguments"]["n"] in (1, 2)


@pytest.mark.models
def test_without_functions_nothing_changes(gguf, monkeypatch):
    import voxrtc.models.llm.gguf as module

    payloads = []
    real = module._payload
    monkeypatch.setattr(module, "_payload", lambda *args: payloads.append(real(*args)) or payloads[-1])
    gguf.generate(SYSTEM, [], "Hello.", 0, Sampling(2, 0.0), lambda text: None)
    assert payloads[0]["messages"] == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hello."}]
    assert "grammar" not in payloads[0]


@pytest.mark.models
def test_the_system_prompt_and_the_newest_turn_outlive_a_long_conversation(gguf, monkeypatch):
    import voxrtc.models.llm.gguf as module

    history = []
    for i in range(30):
        history += [
            Utterance("user", f"What about number {i}?"),
            Utterance("call", f'{{"name": "look_up", "arguments": {{"n": {i}}}}}'),
            Utterance("result", '"a fine number"'),
            Utterance("assistant", f"Number {i} is a fine number."),
        ]
    payloads = []
    real = module._payload
    monkeypatch.setattr(module, "_payload", lambda *args: payloads.append(real(*args)) or payloads[-1])
    usage = gguf.generate(SYSTEM, history, "And what was the last?", 0, Sampling(8, 0.0), lambda text: None)
    assert usage.prompt <= 512 - 8
    chat = payloads[-1]["messages"]
    assert chat[0] == {"role": "system", "content": SYSTEM}
    assert chat[1]["content"].startswith("What about number"), "a turn is dropped whole"
    assert chat[-2]["content"] == "Number 29 is a fine number."
    assert chat[-1]["content"] == "And what was the last?"
    assert len(chat) > 6
