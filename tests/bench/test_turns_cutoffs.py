"""The curve of false cut-offs: planted traces whose curve is known by hand; places and traces of recorded speech."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.audio import HEARD_RATE
from voxrtc.bench.turns.cutoffs import (
    LATENCIES_MS,
    NEVER_MS,
    PAUSES_MS,
    SETTINGS,
    TUNED_ON,
    Curve,
    Cutoffs,
    Point,
    best,
    cheapest,
    curve,
    frontier,
    measure,
)
from voxrtc.bench.turns.places import UNFINISHED, Place, places
from voxrtc.bench.turns.recordings import Recording, recordings
from voxrtc.bench.turns.traces import LISTENED_S, LONGEST_PAUSE_MS, Models, Trace, trace
from voxrtc.endpointing.networks import Networks
from voxrtc.endpointing.waits import STRATEGIES, FixedWait, FusedWait, Pause, SmartTurnWait
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.llm.gguf import Gguf
from voxrtc.settings import Endpointing, Settings

TUNED, HELD_OUT = "austen-0870", "somebody-else"
assert TUNED in TUNED_ON


def planted(done: bool, recording: str = TUNED, late_ms: int = 0, **known: Any) -> Trace:
    """A pause of which every 10 ms are asked about; the detector counts ``late_ms`` less than there were."""
    moments = tuple((float(ms), float(ms + late_ms)) for ms in range(80, round(LISTENED_S * 1000), 10))
    of = {"prosody": 0.9, "prosody_at": 115.0, "words": "turn it off", "ends": 0.6, "words_at": 300.0} | known
    return Trace(recording=recording, done=done, moments=moments, **of)


class Never:
    """Ends no turn."""

    uses: frozenset[str] = frozenset()

    def wait_ms(self, pause: Pause) -> float:
        return float("inf")


class TestWhenARuleEndsATurn:
    def test_by_silence(self) -> None:
        rule = FixedWait(Endpointing(end_silence_ms=550))
        assert planted(done=True).ended_after(rule) == 550
        assert planted(done=True, late_ms=120).ended_after(rule) == 670, "counted from the true end of the voice"

    def test_by_the_voice_not_before_it_is_judged(self) -> None:
        rule = SmartTurnWait(Endpointing(threshold=0.5, min_silence_ms=100, max_silence_ms=900, pause_ms=80))
        assert planted(done=True).ended_after(rule) == 120
        assert planted(done=True, prosody_at=305.0).ended_after(rule) == 310
        assert planted(done=True, prosody=0.4).ended_after(rule) == 900

    def test_by_voice_and_words_not_before_both_are_known(self) -> None:
        rule = FusedWait(Endpointing(min_silence_ms=200, max_silence_ms=1500, evidence_ms=500))
        assert planted(done=True).ended_after(rule) == 300
        assert planted(done=True, words_at=700.0).ended_after(rule) == 500, "then without the words"
        assert planted(done=True, words="turn off the").ended_after(rule) == 300
        assert planted(done=True, words="turn off the", ends=0.0).ended_after(rule) == 1500

    def test_a_rule_that_never_does(self) -> None:
        assert planted(done=True).ended_after(Never()) is None
        assert planted(done=False).ended_after(Never()) is None

    def test_a_pause_is_over_some_time(self) -> None:
        """The caller goes on, whatever the rule would have done."""
        slow = FixedWait(Endpointing(end_silence_ms=LONGEST_PAUSE_MS + 100))
        assert planted(done=False).ended_after(slow) is None
        assert planted(done=True).ended_after(slow) == LONGEST_PAUSE_MS + 100
        last = FixedWait(Endpointing(end_silence_ms=LONGEST_PAUSE_MS))
        assert planted(done=False).ended_after(last) == LONGEST_PAUSE_MS


def points(rule: str, *traces: Trace, group: str = "tuned") -> dict[int, Point]:
    found: list[Point] = getattr(curve(rule, traces, Endpointing()), group)
    return {point.setting: point for point in found}


class TestCurve:
    def test_silence_alone_by_hand(self) -> None:
        """A wait of w ms answers after w, and takes each pause of w ms and longer for an end."""
        found = points("vad", planted(done=True), planted(done=False))
        assert len(found) == len(SETTINGS["vad"])
        for number, setting in enumerate(SETTINGS["vad"]):
            wait = setting["end_silence_ms"]
            decided = -(-wait // 10) * 10
            assert found[number].latency_ms == decided
            cut = sum(decided <= ms for ms in PAUSES_MS)
            assert found[number].ratio == pytest.approx(cut / len(PAUSES_MS), abs=1e-4)
        everything = list(found.values())
        assert best(everything, 300).ratio == pytest.approx(10 / 11, abs=1e-4)
        assert best(everything, 800).ratio == pytest.approx(5 / 11, abs=1e-4)
        assert cheapest(everything) == 1230, "the next wait after the longest pause"
        assert [p.ratio for p in frontier(everything)] == pytest.approx([n / 11 for n in range(11, -1, -1)], abs=1e-4)

    def test_a_voice_that_tells_all_has_no_false_ones(self) -> None:
        traces = planted(done=True, prosody=0.99), planted(done=False, prosody=0.01)
        everything = list(points("smart_turn", *traces).values())
        assert best(everything, 300).ratio == 0.0
        assert cheapest(everything) == 120, "as soon as it is judged"

    def test_words_help_where_the_voice_is_wrong(self) -> None:
        traces = planted(done=True), planted(done=False, words="turn off the", ends=0.0)
        assert best(list(points("smart_turn", *traces).values()), 500).ratio > 0.5
        assert best(list(points("fused", *traces).values()), 500).ratio == 0.0

    def test_an_end_that_is_never_found_costs_the_longest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(STRATEGIES, "vad", lambda settings: Never())
        found = points("vad", planted(done=True), planted(done=False))
        assert {(p.latency_ms, p.ratio) for p in found.values()} == {(NEVER_MS, 0.0)}

    def test_each_recording_counts_the_same(self) -> None:
        many = [planted(done=True, prosody=0.99) for _ in range(9)]
        few = [planted(done=True, recording="austen-0890", late_ms=1000, prosody=0.99)]
        cut = [planted(done=False) for _ in range(3)] + [planted(done=False, recording="austen-0880", prosody=0.0)]
        number = next(n for n, s in enumerate(SETTINGS["vad"]) if s["end_silence_ms"] == 500)
        point = points("vad", *many, *few, *cut)[number]
        assert point.latency_ms == (500 + 1500) / 2
        point = curve("smart_turn", [*many, *cut], Endpointing(strategy="smart_turn")).configured["tuned"]
        assert point.ratio == 0.5, "three pauses of one recording cut, one of another not"

    def test_recordings_that_were_tuned_on_stand_apart(self) -> None:
        traces = [planted(done, name, late) for done in (True, False) for name, late in ((TUNED, 0), (HELD_OUT, 200))]
        found = curve("vad", traces, Endpointing(end_silence_ms=550))
        assert set(found.configured) == {"tuned", "held_out", "everything"}
        assert [found.configured[name].latency_ms for name in ("tuned", "held_out", "everything")] == [550, 750, 650]
        assert len(found.tuned) == len(found.held_out) == len(found.everything) == len(SETTINGS["vad"])

    def test_pauses_without_ends_have_no_curve(self) -> None:
        found = curve(
            "vad", [planted(done=True), planted(done=False), planted(done=False, recording=HELD_OUT)], Endpointing()
        )
        assert found.held_out == []
        document = found.to_json()
        assert document["held_out"]["own_curve"] == {str(ms): 1.0 for ms in LATENCIES_MS}
        assert document["held_out"]["latency_ms_at_5_percent"] is None
        assert document["held_out"]["false_cutoff_ratio"] == {str(ms): {} for ms in LATENCIES_MS}
        assert document["held_out_curve"] == []

    def test_a_quick_one_takes_some_of_the_settings(self) -> None:
        found = curve("vad", [planted(done=True), planted(done=False)], Endpointing(), every=9)
        assert [point.setting for point in found.everything] == list(range(0, len(SETTINGS["vad"]), 9))

    def test_what_was_chosen_on_the_tuned_ones_is_tried_on_the_others(self) -> None:
        """On the one, waiting 1225 ms is the best within 1500; on the other it is 200 ms later."""
        traces = [planted(done, name, late) for done in (True, False) for name, late in ((TUNED, 0), (HELD_OUT, 200))]
        found = curve("vad", traces, Endpointing())
        chosen = best(found.tuned, 500)
        transferred = found.to_json()["held_out"]["false_cutoff_ratio"]["500"]
        held = next(p for p in found.held_out if p.setting == chosen.setting)
        assert transferred == {"ratio": held.ratio, "latency_ms": held.latency_ms}
        assert held.latency_ms == chosen.latency_ms + 200

    def test_every_setting_is_one_that_may_be_configured(self) -> None:
        for rule, settings in SETTINGS.items():
            for setting in settings:
                made = Endpointing.model_validate({"strategy": rule} | setting)
                assert {key: getattr(made, key) for key in setting} == setting

    def test_the_document(self) -> None:
        traces = [planted(done, name) for done in (True, False) for name in (TUNED, HELD_OUT)]
        curves = {rule: curve(rule, traces, Endpointing(), every=9) for rule in SETTINGS}
        document = json.loads(json.dumps(Cutoffs(curves, 2, 2, 1).to_json(), allow_nan=False))
        assert document["places"] == {"pauses": 2, "ends": 2, "unheard": 1}
        assert set(document["rules"]) == {"vad", "smart_turn", "fused"}
        for rule in document["rules"].values():
            assert set(rule["false_cutoff_ratio"]) == {"300", "500", "800"}
            assert rule["configured"]["everything"].keys() == {"latency_ms", "ratio"}
        assert document["false_cutoff_ratio"] == document["rules"]["fused"]["false_cutoff_ratio"]


ANY = st.lists(st.builds(Point, st.floats(0, 2600), st.floats(0, 1), st.integers(0, 99)), max_size=20)


class TestPoints:
    def test_the_best_is_the_quickest_of_those_with_the_fewest(self) -> None:
        quick, good, slow = Point(250, 0.4, 0), Point(300, 0.1, 1), Point(310, 0.0, 2)
        assert best([slow, good, quick, Point(299, 0.1, 3)], 300) == Point(299, 0.1, 3)
        assert best([slow], 300) == Point(300, 1.0, -1), "none is as quick: everybody is cut off"
        assert best([], 300).ratio == 1.0

    def test_the_cheapest_is_within_budget(self) -> None:
        assert cheapest([Point(900, 0.05, 0), Point(700, 0.06, 1), Point(1000, 0.0, 2)]) == 900
        assert cheapest([Point(700, 0.06, 1)]) is None
        assert cheapest([]) is None

    def test_the_frontier_leaves_out_what_is_beaten(self) -> None:
        kept = [Point(200, 0.9, 0), Point(300, 0.5, 1), Point(500, 0.1, 2)]
        beaten = [Point(200, 0.95, 3), Point(310, 0.5, 4), Point(600, 0.1, 5), Point(700, 0.8, 6)]
        assert list(frontier([*beaten, *kept])) == kept
        assert list(frontier([])) == []

    @given(ANY, st.floats(0, 2600))
    def test_the_best_lies_on_the_frontier(self, found: list[Point], latency: float) -> None:
        edge = list(frontier(found))
        assert all(a.latency_ms <= b.latency_ms and a.ratio > b.ratio for a, b in pairwise(edge))
        assert best(edge, latency).ratio == best(found, latency).ratio
        assert cheapest(edge) == cheapest(found)

    def test_a_curve_without_points_is_written_all_the_same(self) -> None:
        assert Curve("fused").to_json()["false_cutoff_ratio"] == {"300": 1.0, "500": 1.0, "800": 1.0}


# -- recorded speech, with the real models --------------------------------------------------------------------


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    cache = Settings().models.cache_path
    ears, reader = (store.ensure(name, cache, lambda what, part: None) for name in ("whisper-base", "smollm2-135m"))
    gguf = Gguf(next(reader.glob("*.gguf")), threads=1, slots=1, context_tokens=512)
    networks = Networks.load(Settings.model_validate({"endpointing": {"strategy": "fused"}}))
    assert networks.prosody is not None
    yield Models(networks.silero, networks.prosody, Whisper(ears, threads=2), gguf)
    networks.close()
    gguf.close()


RECORDINGS = {one.name: one for one in recordings()}


def found_in(recording: Recording, models: Models) -> list[Place]:
    return list(places(recording, models.whisper, models.silero))


def until(place: Place, recording: Recording) -> float:
    """Seconds into the recording at which the voice of ``place`` stops."""
    size = min(place.speech.size, place.voice)
    last = place.speech[:size][-HEARD_RATE // 4 :]
    windows = np.lib.stride_tricks.sliding_window_view(recording.samples, last.size)
    return float(np.flatnonzero((windows == last).all(axis=1))[0] + last.size) / HEARD_RATE


@pytest.mark.models
class TestPlaces:
    def test_the_pauses_of_jfk(self, models: Models) -> None:
        """ "... my fellow Americans | ask | not | what your country can do for you | ask what you can do ..." """
        jfk = RECORDINGS["jfk"]
        ends = {round(until(place, jfk), 2) for place in found_in(jfk, models) if not place.done}
        for natural in (2.12, 3.7, 4.3, 7.57):
            assert any(abs(end - natural) <= 0.15 for end in ends), natural

    @pytest.mark.parametrize("name", sorted(RECORDINGS))
    def test_what_a_place_is(self, models: Models, name: str) -> None:
        found = found_in(RECORDINGS[name], models)
        assert any(place.done for place in found) == (name not in UNFINISHED)
        assert len(found) == len({(place.voice, place.speech.tobytes()) for place in found}), "each once"
        for place in found:
            assert place.recording == name
            assert 0.8 * HEARD_RATE <= place.voice <= place.speech.size + HEARD_RATE // 100
            assert place.speech.size - place.voice <= HEARD_RATE // 10, "no silence after the voice but its decay"
            assert place.done or not place.tail.size

    def test_a_clip_that_breaks_off_is_a_pause_at_its_end(self, models: Models) -> None:
        last = found_in(RECORDINGS["austen-0880"], models)[-1]
        assert not last.done
        assert until(last, RECORDINGS["austen-0880"]) > 2.7

    def test_words_that_end_in_a_comma_are_not_done(self, models: Models) -> None:
        one = RECORDINGS["austen-0920"]
        half = Recording(one.name, f"{one.words},", one.samples, one.onset, one.end)
        assert not any(place.done for place in found_in(half, models))

    def test_a_silence_between_two_halves_is_a_place(self, models: Models) -> None:
        first, second = RECORDINGS["austen-0880"], RECORDINGS["austen-0890"]
        parts = [first.samples[: first.end], np.zeros(HEARD_RATE * 7 // 10, np.float32), second.speech]
        both = Recording.of("both", f"{first.words} {second.words}", np.concatenate(parts))
        found = found_in(both, models)
        pauses = [until(place, both) for place in found if not place.done]
        assert any(abs(at - first.end / HEARD_RATE) < 0.15 for at in pauses)
        assert len({place.speech.size for place in found if place.done}) >= 2, "a turn may also begin after it"

    def test_what_whisper_cannot_take_whole_has_none(self, models: Models) -> None:
        one = RECORDINGS["jfk"]
        long = Recording("long", one.words, np.tile(one.samples, 3), one.onset, one.end)
        assert found_in(long, models) == []


@pytest.mark.models
class TestTraces:
    def test_an_end(self, models: Models) -> None:
        place = next(p for p in found_in(RECORDINGS["austen-0920"], models) if p.done)
        seen = trace(place, models, Endpointing(), -75.0, seed=1)
        assert seen is not None
        assert seen.done
        assert seen.prosody > 0.8
        assert "more amiable woman" in seen.words
        assert 0.0 <= seen.ends <= 1.0
        self.check(seen)

    def test_a_pause(self, models: Models) -> None:
        place = found_in(RECORDINGS["austen-0880"], models)[-1]
        seen = trace(place, models, Endpointing(), -50.0, seed=1)
        assert seen is not None
        assert not seen.done
        assert seen.prosody < 0.3
        assert "young man" in seen.words
        self.check(seen)

    def check(self, seen: Trace) -> None:
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(seen.moments))
        first, last = seen.moments[0], seen.moments[-1]
        assert 70 <= first[0] <= 350
        assert last[1] > 2400, "for as long as any rule waits"
        assert abs(first[1] - first[0]) < 250, "where the voice ended is known to a quarter of a second"
        assert first[0] < seen.prosody_at < seen.words_at < 700

    def test_it_comes_out_the_same_every_time(self, models: Models) -> None:
        place = found_in(RECORDINGS["austen-0880"], models)[-1]
        one, two = (trace(place, models, Endpointing(), -50.0, seed=3) for _ in range(2))
        assert one is not None
        assert two is not None
        assert (one.moments, one.words, one.prosody) == (two.moments, two.words, two.prosody)
        assert one.ends == pytest.approx(two.ends, abs=0.01)

    def test_where_the_detector_hears_nothing_there_is_none(self, models: Models) -> None:
        place = Place("hiss", np.zeros(HEARD_RATE, np.float32), HEARD_RATE, np.zeros(0, np.float32), done=True)
        assert trace(place, models, Endpointing(), -50.0, seed=1) is None


@pytest.mark.models
def test_all_of_it_on_two_recordings(models: Models) -> None:
    told: list[float] = []
    some = [RECORDINGS["austen-0880"], RECORDINGS["austen-0920"]]
    found = measure(some, models, Endpointing(), quick=True, progress=told.append)
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] <= 1
    assert found.pauses >= 2
    assert found.ends >= 1
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    rules = document["rules"]
    assert rules["fused"]["false_cutoff_ratio"]["500"] < rules["vad"]["false_cutoff_ratio"]["500"]
