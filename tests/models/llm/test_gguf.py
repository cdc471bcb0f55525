import threading
from pathlib import Path

import psutil
import pytest

from voxrtc.errors import ModelsError
from voxrtc.models.llm.gguf import BATCH, Gguf, Sampling
from voxrtc.models.wire import Utterance

pytestmark = pytest.mark.models

SYSTEM = "You are a friendly voice assistant on a phone call. Answer in one or two short spoken sentences."
CONTEXT = 512
"""As in conftest."""


class Reply:
    """Collects the pieces of one generate()."""

    def __init__(self, gguf: Gguf, text: str, *, history=(), slot=0, tokens=24, stop_at=None, system=SYSTEM, seed=1):
        self.pieces: list[str] = []
        self.usage = gguf.generate(
            system,
            list(history),
            text,
            slot,
            Sampling(tokens, 0.0, seed),
            self.pieces.append,
            lambda: stop_at is not None and len(self.pieces) >= stop_at,
        )

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def test_answers_in_pieces(gguf):
    reply = Reply(gguf, "What is the capital of France?")
    assert len(reply.pieces) > 3
    assert "France" in reply.text
    assert reply.text == reply.text.lstrip()
    assert reply.usage.said == len(reply.pieces)


def test_stops_at_max_tokens(gguf):
    assert len(Reply(gguf, "Tell me a very long story about the sea.", tokens=5).pieces) <= 5


def test_stopping_ends_it_within_a_step(gguf):
    reply = Reply(gguf, "Tell me a very long story about the sea.", tokens=200, stop_at=3)
    assert len(reply.pieces) == 3
    assert Reply(gguf, "What is the capital of France?").text, "the slot is free again"


def test_stopping_works_while_the_prompt_is_read(gguf):
    looked = []

    def stopped() -> bool:
        looked.append(True)
        return len(looked) > 2

    said: list[str] = []
    long = " ".join(f"{i} apples" for i in range(100))
    usage = gguf.generate(SYSTEM, [], long, 0, Sampling(50, 0.0), said.append, stopped)
    assert said == []
    assert len(looked) == 3
    assert usage.prompt > 4 * BATCH


def test_words_read_before_are_not_read_again(gguf):
    Reply(gguf, "Hello.", slot=0, tokens=1)
    early = "I was wondering if you could tell me how far it is from Paris"
    prepared = Reply(gguf, early, slot=0, tokens=1)
    final = Reply(gguf, early + " to Berlin.", slot=0)
    fresh = final.usage.prompt - final.usage.cached
    assert final.usage.cached >= prepared.usage.prompt - 8, "all but the signs after the last word"
    assert fresh <= 14


def test_the_conversation_so_far_is_not_read_again(gguf):
    first = Reply(gguf, "What is the capital of France?", slot=1)
    history = [Utterance("user", "What is the capital of France?"), Utterance("assistant", first.text)]
    second = Reply(gguf, "And of Germany?", history=history, slot=1)
    assert second.usage.cached >= first.usage.prompt - 2


def test_two_sessions_interleaved_keep_what_was_read(gguf):
    questions = {0: "Tell me about the mountains of the moon", 1: "Which birds can fly backwards and why"}
    for slot, text in questions.items():
        Reply(gguf, text, slot=slot, tokens=1)
    for extra in (" please", " please, now", " please, now, quickly"):
        for slot, text in questions.items():
            usage = Reply(gguf, text + extra, slot=slot, tokens=1).usage
            assert usage.prompt - usage.cached <= 14, (slot, extra)


def test_two_at_once_both_answer(gguf):
    replies: dict[int, Reply] = {}

    def ask(slot: int, text: str) -> None:
        replies[slot] = Reply(gguf, text, slot=slot)

    threads = [
        threading.Thread(target=ask, args=(0, "What is the capital of France?")),
        threading.Thread(target=ask, args=(1, "What is the capital of Italy?")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "France" in replies[0].text
    assert "Rom" in replies[1].text


def test_oldest_history_goes_when_the_context_is_full(gguf):
    history = []
    for i in range(30):
        history += [Utterance("user", f"Remember the number {i}, please."), Utterance("assistant", f"I have {i}.")]
    reply = Reply(gguf, "What is the capital of France?", history=history)
    assert CONTEXT // 2 < reply.usage.prompt <= CONTEXT - 24
    assert reply.text


def test_a_turn_longer_than_the_context_is_refused(gguf):
    with pytest.raises(ModelsError, match=r"models\.context_tokens"):
        Reply(gguf, "word and another " * 600, history=[Utterance("user", "Hi."), Utterance("assistant", "Hello.")])


def test_text_is_whole_characters(gguf):
    """Emoji and accents are several tokens; a piece never ends inside one."""
    reply = Reply(gguf, "Repeat exactly: 😀 naïve café 你好 😀😀", tokens=40)
    assert "\ufffd" not in reply.text
    reply.text.encode()


def test_nothing_listens_on_the_network(gguf):
    Reply(gguf, "Hello.", tokens=1)
    listening = [c for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []
    unix = [c.laddr for c in psutil.Process().net_connections("unix") if c.laddr]
    assert all(not Path(path).exists() for path in unix if "llama" in path)


def test_a_broken_file_is_a_sentence(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ModelsError, match=r"cannot load .*model\.gguf"):
        Gguf(path, threads=1, slots=1, context_tokens=512)


def test_it_says_nothing_on_the_terminal(gguf, capfd):
    Reply(gguf, "Hello.", tokens=2)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_a_window_that_slides_keeps_what_stays_in_it(gguf):
    """The oldest turn goes, all that follows moves up: its tokens are moved, not computed again."""
    lines = [
        Utterance("user" if i % 2 == 0 else "assistant", f"Line {i} is about {thing} and how one keeps them in winter.")
        for i, thing in enumerate(["apples", "boats", "clocks", "drums", "engines", "flutes"])
    ]
    whole = Reply(gguf, "And what about geese?", history=lines, tokens=1).usage
    slid = Reply(gguf, "And what about geese?", history=lines[2:], tokens=1).usage
    assert slid.prompt < whole.prompt
    assert slid.cached >= slid.prompt - 8
