"""Texts that only grow."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialogue.scripted import ScriptedModels, at_ms
from voxrtc.audio import HEARD_RATE
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.dialogue.partials import LONGEST, Partials, StableText, likely
from voxrtc.dialogue.tasks import Tasks
from voxrtc.errors import ModelsError
from voxrtc.models.wire import Heard, Prepare


@pytest.mark.parametrize(
    ("hypotheses", "shown"),
    [
        (["one", "one two", "one two three"], ["", "one", "one two"]),
        (["one two", "won too tree", "one two three four"], ["", "", ""]),
        (["one two three", "one"], ["", "one"]),
        (["Well, I. And", "Well, I think so"], ["", "Well, I"]),
        (["Howdy married", "Had he married a", "Had he married a more"], ["", "", "Had he married a"]),
        (["Can you", "", "Can you help"], ["", "", "Can you"]),
        (["私は元", "私は元気です"], ["", "私は元"]),
        (["", "  "], ["", ""]),
    ],
)
def test_examples(hypotheses: list[str], shown: list[str]) -> None:
    text = StableText()
    assert [text.extend(hypothesis, whole=False) for hypothesis in hypotheses] == shown


@given(st.lists(st.tuples(st.text(st.sampled_from("ab .,私!"), max_size=30), st.booleans()), max_size=6))
def test_it_never_takes_anything_back(hypotheses: list[tuple[str, bool]]) -> None:
    text = StableText()
    shown = ["", *(text.extend(hypothesis, whole) for hypothesis, whole in hypotheses)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))


class Scene:
    def __init__(self, models: ScriptedModels, every_ms: int = 500) -> None:
        self.shown: list[str] = []
        self.faults: list[str] = []
        self.tasks = Tasks(self.faults.append)
        self.partials = Partials(
            models, every_ms, 0, lambda text, heard: self.shown.append(text), lambda text: Prepare("c", "", [], text)
        )


@in_virtual_time
async def test_a_look_that_fails_is_only_a_look() -> None:
    scene = Scene(ScriptedModels(fail=lambda verb, given: ModelsError("busy")))
    scene.partials.look(np.zeros(100, np.float32), "en", at_ms(500), scene.tasks)
    assert not scene.partials.due(at_ms(2000))  # one at a time
    await asyncio.sleep(1)
    assert scene.partials.due(at_ms(2000))
    assert scene.shown == scene.faults == []


def test_when_a_look_is_due() -> None:
    partials = Scene(ScriptedModels()).partials
    assert not partials.due(at_ms(480))
    assert partials.due(at_ms(500))
    assert not partials.due(LONGEST + HEARD_RATE)
    assert not Scene(ScriptedModels(), every_ms=0).partials.due(at_ms(5000))


def test_what_is_already_shown_is_not_shown_again() -> None:
    scene = Scene(ScriptedModels())
    for text in ("one two", "one two", "one"):
        scene.partials.add(Heard(text, "en", 0.5), whole=True)
    assert scene.shown == ["one two"]


def test_what_is_likely_to_stay() -> None:
    assert likely("Had he married a more amiable woman?") == "Had he married a more amiable"
    assert likely("Well, I. And") == "Well, I"
    assert likely("Hello") == likely("") == ""
