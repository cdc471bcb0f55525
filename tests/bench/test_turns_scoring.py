"""What is counted: planted errors are found, in made-up takes and in sessions that are made to do wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.dialogue.scripted import ScriptedDetector
from voxrtc.audio import HEARD_RATE, SPOKEN_BLOCK, Samples
from voxrtc.bench.turns import barge_in, product, remembering, silence, undisturbed
from voxrtc.bench.turns.noises import white
from voxrtc.bench.turns.recordings import recordings
from voxrtc.bench.turns.replies import SHORTER
from voxrtc.bench.turns.scene import Echo, Part, Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Happening, Stage, Take
from voxrtc.bench.turns.standin import INVENTED, Clause
from voxrtc.bench.turns.truth import Left, WordTiming, furthest, what_left
from voxrtc.bench.virtual import Packet
from voxrtc.dialogue.memory import Exchange, Memory
from voxrtc.dialogue.session import Session
from voxrtc.events import Event, FalseInterruption, ReplyEnded, ReplyStarted, ReplyText, TurnDropped, TurnEnded
from voxrtc.settings import Settings

REPLY = SHORTER[0]


def happened(at: float, kind: type[Event], **fields: Any) -> Happening:
    return Happening(at, kind(call="c", at=0, time=0.0, **fields))


def take(*happenings: Happening, **fields: Any) -> Take:
    """A take in which a reply began to be heard at 1 s, and somebody spoke at 2 s."""
    about: dict[str, Any] = {"reply": 1, "cue": 1.0, "seconds": 10.0, "onsets": [2.0]}
    started = happened(0.5, ReplyStarted, reply=1, turn=1, speculated=False)
    return Take(**(about | fields), happenings=[started, *happenings])


def ended(at: float, how: str = "interrupted") -> Happening:
    return happened(at, ReplyEnded, reply=1, ended=how, text="")


def resumed(at: float) -> Happening:
    return happened(at, FalseInterruption, reply=1, reason="no words", silent_ms=300.0)


SCENE = Scene("a scene", 5.0, REPLY, parts=(Part("phrase:0", 1.0, -26.0),))

# -- barge-in ----------------------------------------------------------------------------------------------------


def test_the_decision_is_counted_from_the_onset() -> None:
    assert barge_in.decision_ms(take(ended(2.16), stops=[2.16])) == pytest.approx(160)


def test_of_a_stop_that_was_taken_back_only_the_next_counts() -> None:
    one = take(resumed(2.6), ended(4.0), stops=[2.2, 2.9])
    assert barge_in.decision_ms(one) == pytest.approx(900)


@pytest.mark.parametrize(
    ("one", "missed", "false"),
    [
        (take(ended(2.2), stops=[2.2]), 0, 0),
        (take(ended(9.0, "finished")), 1, 0),
        (take(resumed(2.6), ended(9.0, "finished"), stops=[2.2]), 1, 0),
        (take(), 1, 0),
        (take(ended(1.5), stops=[1.5]), 0, 1),
        (take(ended(2.02), stops=[2.02]), 0, 1),
        (take(resumed(1.8), ended(2.2), stops=[1.5, 2.2]), 0, 1),
        (take(resumed(1.8), ended(9.0, "finished"), stops=[1.5]), 1, 1),
    ],
    ids=[
        "right",
        "never stopped",
        "went on",
        "never ended",
        "early",
        "too soon",
        "early, then right",
        "early, then not",
    ],
)
def test_barge_ins_that_go_wrong_are_counted(one: Take, missed: int, false: int) -> None:
    scored = barge_in.score([SCENE], [one])
    assert (scored["missed"], scored["false"]) == (missed, false)
    assert len(scored["faults"]) == missed + false


def test_where_there_was_no_reply_nothing_could_be_missed() -> None:
    scored = barge_in.score([SCENE], [Take(cue=None, seconds=20.0, onsets=[], happenings=[])])
    assert (scored["missed"], scored["unanswered"], len(scored["faults"])) == (0, 1, 1)


def test_an_early_stop_is_put_down_to_what_there_was_to_hear() -> None:
    babble = replace(SCENE, ambient=(Part("babble", 0.0, -40.0),), echo=Echo(-15.0, 100.0, True))
    echo = replace(SCENE, echo=Echo(-15.0, 100.0, True))
    early = take(ended(1.5), stops=[1.5])
    scored = barge_in.score([SCENE, babble, echo, echo], [early] * 4)
    assert scored["early"] == {"quiet": 1, "white": 0, "babble": 1, "echo": 2}


def test_decisions_are_told_apart_by_what_there_was_to_hear() -> None:
    echo = replace(SCENE, name="echo", echo=Echo(-15.0, 100.0, True))
    scored = barge_in.score([SCENE, echo], [take(ended(at), stops=[at]) for at in (2.16, 2.3)])
    assert scored["decision_ms_by"]["quiet"]["max"] == pytest.approx(160)
    assert scored["decision_ms_by"]["echo"]["max"] == pytest.approx(300)
    assert [one["scene"] for one in scored["slowest"]] == ["echo", "a scene"]


def test_what_the_end_of_the_call_stops_is_no_decision(stage: Stage) -> None:
    scene = replace(BARGE_IN, seconds=1.6)  # 0.1 s of the caller
    assert stage.perform(scene).stops == []


# -- what must not interrupt ----------------------------------------------------------------------------------------


def test_a_reply_that_does_not_go_on_is_lost() -> None:
    whole = take(resumed(2.6), ended(6.0, "finished"), stops=[2.2], packets=[2.18, 2.6], left=[Left("a", 9, 9, 1)])
    cut = take(ended(2.2), stops=[2.2], left=[Left("a", 9, 5, 0)])
    skipping = take(ended(6.0, "finished"), left=[Left("a", 9, 9, 1), Left("b", 9, 8, 1)])
    scored = undisturbed.score_backchannels([SCENE] * 3, [whole, cut, skipping])
    assert (scored["scenes"], scored["lost"], scored["stopped"]) == (3, 2, 2)
    assert scored["silent_ms"]["max"] == pytest.approx(400)


def test_echo_that_stops_a_reply_is_counted_by_level() -> None:
    scenes = [replace(SCENE, echo=Echo(db, 120.0, True)) for db in (-10.0, -15.0, -20.0, -30.0)]
    fine = take(ended(6.0, "finished"))
    twice = take(resumed(2.0), resumed(4.0), ended(8.0, "finished"), stops=[1.5, 3.5], ducks=[1.4])
    scored = undisturbed.score_echo(scenes, [twice, fine, twice, fine])
    assert scored["by_level"] == {"-10": 2, "-15": 0, "-20": 2, "-30": 0}
    assert scored["false_interruptions"] == 2
    assert scored["ducked"] == 2


def test_an_answer_to_an_echo_is_counted() -> None:
    scene = replace(SCENE, echo=Echo(-20.0, 120.0, True))
    again = happened(8.0, ReplyStarted, reply=2, turn=2, speculated=False)
    assert undisturbed.score_echo([scene], [take(ended(6.0, "finished"), again)])["replies"] == 1


def test_noise_that_stops_a_reply_is_counted_by_sound() -> None:
    door = replace(SCENE, parts=(Part("door", 1.0, -20.0),))
    scored = undisturbed.score_noise([door], [take(resumed(2.5), ended(6.0, "finished"), stops=[2.1])])
    assert (scored["false_interruptions"], scored["lost"]) == (1, 0)
    assert scored["by_sound"]["door"] == 1


# -- silence --------------------------------------------------------------------------------------------------------


def test_turns_out_of_nothing_are_counted_unless_they_were_dropped() -> None:
    over = [happened(at, TurnEnded, turn=n, start=0, end=0) for n, at in ((1, 3.0), (2, 6.0))]
    dropped = happened(6.1, TurnDropped, turn=2, reason="no words")
    noisy = Take(cue=0.0, seconds=60.0, onsets=[], happenings=[*over, dropped])
    quiet = Take(cue=0.0, seconds=60.0, onsets=[], happenings=[])
    unasked = happened(5.0, ReplyStarted, reply=1, turn=0, speculated=False)
    scored = silence.score([SCENE] * 3, [noisy, quiet, replace(quiet, happenings=[unasked])])
    assert (scored["turns"], scored["dropped"], scored["minutes"]) == (1, 1, 3.0)


def test_ten_minutes_of_it() -> None:
    sounds = Sounds(recordings())
    assert sum(scene.seconds for scene in silence.scenes(sounds, 0, quick=False)) == 600
    assert all(scene.reply is None for scene in silence.scenes(sounds, 0, quick=False))


# -- memory ---------------------------------------------------------------------------------------------------------

HEARD = [Left("One two three.", 100, 100, 3), Left(" Four five six.", 100, 60, 2), Left(" Seven.", 100, 0, 0)]


@pytest.mark.parametrize(
    ("remembered", "words", "clauses_right"),
    [
        ("One two three. Four five", 0, True),
        ("One two three. Four", 1, True),
        ("One two three.", 2, True),
        ("One two three. Four five six. Seven.", 2, False),
        ("One two", 3, False),
        ("", 5, False),
        ("Something else was said here", 0, False),
    ],
)
def test_what_is_remembered_is_compared(remembered: str, words: int, clauses_right: bool) -> None:
    gap = remembering.gap(take(left=HEARD, remembered=remembered))
    assert (gap.words, gap.clauses_right) == (words, clauses_right)


def test_memories_add_up() -> None:
    takes = [take(left=HEARD, remembered=text) for text in ("One two three. Four five", "One two three.", "")]
    scored = remembering.score([SCENE] * 3, takes)
    assert (scored["interruptions"], scored["clause_errors"], scored["word_errors"]) == (3, 1, 2)
    assert scored["within_one_word_ratio"] == pytest.approx(0.3333)


# -- the truth ------------------------------------------------------------------------------------------------------


def packets(sound: Samples, gain: float = 1.0) -> list[Packet]:
    padded = np.concatenate([sound, np.zeros(-sound.size % SPOKEN_BLOCK, np.float32)]) * np.float32(gain)
    return [Packet(0.02 * n, part) for n, part in enumerate(padded.reshape(-1, SPOKEN_BLOCK))]


@pytest.fixture
def sound() -> Samples:
    return np.concatenate([white(np.random.default_rng(0), 10_000) * np.float32(0.1), np.zeros(1_000, np.float32)])


def test_all_that_left_is_found(sound: Samples) -> None:
    assert furthest(sound, packets(sound)) == sound.size
    assert furthest(sound, []) == 0
    assert furthest(sound, packets(sound)[:7]) == 7 * SPOKEN_BLOCK


def test_a_softer_packet_is_found_too(sound: Samples) -> None:
    left = packets(sound)
    assert furthest(sound, left[:4] + packets(sound, 0.25)[4:8]) == 8 * SPOKEN_BLOCK


def test_what_is_said_again_counts_once(sound: Samples) -> None:
    left = packets(sound)
    again = packets(sound[3 * SPOKEN_BLOCK + 77 :])
    assert furthest(sound, left[:6] + again[:2]) == 6 * SPOKEN_BLOCK
    assert furthest(sound, left[:6] + again[:5]) == 8 * SPOKEN_BLOCK + 77


def test_what_else_is_said_does_not_count(sound: Samples) -> None:
    other = packets(white(np.random.default_rng(9), 5_000) * np.float32(0.1))
    assert furthest(sound, packets(sound)[:6] + other) == 6 * SPOKEN_BLOCK


def test_a_gap_between_clauses_is_no_part_of_them(sound: Samples) -> None:
    one, two = sound[:1_000], sound[1_000:5_000]
    assert furthest(sound, packets(one) + packets(two)) == pytest.approx(5_000, abs=1)


class EvenTiming(WordTiming):
    """Every word of a clause takes as long."""

    def __init__(self) -> None:
        self._known = {}

    def boundaries(self, text: str) -> list[float]:
        count = len(text.split())
        return [n * 2_000 / 24_000 for n in range(1, count)]


def test_clauses_and_words_are_told_apart(sound: Samples) -> None:
    texts = ("one two three", " four five", " six")
    events = [ReplyText(call="c", at=0, time=0.0, reply=1, clause=n, text=text) for n, text in enumerate(texts)] + [
        ReplyText(call="c", at=0, time=0.0, reply=2, clause=0, text="other")
    ]
    spoken = [Clause("one two three,", sound[:6_000], 0.0), Clause("four five", sound[6_000:10_000], 0.0)]
    left = what_left(1, events, spoken, packets(sound[: 15 * SPOKEN_BLOCK]), EvenTiming())
    assert [(one.size, one.heard, one.words) for one in left] == [(6_000, 6_000, 3), (4_000, 1_200, 1), (0, 0, 0)]


# -- sessions that do wrong -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage() -> Stage:
    """The product by silence alone; whatever is heard in a noise is a word."""
    return Stage(product.load(Settings(), "vad"), Sounds(recordings()))


BARGE_IN = Scene("a caller", 5.5, REPLY, parts=(Part("phrase:0", 1.5, -24.0, 2.0),), seed=1)


def test_a_session_that_stops_for_a_caller_is_right(stage: Stage) -> None:
    one = stage.perform(BARGE_IN)
    assert barge_in.score([BARGE_IN], [one])["missed"] == 0
    assert 40 < (barge_in.decision_ms(one) or 0) < 400
    assert remembering.gap(one).clauses_right
    assert not undisturbed.whole(one)


def test_a_scene_is_the_same_every_time(stage: Stage) -> None:
    scene = replace(BARGE_IN, echo=Echo(-20.0, 120.0, True), ambient=(Part("white", 0.0, -50.0, 10.0),))
    one, other = stage.perform(scene), stage.perform(scene)
    assert [(h.at, h.event.type) for h in one.happenings] == [(h.at, h.event.type) for h in other.happenings]
    assert (one.stops, one.packets, one.left, one.remembered) == (
        other.stops,
        other.packets,
        other.left,
        other.remembered,
    )


def test_only_the_end_of_the_call_stops_a_reply_to_a_deaf_session(stage: Stage) -> None:
    scene = Scene("cut", 2.0, REPLY)
    one = stage.perform(scene)
    assert one.stops == []
    assert not undisturbed.whole(one)


def test_an_opening_in_two_turns_is_answered_by_the_reply(stage: Stage) -> None:
    settings = stage.product.settings
    hasty = settings.model_copy(update={"endpointing": settings.endpointing.model_copy(update={"end_silence_ms": 150})})
    went_on = Part("phrase:1", 1.6, -24.0, 1.0)  # 0.3 s after the opening: sooner than an answer can be heard
    scene = Scene("hesitant", 9.0, REPLY, opening=Part("phrase:3", 0.0, -24.0, 0.8), ambient=(went_on,))
    one = Stage(replace(stage.product, settings=hasty), stage.sounds).perform(scene)
    assert one.reply > 1
    assert " ".join(left.text.strip() for left in one.left) == REPLY
    assert undisturbed.whole(one)


def test_a_session_that_cannot_be_interrupted_misses_the_caller(stage: Stage) -> None:
    settings = stage.product.settings
    deaf = settings.model_copy(update={"dialogue": settings.dialogue.model_copy(update={"interruptions": "off"})})
    one = Stage(replace(stage.product, settings=deaf), stage.sounds).perform(BARGE_IN)
    assert barge_in.score([BARGE_IN], [one])["missed"] == 1
    assert undisturbed.whole(one)


class Voices(product.Product):
    """Sessions whose detector hears voices, from 1.2 to 2.2 s and nowhere else."""

    def session(self, models: Any, emit: Any) -> Session:
        detector = ScriptedDetector(voice=[(1_200, 2_200)])
        return Session("bench", self.settings, models, detector, emit, product.Phrases())


def test_a_session_that_hears_voices_is_found_out(stage: Stage) -> None:
    voices = Voices(stage.product.settings, stage.product.networks)
    quiet = Scene("silence", 6.0)
    worst = Stage(voices, stage.sounds).perform(quiet)
    assert silence.score([quiet], [worst])["turns"] == 1
    assert any(getattr(h.event, "text", "") == INVENTED for h in worst.happenings)
    careful = Stage(voices, stage.sounds, noise=lambda samples: "").perform(quiet)
    scored = silence.score([quiet], [careful])
    assert (scored["turns"], scored["dropped"]) == (0, 1)


def test_a_reply_that_is_stopped_by_nothing_is_found_out(stage: Stage) -> None:
    voices = Voices(stage.product.settings, stage.product.networks)
    echo = Scene("echo", 6.0, REPLY, echo=Echo(-30.0, 100.0, False))
    one = Stage(voices, stage.sounds).perform(echo)
    assert undisturbed.score_echo([echo], [one])["by_level"]["-30"] >= 1


class Forgetful(product.Product):
    """Sessions whose memory lacks the last four words of a reply."""

    def session(self, models: Any, emit: Any) -> Session:
        class Lossy(Session):
            @property
            def memory(self) -> Memory:
                kept = [Exchange(e.user, " ".join(e.assistant.split()[:-4])) for e in super().memory.exchanges]
                return Memory(5, exchanges=kept)

        return Lossy(
            "bench",
            self.settings,
            models,
            product.Detector(self.settings.endpointing, self.networks.silero),
            emit,
            product.Phrases(),
        )


def test_a_memory_that_loses_words_is_found_out(stage: Stage) -> None:
    scene = Scene("stopped", 3.6, REPLY, stop_at=3.1)
    right = stage.perform(scene)
    wrong = Stage(Forgetful(stage.product.settings, stage.product.networks), stage.sounds).perform(scene)
    assert remembering.score([scene], [right])["word_errors"] == 0
    assert remembering.score([scene], [wrong])["word_errors"] == 1


def test_the_truth_of_a_whole_reply(stage: Stage) -> None:
    one = stage.perform(Scene("undisturbed", 8.0, REPLY))
    assert undisturbed.whole(one)
    assert " ".join(left.text.strip() for left in one.left) == REPLY
    assert sum(left.words for left in one.left) == len(REPLY.split())
    assert sum(left.size for left in one.left) == pytest.approx(len(one.packets) * SPOKEN_BLOCK, abs=SPOKEN_BLOCK * 2)
    assert one.remembered == REPLY


def test_words_take_their_time(stage: Stage) -> None:
    timing = WordTiming(stage.sounds.voice)
    text = "and most of them arrive before the shops have opened"
    bounds = timing.boundaries(text)
    assert len(bounds) == len(text.split()) - 1
    assert bounds == sorted(bounds)
    assert timing.words(text, 0, 60_000) == 0
    assert timing.words(text, 60_000, 60_000) == 10
    assert 2 < timing.words(text, 30_000, 60_000) < 8


def test_an_onset_is_where_the_scene_says(stage: Stage) -> None:
    one = stage.perform(BARGE_IN)
    assert one.cue is not None
    assert one.onsets == [pytest.approx(one.cue + 1.5, abs=1 / HEARD_RATE)]
