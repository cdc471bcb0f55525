from voxrtc.models.llm.prompt import CUT, INTERRUPTED, messages
from voxrtc.models.wire import Utterance


def test_plain_conversation_goes_as_it_is():
    history = [Utterance("user", "Hello."), Utterance("assistant", "Hi there.")]
    assert messages("Be kind.", history, "How are you?") == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi there."},
        {"role": "user", "content": "How are you?"},
    ]


def test_an_interrupted_reply_breaks_off_and_the_next_line_cuts_in():
    history = [Utterance("user", "Tell me a story."), Utterance("assistant", "Once upon a ", interrupted=True)]
    assert [m["content"] for m in messages("S", history, "Stop.")][2:] == ["Once upon a" + CUT, INTERRUPTED + "Stop."]


def test_only_the_line_right_after_the_interruption_is_marked():
    history = [
        Utterance("user", "A"),
        Utterance("assistant", "b", interrupted=True),
        Utterance("user", "C"),
        Utterance("assistant", "d"),
    ]
    assert [m["content"] for m in messages("S", history, "E")] == ["S", "A", "b" + CUT, INTERRUPTED + "C", "d", "E"]


def test_what_was_said_stays_a_prefix_of_what_comes_after_it():
    """Caches hold from the start of a prompt: an old line must never change its form."""
    history = [Utterance("user", "A"), Utterance("assistant", "b", interrupted=True)]
    first = messages("S", history, "C")
    assert messages("S", [*history, Utterance("user", "C"), Utterance("assistant", "d")], "E")[: len(first)] == first
