"""The strategies: how long a pause may last, by what is known of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.audio import HEARD_RATE
from voxrtc.endpointing import waits
from voxrtc.endpointing.waits import COMPLETE, STRATEGIES, FixedWait, FusedWait, Pause, SmartTurnWait, make
from voxrtc.errors import ConfigError
from voxrtc.settings import Endpointing

MS = HEARD_RATE // 1000
SETTINGS = Endpointing(min_silence_ms=200, max_silence_ms=1500, doubt=0.5, sure=0.9, threshold=0.6, evidence_ms=400)
PROBABILITY = st.floats(0, 1)


def pause(lasted_ms: int = 100, **known: object) -> Pause:
    return Pause(0, 5 * HEARD_RATE, 5 * HEARD_RATE + lasted_ms * MS, **known)  # type: ignore[arg-type]


def fused(lasted_ms: int = 100, **known: object) -> float:
    return FusedWait(SETTINGS).wait_ms(pause(lasted_ms, **known))


def test_a_pause_knows_how_long_it_lasts() -> None:
    assert pause(130).lasted_ms == 130


def test_each_strategy_is_made_by_its_name() -> None:
    made = {name: type(make(Endpointing(strategy=name))) for name in STRATEGIES}
    assert made == {"vad": FixedWait, "smart_turn": SmartTurnWait, "fused": FusedWait}
    assert {name: kind.uses for name, kind in made.items()} == {
        "vad": frozenset(),
        "smart_turn": {"voice"},
        "fused": {"voice", "words"},
    }
    assert isinstance(make(Endpointing()), FusedWait), "the default"


def test_there_is_no_such_strategy() -> None:
    with pytest.raises(ConfigError, match=r"endpointing\.strategy.*'oracle'.*fused, smart_turn, vad"):
        make(Endpointing(strategy="oracle"))


def test_a_strategy_that_cannot_be_made_is_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: Endpointing) -> FixedWait:
        raise KeyError("its own fault")

    monkeypatch.setitem(waits.STRATEGIES, "broken", broken)
    with pytest.raises(KeyError, match="its own fault"):
        make(Endpointing(strategy="broken"))


@given(lasted=st.integers(0, 2000), prosody=st.none() | PROBABILITY, ends=st.none() | PROBABILITY)
def test_silence_alone_looks_at_nothing_else(lasted: int, prosody: float | None, ends: float | None) -> None:
    wait = FixedWait(Endpointing(end_silence_ms=700))
    assert wait.wait_ms(pause(lasted, prosody=prosody, words="and", ends=ends)) == 700


def test_the_voice_alone_is_short_or_long() -> None:
    wait = SmartTurnWait(SETTINGS)
    assert wait.wait_ms(pause()) == 1500, "nothing is known yet"
    assert wait.wait_ms(pause(prosody=0.59)) == 1500
    assert wait.wait_ms(pause(prosody=0.6)) == 200
    assert wait.wait_ms(pause(prosody=0.99, words="I went there and", ends=0.0)) == 200, "words are not its business"


def test_voice_and_words_together() -> None:
    said = {"words": "turn it off", "ends": 0.7}
    assert fused(prosody=0.95, **said) == 200
    assert fused(prosody=0.9, **said) == 200
    assert fused(prosody=0.7, **said) == pytest.approx(850), "half way"
    assert fused(prosody=0.5, **said) == 1500
    assert fused(prosody=0.1, **said) == 1500


def test_words_that_cannot_be_a_turn_veto_the_voice() -> None:
    assert fused(prosody=1.0, words="could you", ends=0.01) == 1500
    assert fused(prosody=1.0, words="could you come", ends=COMPLETE) == 200
    assert fused(prosody=1.0, words="could you come", ends=0.7 * COMPLETE) == pytest.approx(850)


def test_a_last_word_that_hangs_vetoes_at_once_and_for_as_long() -> None:
    assert fused(100, words="I went there and") == 1500, "although the voice is not known yet"
    assert fused(1400, prosody=1.0, words="I went there and", ends=0.01) == 1500
    assert fused(100, prosody=1.0, words="Ich war da und", language="de", ends=-1.0) == 1500
    assert fused(100, prosody=1.0, words="I want um", ends=0.9) == 1500


def test_a_last_word_that_seems_to_hang_gives_way_to_who_read_all() -> None:
    assert fused(100, prosody=1.0, words="Where are you from") == 1500
    assert fused(100, prosody=1.0, words="Where are you from", ends=0.9) == 200


def test_it_waits_for_evidence_but_not_for_ever() -> None:
    assert fused(390, prosody=0.95) == 1500
    assert fused(400, prosody=0.95) == 200, "the words have not come: the voice decides"
    assert fused(390, words="turn it off", ends=0.9) == 1500
    assert fused(400, words="turn it off", ends=0.9) == 1500, "a voice that is not known is no more than even"
    assert fused(400) == 1500
    assert FusedWait(SETTINGS.model_copy(update={"doubt": 0.2, "sure": 0.5})).wait_ms(pause(400)) == 200


def test_words_that_nobody_can_read_leave_it_to_the_voice() -> None:
    """At once: there is nothing to wait for."""
    assert fused(100, prosody=0.95, words="xin chào", language="vi", ends=-1.0) == 200
    assert fused(100, prosody=0.3, words="xin chào", language="vi", ends=-1.0) == 1500


def test_probability() -> None:
    rule = FusedWait(SETTINGS)
    assert rule.probability(pause(100)) is None
    assert rule.probability(pause(100, words="and so the")) == 0.0
    assert rule.probability(pause(100, prosody=0.8, words="yes", ends=0.1)) == pytest.approx(0.4)
    assert rule.probability(pause(100, prosody=0.8, words="yes", ends=0.6)) == 0.8


KNOWN = st.fixed_dictionaries(
    {
        "prosody": st.none() | PROBABILITY,
        "words": st.none() | st.sampled_from(["", "yes", "I went there and", "my number is 55", "Where are you from"]),
        "ends": st.none() | st.just(-1.0) | PROBABILITY,
    }
)


@given(KNOWN, st.integers(0, 3000), st.sampled_from(sorted(STRATEGIES)))
def test_no_wait_is_outside_its_limits(known: dict[str, object], lasted: int, name: str) -> None:
    settings = SETTINGS.model_copy(update={"strategy": name})
    wait = make(settings).wait_ms(pause(lasted, **known))
    assert wait == settings.end_silence_ms or 200 <= wait <= 1500


@given(KNOWN, st.lists(PROBABILITY, min_size=2, max_size=5), st.integers(0, 3000))
def test_a_voice_that_sounds_more_finished_never_waits_longer(
    known: dict[str, object], voices: list[float], lasted: int
) -> None:
    found = [fused(lasted, **known | {"prosody": prosody}) for prosody in sorted(voices)]
    assert all(later <= sooner for sooner, later in pairwise(found))


@given(KNOWN, st.lists(PROBABILITY, min_size=2, max_size=5), st.integers(0, 3000))
def test_words_that_are_more_complete_never_wait_longer(
    known: dict[str, object], endings: list[float], lasted: int
) -> None:
    found = [fused(lasted, **known | {"ends": ends}) for ends in sorted(endings)]
    assert all(later <= sooner for sooner, later in pairwise(found))
