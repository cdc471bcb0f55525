"""What follows from a turn: answered, cut off, how fast; on events and sounds with chosen times."""

import numpy as np
import pytest

from voxrtc.bench.clip import Clip
from voxrtc.bench.turn import Turn
from voxrtc.client.ear import Ear, Sound


@pytest.fixture
def clip() -> Clip:
    voice = 0.2 * np.sin(np.arange(16_000, dtype=np.float32))
    return Clip.of("clip", np.concatenate([voice, np.zeros(8_000, np.float32)]), "one two three")


def heard(*sounds: tuple[float, float]) -> Ear:
    ear = Ear(lambda: 0.0)
    ear.sounds.extend(Sound(*s) for s in sounds)
    return ear


def started(reply: int, speculated: bool = False) -> dict:
    return {"type": "reply_started", "reply": reply, "turn": reply, "speculated": speculated}


def ended(reply: int, how: str = "finished", text: str = "yes") -> dict:
    return {"type": "reply_ended", "reply": reply, "ended": how, "text": text}


def said(turn: int, text: str, final: bool = True) -> dict:
    return {"type": "transcript", "turn": turn, "text": text, "final": final}


def test_voice_to_voice_is_counted_from_the_end_of_speech(clip: Clip):
    turn = Turn(clip, began=10.0)
    assert turn.speech_ended == pytest.approx(11.0, abs=0.03)
    ear = heard((7.0, 8.0), (turn.speech_ended + 0.6, 14.0))
    assert turn.voice_to_voice_ms(ear) == pytest.approx(600.0)
    assert turn.answered(ear)
    assert not turn.false_cutoff(ear)


def test_false_cutoff_is_no_fast_answer(clip: Clip):
    turn = Turn(clip, began=10.0)
    turn.note(started(1), 10.5)
    ear = heard((10.6, 10.9), (11.2, 13.0))
    assert turn.false_cutoff(ear)
    assert turn.voice_to_voice_ms(ear) is None
    assert not turn.answered(ear)


def test_answer_after_a_false_cutoff_counts_if_it_was_announced(clip: Clip):
    turn = Turn(clip, began=10.0)
    turn.note(started(1), 10.5)
    turn.note(ended(1, "interrupted"), 10.9)
    turn.note(started(2), 11.7)
    ear = heard((10.6, 10.9), (11.2, 11.25), (11.8, 13.0))
    assert turn.false_cutoff(ear)
    assert turn.voice_to_voice_ms(ear) == pytest.approx((11.8 - turn.speech_ended) * 1e3)


def test_reply_to_the_whole_a_little_before_the_level_falls(clip: Clip):
    """As after jfk's last words, with the applause going on."""
    turn = Turn(clip, began=10.0)
    turn.note(started(1), 10.4)
    turn.note(ended(1, "interrupted"), 10.6)
    turn.note(started(2), turn.speech_ended - 0.1)
    late = heard((10.45, 10.6), (turn.speech_ended + 0.05, 13.0))
    assert turn.voice_to_voice_ms(late) is None, "after a false cut-off, luck is no fast answer"
    assert turn.answered(late)
    early = heard((10.45, 10.6), (turn.speech_ended - 0.05, 13.0))
    assert turn.voice_to_voice_ms(early) is None
    assert turn.answered(early)
    assert turn.false_cutoff(early)


def test_reply_that_reaches_into_the_clip_is_a_false_cutoff(clip: Clip):
    assert Turn(clip, began=10.0).false_cutoff(heard((9.5, 10.2)))


def test_reply_let_go_before_the_end_of_speech_is_told(clip: Clip):
    turn = Turn(clip, began=10.0)
    turn.note(started(1), 10.9)
    ear = heard((11.1, 12.0))
    assert turn.released_early(ear)
    assert turn.answered(ear)


def test_unanswered_and_failed(clip: Clip):
    turn = Turn(clip, began=10.0)
    assert turn.row(heard(), words=False)["failed"] == "no answer was heard"
    turn.note(started(1), 11.5)
    turn.note(ended(1, "failed", ""), 12.0)
    row = turn.row(heard((11.6, 12.0)), words=False)
    assert (row["answered"], row["voice_to_voice_ms"]) == (False, None)


def test_pieces_of_a_cut_clip_are_joined_in_order(clip: Clip):
    turn = Turn(clip, began=10.0)
    turn.note(said(4, "Three"), 13.0)
    turn.note(said(3, "one tw", final=False), 12.0)
    turn.note(said(3, "One, two"), 12.1)
    assert turn.transcript == "One, two Three"
    errors = turn.errors()
    assert errors is not None
    assert (errors.edits, errors.words) == (0, 3)
    assert Turn(Clip.of("x", np.zeros(1_600, np.float32)), 0.0).errors() is None


def test_replying_until_the_reply_has_ended(clip: Clip):
    turn = Turn(clip, began=10.0)
    assert not turn.replying
    turn.note({"type": "state_changed", "state": "thinking"}, 11.0)
    assert turn.replying
    turn.note(started(1), 11.2)
    turn.note({"type": "state_changed", "state": "listening"}, 11.2)
    assert turn.replying
    turn.note(ended(1), 12.0)
    assert not turn.replying


def test_row_tells_words_only_when_asked(clip: Clip):
    turn = Turn(clip, began=10.0)
    for event in (said(1, "secret words"), started(1, speculated=True), ended(1, text="a secret")):
        turn.note(event, 12.0)
    turn.note({"type": "speech_resumed", "start": 1}, 12.0)
    turn.note({"type": "notice", "code": "host_lost", "message": "..."}, 12.0)
    ear = heard((12.0, 12.5))
    row = turn.row(ear, words=False)
    assert "secret" not in str(row)
    assert (row["speculation_kept"], row["pauses_resumed"], row["notices"]) == (1, 1, ["host_lost"])
    assert turn.row(ear, words=True)["transcript"] == "secret words"
