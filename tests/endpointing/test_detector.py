"""The detector on real recorded speech and made noises, with the real silero and webrtcvad."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.endpointing import sounds
from tests.endpointing.sounds import AUSTEN, clip, decisions, silence, speech_span, spoken
from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples
from voxrtc.endpointing.detector import RESUME, Decision, Detector, Ended, Paused, Resumed, Started
from voxrtc.endpointing.waits import Pause
from voxrtc.settings import Endpointing

pytestmark = pytest.mark.models

MS = HEARD_RATE // 1000
LEAD = 500 * MS


def detector(**settings: object) -> Detector:
    return Detector(Endpointing.model_validate({"strategy": "vad"} | settings), sounds.silero())


def run(samples: Samples, **settings: object) -> list[tuple[int, Decision]]:
    return decisions(detector(**settings), samples)


def kinds(found: list[tuple[int, Decision]]) -> list[str]:
    return [type(d).__name__ for _, d in found]


def only(found: list[tuple[int, Decision]], kind: type[Decision]) -> list[Decision]:
    return [d for _, d in found if isinstance(d, kind)]


@pytest.mark.parametrize("floor", [-80.0, -50.0, -40.0])
@pytest.mark.parametrize("name", AUSTEN)
def test_a_sentence_is_one_turn_with_true_edges(name: str, floor: float) -> None:
    """Edges against the energy rule (tests/endpointing/sounds.py): the end within 100 ms, the start never late by
    more than 60 ms (the pre-roll is 300)."""
    samples = np.concatenate([silence(500), clip(name), silence(2000)])
    samples += sounds.noise(samples.size, floor, seed=7)
    start, end = (LEAD + at for at in speech_span(clip(name)))
    found = run(samples)
    (ended,) = only(found, Ended)
    assert isinstance(ended, Ended)
    assert abs(ended.end - end) <= 110 * MS
    assert start - 300 * MS <= ended.start <= start + 60 * MS
    assert kinds(found)[0] == "Started"
    assert kinds(found)[-2:] == ["Paused", "Ended"]
    decided = found[-1][0]
    wait = Endpointing().end_silence_ms * MS
    assert 0 <= decided - (ended.end + wait) <= 150 * MS  # late only where silero still hears speech


@pytest.mark.parametrize("name", AUSTEN)
def test_a_pause_is_known_soon(name: str) -> None:
    samples = np.concatenate([silence(500), spoken(name), silence(2000)])
    found = run(samples)
    at, paused = next((at, d) for at, d in reversed(found) if isinstance(d, Paused))
    assert isinstance(paused, Paused)
    assert at - paused.end <= 220 * MS


@pytest.mark.parametrize("gap_ms", [300, 400, 500])
def test_a_caller_who_hesitates_is_one_turn(gap_ms: int) -> None:
    """The two halves of one sentence, with a pause between them that is shorter than end_silence_ms."""
    samples = np.concatenate(
        [silence(500), spoken("austen-0880"), silence(gap_ms), spoken("austen-0890"), silence(2000)]
    )
    found = run(samples)
    assert len(only(found, Started)) == len(only(found, Ended)) == 1
    assert only(found, Resumed)


def test_long_pauses_end_turns() -> None:
    """jfk pauses for 1180, 1120 and 630 ms: a plain silence rule cannot know better."""
    samples = np.concatenate([silence(500), clip("jfk"), silence(2000)])
    assert len(only(run(samples), Ended)) == 4
    assert len(only(run(samples, end_silence_ms=700), Ended)) == 3
    assert len(only(run(samples, end_silence_ms=1300), Ended)) == 1


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(lambda n: np.zeros(n, np.float32), id="silence"),
        pytest.param(lambda n: sounds.noise(n, -50), id="quiet noise"),
        pytest.param(lambda n: sounds.noise(n, -20), id="loud noise"),
        pytest.param(sounds.hum, id="hum"),
        pytest.param(sounds.clicks, id="clicks"),
        pytest.param(sounds.doors, id="doors"),
    ],
)
def test_noise_is_never_a_turn(sound) -> None:  # type: ignore[no-untyped-def]
    """Six kinds, 100 s each: ten minutes."""
    assert run(sound(100 * HEARD_RATE)) == []


def test_noise_that_comes_and_goes_is_never_a_turn() -> None:
    steps = [sounds.noise(3 * HEARD_RATE, level, seed=n) for n, level in enumerate((-70, -20, -45, -10, -60, -30))]
    assert run(np.concatenate(steps)) == []


def test_doors_in_a_pause_do_not_take_the_turn_up_again() -> None:
    gap = sounds.doors(round(1.5 * HEARD_RATE), each_ms=400, seed=3)
    found = run(np.concatenate([silence(500), spoken("austen-0880"), gap, silence(500)]))
    assert len(only(found, Ended)) == 1
    assert not [d for d in only(found, Resumed) if isinstance(d, Resumed) and d.start > LEAD + 3 * HEARD_RATE]


def test_soft_speech_over_noise_is_heard_to_its_end() -> None:
    """The voice 10 dB over the noise: the gate loses parts of it, silero carries them."""
    speech = spoken("austen-0870")
    level = 10 * np.log10(np.mean(np.square(speech)))
    samples = np.concatenate([silence(1000), speech, silence(2000)])
    samples += sounds.noise(samples.size, level - 10, seed=5)
    (ended,) = only(run(samples), Ended)
    assert isinstance(ended, Ended)
    assert abs(ended.end - (HEARD_RATE + speech.size)) <= 200 * MS


def test_a_turn_is_cut_at_its_longest_and_the_next_goes_on() -> None:
    speech = np.concatenate([spoken(name) for name in AUSTEN])
    found = run(np.concatenate([silence(500), speech, silence(1000)]), max_turn_s=8.0)
    ended = only(found, Ended)
    assert len(ended) >= 3
    spans = [(d.start, d.end) for d in ended if isinstance(d, Ended)]
    assert all(end - start <= 8 * HEARD_RATE + BLOCK for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_finish_ends_the_turn_now() -> None:
    d = detector()
    assert d.finish() == []
    samples = np.concatenate([silence(500), spoken("austen-0870")[: 3 * HEARD_RATE]])
    decisions(d, samples)
    assert d.speaking
    (ended,) = d.finish()
    assert isinstance(ended, Ended)
    assert abs(ended.end - samples.size) <= 300 * MS
    assert not d.speaking


def test_a_hole_in_the_positions_is_silence() -> None:
    d = detector()
    speech = np.concatenate([silence(500), spoken("austen-0880")])
    found = decisions(d, speech)
    found += decisions(d, silence(100), position=speech.size + 5 * HEARD_RATE)
    assert kinds(found)[-2:] == ["Paused", "Ended"] or kinds(found)[-1] == "Paused"
    found += decisions(d, silence(100), position=speech.size + 6 * HEARD_RATE)
    assert kinds(found)[-1] == "Ended"
    assert not d.speaking


def test_time_does_not_run_backwards() -> None:
    d = detector()
    d.feed(Block(BLOCK, np.zeros(BLOCK, np.float32)))
    with pytest.raises(ValueError, match="after the call had reached"):
        d.feed(Block(0, np.zeros(BLOCK, np.float32)))


def test_the_strategy_decides_the_wait() -> None:
    class Growing:
        """Waits longer for a turn that is short so far."""

        def __init__(self) -> None:
            self.asked: list[Pause] = []

        def wait_ms(self, pause: Pause) -> int:
            self.asked.append(pause)
            return 1000 if pause.end - pause.start < 4 * HEARD_RATE else 200

    wait = Growing()
    d = Detector(Endpointing(), sounds.silero(), wait)
    samples = np.concatenate([silence(500), spoken("austen-0930"), silence(700), spoken("austen-0920"), silence(1000)])
    found = decisions(d, samples)
    (ended,) = only(found, Ended)
    assert isinstance(ended, Ended)
    assert found[-1][0] - ended.end <= 350 * MS
    assert all(pause.lasted_ms >= Endpointing().pause_ms for pause in wait.asked)


class Endless:
    """Ends no turn."""

    uses: frozenset[str] = frozenset()

    def wait_ms(self, pause: Pause) -> float:
        return float("inf")


def test_a_pause_is_there_while_it_lasts() -> None:
    """The same one all along, each with what is written into it; none before, between and after."""
    d = Detector(Endpointing(), sounds.silero(), Endless())
    samples = np.concatenate([silence(500), spoken("austen-0880"), silence(600), spoken("austen-0890"), silence(600)])
    seen: list[Pause] = []
    paused = False
    for block in sounds.blocks(samples):
        for decision in d.feed(block):
            paused = isinstance(decision, Paused)
        assert (d.pause is not None) == paused
        if d.pause is None:
            continue
        if not seen or d.pause is not seen[-1]:
            assert (d.pause.prosody, d.pause.words, d.pause.ends) == (None, None, None), "nothing of the one before"
            seen.append(d.pause)
            d.pause.words = f"pause {len(seen)}"
        assert d.pause.words == f"pause {len(seen)}"
        assert d.pause.end == d.voice_end
        assert 0 <= block.position + BLOCK - d.pause.now <= RESUME, "stands still while voice may take the turn up"
    ends = [pause.end for pause in seen]
    assert len(ends) >= 2
    assert ends == sorted(set(ends))
    assert {pause.start for pause in seen} == {seen[0].start}, "all of one turn"
    assert d.pause is seen[-1]
    d.finish()
    assert d.pause is None


def test_what_is_written_into_a_pause_reaches_the_strategy() -> None:
    """The fused rule ends the turn 200 ms after its voice once it knows enough, although that is a while later."""
    d = Detector(Endpointing(strategy="fused", evidence_ms=1000), sounds.silero())
    samples = np.concatenate([silence(500), spoken("austen-0870"), silence(1500)])
    ended_at = known_at = 0
    for block in sounds.blocks(samples):
        found = d.feed(block)
        if d.pause is not None and d.pause.lasted_ms >= 400 and not known_at:
            d.pause.prosody, d.pause.words, d.pause.ends = 0.99, "a whole sentence", 0.9
            known_at = block.position
        if found and isinstance(found[-1], Ended):
            ended_at = block.position
    assert known_at
    assert 0 < ended_at - known_at <= 2 * BLOCK


def test_two_calls_share_the_network_and_nothing_else() -> None:
    samples = np.concatenate([silence(500), spoken("austen-0880"), silence(1000)])
    alone = run(samples)
    one, two = detector(), detector()
    found = []
    for block in sounds.blocks(samples):
        found += [(block.position + BLOCK, d) for d in one.feed(block)]
        two.feed(Block(block.position, sounds.noise(BLOCK, -20, seed=block.position)))
    assert found == alone
