"""The whole loop over the real runner against transformers' ``generate``: the same tokens, however sessions mix."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.voxtral import runners  # noqa: E402 - needs torch
from tests.models.voxtral.runners import generated, noise  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.urgency import SPECULATIVE, Urgency  # noqa: E402
from voxrtc.models.voxtral.loop import Loop  # noqa: E402
from voxrtc.models.voxtral.request import End, Request  # noqa: E402
from voxrtc.models.voxtral.runner import VoxtralRunner  # noqa: E402
from voxrtc.models.voxtral.sequence import Clip, Sampling  # noqa: E402

COUNT = 64


@dataclass
class Conversation:
    """One session: what was said so far, as ids, and what is under way."""

    name: str
    ids: list[int] = field(default_factory=lambda: [1])
    clips: list[Clip] = field(default_factory=list)
    request: Request | None = None
    said: list[int] = field(default_factory=list)
    end: End | ModelsError | None = None
    asked: list[tuple[list[int], list[Clip], list[int]]] = field(default_factory=list)
    """Prompts that were answered to their end, with their clips and answers."""

    def ask(self, loop: Loop, words: list[int], clip: Clip | None, sampling: Sampling, guess: bool) -> None:
        """The next turn: on from what was said, with sound, if any, before the words."""
        sound = [25, *clip.ids()] if clip else []
        if clip:
            self.clips.append(clip)
        self.ids += [3, *sound, *words, 4]
        self.said, self.end = [], None
        self.request = Request(
            list(self.ids),
            COUNT,
            {clip.key: clip for clip in self.clips},
            self.name,
            sampling,
            urgency=Urgency(SPECULATIVE if guess else 0),
        )
        loop.submit(self.request, lambda pick: self.said.append(pick.token), self._ended)

    def _ended(self, end: End | ModelsError) -> None:
        self.end = end
        assert self.request is not None
        if end is End.MAX_TOKENS:
            self.asked.append((list(self.request.ids), list(self.clips), list(self.said)))
        self.ids += [*self.said, 2]  # an answer that was cut short stays as far as it went


@pytest.fixture(scope="module")
def stock(checkpoint: Path):
    return runners.stock(checkpoint)


@pytest.fixture(scope="module")
def runner(checkpoint: Path) -> VoxtralRunner:
    return runners.runner(runners.weights(checkpoint), pages=700, context=4096)


def answer(loop: Loop) -> None:
    for _ in range(100_000):
        if not loop.step():
            return
    raise AssertionError("the loop does not come to an end")


def test_one_session_over_three_turns(runner: VoxtralRunner, stock) -> None:
    loop = Loop(runner)
    one = Conversation("one")
    for turn in range(3):
        one.ask(loop, [1000 + turn, 2000], Clip(noise(1.0 + turn, turn)), Sampling(), guess=False)
        answer(loop)
        assert one.request is not None
        assert one.request.usage is not None
        if turn:  # all that was said before is reused; the last token was never read
            assert one.request.usage.prefilled == 1 + 1 + 1 + 1 + 375 + 2 + 1
    for ids, clips, said in one.asked:
        assert said == generated(stock, ids, clips, COUNT)
    assert len(one.asked) == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_eight_sessions_that_join_and_leave(runner: VoxtralRunner, stock, seed: int) -> None:
    """Turns with and without sound begin at any time; some are cancelled, at any time, and the session goes on."""
    chance = random.Random(seed)
    loop = Loop(runner)
    sessions = [Conversation(f"session {n}") for n in range(8)]
    left = {session.name: 3 for session in sessions}
    cancelled = 0
    for _ in range(100_000):
        for session in sessions:
            idle = session.request is None or session.end is not None
            if idle and left[session.name] and chance.random() < 0.05:
                left[session.name] -= 1
                words = chance.choices(range(1000, 100_000), k=chance.randint(1, 60))
                clip = Clip(noise(chance.uniform(0.3, 3.0), chance.randint(0, 99))) if chance.random() < 0.4 else None
                session.ask(loop, words, clip, Sampling(), guess=chance.random() < 0.3)
            elif not idle and chance.random() < 0.004:
                assert session.request is not None
                loop.cancel(session.request)
                cancelled += 1
            elif not idle and chance.random() < 0.05:
                assert session.request is not None
                session.request.urgency.release()
        if not loop.step() and not any(left.values()):
            break
    answered = [asked for session in sessions for asked in session.asked]
    assert len(answered) >= 12
    assert cancelled
    for ids, clips, said in answered:
        assert said == generated(stock, ids, clips, COUNT)


def test_draws_with_a_seed_are_the_same_alone_and_in_company(runner: VoxtralRunner) -> None:
    def said(company: int) -> list[int]:
        loop = Loop(runner)
        one = Conversation("one")
        others = [Conversation(f"other {n}") for n in range(company)]
        for n, other in enumerate(others):
            other.ask(loop, [5000 + n] * (3 + 9 * n), None, Sampling(1.2, n), guess=False)
        one.ask(loop, [1000, 2000], None, Sampling(0.9, 4242), guess=False)
        answer(loop)
        return one.said

    alone = said(0)
    assert len(set(alone)) > 20
    assert said(5) == alone


def test_memory_that_was_taken_away_is_made_anew(checkpoint: Path, stock) -> None:
    """There is room for two sessions at most, so each turn finds its session's memory gone."""
    small = runners.runner(runners.weights(checkpoint), pages=70, context=700)
    loop = Loop(small)
    sessions = [Conversation(f"session {n}") for n in range(4)]
    for turn in range(2):
        for n, session in enumerate(sessions):
            clip = Clip(noise(1.0, n)) if turn == 0 else None
            session.ask(loop, [7000 + n, 8000 + turn], clip, Sampling(), guess=False)
            answer(loop)
    for session in sessions:
        assert len(session.asked) == 2
        for ids, clips, said in session.asked:
            assert said == generated(stock, ids, clips, COUNT)
    assert loop.statistics().reused < 4 * 375


def test_two_that_hear_one_clip_share_its_encoding(runner: VoxtralRunner, stock) -> None:
    loop = Loop(runner)
    clip = Clip(noise(2.0))
    prompts: list[list[int]] = [[1, 3, 25, *clip.ids(), 500, 4], [1, 3, 25, *clip.ids(), 4, 600, 34]]
    said: list[list[int]] = [[], []]

    def teller(tokens: list[int]) -> Callable[..., None]:
        return lambda pick: tokens.append(pick.token)

    for ids, tokens in zip(prompts, said, strict=True):
        loop.submit(Request(ids, COUNT, {clip.key: clip}), teller(tokens), lambda end: None)
    answer(loop)
    assert loop.statistics().encoded == 1
    for ids, tokens in zip(prompts, said, strict=True):
        assert tokens == generated(stock, ids, [clip], COUNT)
