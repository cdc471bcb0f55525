"""The loop under random schedules: joins, cancels, releases, turns that reuse memory, too little of it, a runner that
fails. Whatever comes: nobody is answered with another's tokens, no page is lost, everybody's turn comes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.voxtral.asking import Answer, Machine, clip
from tests.models.voxtral.scripted_runner import STAGES, ScriptedRunner, alone
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import FIRST, SPECULATIVE
from voxrtc.models.voxtral.loop import STEP_MS
from voxrtc.models.voxtral.request import End
from voxrtc.models.voxtral.sequence import Clip

CONTEXT = 40
SESSIONS = 5


class Schedule:
    """What ``script`` says happens: its first bytes are the machine, the others are events, two bytes each."""

    def __init__(self, script: bytes, failing: bool = False) -> None:
        self._chance = random.Random(script)
        size, pages, rows = script[0] % 4 + 1, script[1], script[2] % 5 + 1
        self.runner = ScriptedRunner(CONTEXT // size + pages % 60, size, CONTEXT, rows)
        if failing:
            starts = [self._chance.randrange(1, 120) for _ in range(script[2] % 16)]
            self.runner.fails = {start + n for start in starts for n in range(self._chance.randrange(1, 4))}
        self.machine = Machine(self.runner, max_waiting=script[2] // 16 + 2)
        self.most = min(CONTEXT, self.runner.pages * size)
        self.answers: list[Answer] = []
        self.refusals: list[str] = []
        self.histories: list[list[int]] = [[] for _ in range(SESSIONS)]
        self.clips: list[Clip] = []
        self._crowded = False
        for event, detail in zip(script[3::2], script[4::2], strict=False):
            self._happens(event, detail)

    def _happens(self, event: int, detail: int) -> None:
        live = [answer for answer in self.answers if answer.end is None]
        match event % 8:
            case 0 | 1 | 2:
                self._ask(detail)
            case 3 if live:
                self.machine.loop.cancel(live[detail % len(live)].request)
            case 4 if live:
                live[detail % len(live)].request.urgency.release()
            case 5 if self.answers:
                self._transcribe(detail)
            case _:
                for _ in range(detail % 8 + 1):
                    self.step()

    def _ask(self, detail: int) -> None:
        """The next turn of a conversation; it may have been interrupted, or ask a second time at once."""
        number = detail % (SESSIONS + 1)
        history = self.histories[number] if number < SESSIONS else []
        heard = clip()
        sound = heard.ids()[: detail % 7]
        prompt = [*history, *(self._chance.randrange(50) for _ in range(detail % 11 + 1)), *sound]
        if len(prompt) > CONTEXT - 4:
            prompt = prompt[-CONTEXT // 2 :]
        self.clips.append(heard)
        clips = tuple({key: c for c in self.clips for key in [c.key]}[k] for k in _keys(prompt))
        self._submit(prompt, detail % 13, detail % 3, clips, str(number) if number < SESSIONS else "")

    def _transcribe(self, detail: int) -> None:
        """The same sound once more, without a session."""
        other = self.answers[-1].request
        self._submit([1, *[id for id in other.ids if id < 0], 2], detail % 5, detail % 3, tuple(other.clips.values()))

    def _submit(self, ids: list[int], tokens: int, level: int, clips: tuple[Clip, ...], session: str = "") -> None:
        try:
            self.answers.append(self.machine.ask(ids, tokens, level, clips, session))
        except ModelsError as refusal:
            self.refusals.append(str(refusal))
            return
        if session:
            answer = self.answers[-1]
            said = alone(answer.request, self.most)[: self._chance.randrange(13)]
            self.histories[int(session)] = [*ids, *said]

    def step(self) -> bool:
        more = self.machine.loop.step()
        self.machine.check()
        assert not [a for a in self.answers if a.request.cancelled and a.end is None], "cancelled, and goes on"
        self._crowded |= len(self.machine.loop._decoding) >= self.runner.rows
        return more

    def finish(self) -> None:
        """To the end, which comes in as many steps as there is work."""
        work = sum(len(a.request.ids) + a.request.max_tokens + STAGES * len(a.request.clips) for a in self.answers)
        for _ in range(work + 2):
            if not self.step():
                return
        pytest.fail("somebody's turn does not come")

    def judge(self) -> None:
        """What holds after any schedule."""
        for answer in self.answers:
            whole = alone(answer.request, self.most)
            if isinstance(answer.end, End) and answer.end is not End.CANCELLED:
                assert answer.tokens == whole
            else:
                assert answer.tokens == whole[: len(answer.tokens)]
        assert all("try again" in refusal or self.machine.broken for refusal in self.refusals)
        assert self.machine.pages_in_use == 0
        assert not self.machine.loop._encodings._users
        assert not [heard for heard in self.clips if heard.embeds is not None]
        if not self._crowded:
            assert self.machine.loop.statistics().longest_delay_ms <= STEP_MS + 1e-6


def _keys(ids: Sequence[int]) -> list[int]:
    return sorted({(-1 - id) >> 20 for id in ids if id < 0})


SCRIPTS = st.binary(min_size=43, max_size=123)


@given(SCRIPTS)
@settings(max_examples=6000, deadline=None)
def test_any_schedule(script: bytes) -> None:
    schedule = Schedule(script)
    schedule.finish()
    schedule.judge()
    for answer in schedule.answers:
        if not answer.request.cancelled:
            given_up = isinstance(answer.end, GaveWay)
            assert not (given_up and answer.request.urgency.level == FIRST)
            assert given_up or isinstance(answer.end, End) or "try again" in str(answer.end)


@given(SCRIPTS)
@settings(max_examples=2000, deadline=None)
def test_any_schedule_on_a_runner_that_fails(script: bytes) -> None:
    schedule = Schedule(script, failing=True)
    schedule.finish()
    schedule.judge()
    assert all(answer.end is not None for answer in schedule.answers)
    assert len(schedule.machine.broken) <= 1


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=14))
@settings(max_examples=400, deadline=None)
def test_everybody_who_decodes_is_served_in_turn(rows: int, asked: list[tuple[int, bool]]) -> None:
    """Of ``n`` that are waited for, each is in one of any ceil(n / rows) steps; of the others, if rows are left, each
    in one of as many as the rows that are left need."""
    machine = Machine(ScriptedRunner(pages=400, rows=rows))
    answers = [machine.ask([n, n], 30, FIRST if first else SPECULATIVE) for n, (_, first) in enumerate(asked)]
    while machine.loop._waiting or machine.loop._reading or machine.loop._inbox:
        machine.step()
    firsts = sum(a.end is None for a in answers if a.request.urgency.level == FIRST)
    others = sum(a.end is None for a in answers) - firsts
    turn_of_firsts = -(-firsts // rows)
    turn_of_others = -(-others // (rows - firsts)) if rows > firsts else None
    waited = dict.fromkeys(answers, 0)
    for _ in range(12):
        before = {a: len(a.tokens) for a in answers}
        machine.step()
        for answer in [a for a in answers if a.end is None]:
            waited[answer] = 0 if len(answer.tokens) > before[answer] else waited[answer] + 1
            turn = turn_of_firsts if answer.request.urgency.level == FIRST else turn_of_others
            assert turn is None or waited[answer] < turn
