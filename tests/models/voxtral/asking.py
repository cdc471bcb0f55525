"""For tests only: asking a loop that the test itself steps, and remembering what it answers."""

from __future__ import annotations

import math

import numpy as np

from tests.models.voxtral.scripted_runner import ScriptedRunner
from voxrtc.errors import ModelsError
from voxrtc.models.urgency import FIRST, Urgency
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Request
from voxrtc.models.voxtral.sequence import Clip, Pick


class Answer:
    """What came of one request."""

    def __init__(self, loop: Loop, request: Request) -> None:
        self.request = request
        self.tokens: list[int] = []
        self.ends: list[End | ModelsError] = []
        loop.submit(request, self._pick, self.ends.append)

    def _pick(self, pick: Pick) -> None:
        assert not self.ends, "a pick after the end"
        self.tokens.append(pick.token)

    @property
    def end(self) -> End | ModelsError | None:
        assert len(self.ends) < 2, "ended twice"
        assert self.ends == ([] if self.request.end is None else [self.request.end])
        return self.request.end


class Machine:
    """A scripted runner and its loop."""

    def __init__(self, runner: ScriptedRunner | None = None, max_waiting: int = 64) -> None:
        self.runner = runner or ScriptedRunner()
        self.broken: list[ModelsError] = []
        self.loop = Loop(
            self.runner, max_waiting=max_waiting, on_broken=self.broken.append, clock=lambda: self.runner.now
        )

    def ask(
        self, ids: list[int], max_tokens: int = 5, level: int = FIRST, clips: tuple[Clip, ...] = (), session: str = ""
    ) -> Answer:
        request = Request(ids, max_tokens, {clip.key: clip for clip in clips}, session=session, urgency=Urgency(level))
        return Answer(self.loop, request)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.step()
            self.check()

    def finish(self, most: float = math.inf) -> int:
        """Step until all is done, in ``most`` steps. Returns in how many."""
        steps = 1
        while self.loop.step():
            self.check()
            steps += 1
            assert steps <= most, "it does not come to an end"
        self.check()
        return steps

    def check(self) -> None:
        self.loop._slots.check()

    @property
    def pages_in_use(self) -> int:
        now = self.loop.statistics()
        return now.pages - now.pages_free - now.pages_idle


def clip() -> Clip:
    return Clip(np.ones(160, np.float32))
