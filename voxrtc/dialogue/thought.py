"""What a reply is going to say: the models' text cut into clauses as it comes, functions called on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import msgspec

from voxrtc.dialogue.clauses import ClauseCutter
from voxrtc.dialogue.composing import Composed, Composer
from voxrtc.dialogue.emotion import NEUTRAL
from voxrtc.dialogue.spoken import Growing, SpokenClause
from voxrtc.dialogue.tools import Toolbox
from voxrtc.errors import ModelsError
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Answer, Heard, Said, ToolCall, Utterance
from voxrtc.settings import Tts

MOST_STEPS = 4
"""Rounds of functions called for one reply; after these it has to be words."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak. ``language`` may be "auto": then in the one that ``after`` gives for what was heard, and for how
    many ms of voice that was.

    ``patience_s``: seconds without a sign of the models after which the reply is given up. ``filler``: what is said,
    once, when a function takes longer than ``filler_s`` seconds; empty for nothing.
    """

    voice: str
    language: str
    tts: Tts
    patience_s: float
    spoken: str = "en"
    """The language of the call as it is now, for what follows from nothing that was heard."""
    after: Callable[[Heard, float], str] = lambda heard, voice_ms: heard.language or "en"
    filler: str = ""
    filler_s: float = 0.0
    feels: bool = True
    """Whether clauses have a mood; else all are neutral."""
    speaks: bool = True
    """Whether it is spoken; else it is text alone, and counts as heard as soon as it is there."""


@dataclass(slots=True)
class Timings:
    """``loop.time()`` of what happened first."""

    asked: float = 0.0
    heard: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    begun: float | None = None


class Thinker(Protocol):
    """Whom a thought tells what comes of it, and who says when functions may be called."""

    times: Timings

    def thought_heard(self, heard: Heard) -> None: ...
    def thought_clause(self, clause: SpokenClause) -> None: ...
    def thought_stepped(self, steps: list[Utterance]) -> None: ...
    def guess_name(self) -> str: ...
    def language(self) -> str: ...
    async def until_released(self) -> None: ...


class Thought:
    """Makes ``clauses`` of ``script``: what to ask the models, or the text itself.

    Clauses may come before it is known what was heard (models.verbs): ``thinker`` keeps these to itself until then.
    """

    def __init__(
        self, script: Answer | str, manner: Manner, models: Models, toolbox: Toolbox | None, thinker: Thinker
    ) -> None:
        self.clauses: Growing[SpokenClause] = Growing()
        self._script = script
        self._manner = manner
        self._models = models
        self._toolbox = toolbox
        self._thinker = thinker
        self._heard: Heard | None = None
        self._apart = False
        """Whether what is said next does not go on from the text before."""

    async def run(self) -> None:
        """Think it to its end; what that fails with is raised where ``clauses`` are followed, too."""
        try:
            if isinstance(self._script, str):
                composer, language = self._composer(), self._thinker.language()
                self._add(composer.feed(self._script, language) + composer.finish(language))
            else:
                await self._ask(self._script)
        except BaseException as error:
            self.clauses.close(error)
            raise
        self.clauses.close()

    async def _ask(self, ask: Answer) -> None:
        """Ask until the answer is words, and not another function to call."""
        rounds = 0
        while calls := await self._answered(ask):
            rounds += 1
            await self._thinker.until_released()  # a function may do something, and a guess may be wrong
            steps = [step for call in calls for step in await self._use(call)]
            self._thinker.thought_stepped(steps)
            self._apart = True
            ask = msgspec.structs.replace(
                ask,
                audio=None,
                text=self._heard.text if self._heard is not None else ask.text,
                steps=[*ask.steps, *steps],
                may_call=rounds < MOST_STEPS,
            )
        if not self._silent and all(clause.filler for clause in self.clauses.items):
            raise ModelsError("the language model had no answer")

    @property
    def _silent(self) -> bool:
        """Whether it turned out that there is nothing to answer."""
        return self._heard is not None and not self._heard.text.strip()

    async def _answered(self, ask: Answer) -> list[ToolCall]:
        """Take what the models give, as long as they give something; returns the functions that they want called."""
        calls: list[ToolCall] = []
        composer = self._composer()
        ask = msgspec.structs.replace(ask, guess=self._thinker.guess_name())
        patience_s = self._manner.patience_s
        try:
            async with aclosing(self._models.answer(ask)) as stream, asyncio.timeout(patience_s) as patience:
                async for item in stream:
                    patience.reschedule(_now() + patience_s)
                    self._take(item, composer, calls)
                    if self._silent:
                        return []
        except TimeoutError:
            raise ModelsError(f"the models gave no sign for {patience_s:g} s") from None
        if ask.audio is not None and self._heard is None:
            raise ModelsError("the models did not tell what they heard")
        self._add(composer.finish(self._thinker.language()))
        if calls and (self._toolbox is None or not ask.may_call):
            raise ModelsError("the language model called a function where there was none to call")
        return calls

    def _take(self, item: Heard | Said | ToolCall, composer: Composer, calls: list[ToolCall]) -> None:
        times = self._thinker.times
        if isinstance(item, Heard):
            self._heard = item
            times.heard = _now()
            self._thinker.thought_heard(item)
            return
        if times.first_text is None:
            times.first_text = _now()
        if isinstance(item, ToolCall):
            calls.append(item)
        else:
            self._add(composer.feed(item.text, self._thinker.language()))

    async def _use(self, call: ToolCall) -> list[Utterance]:
        """Have a function called; say something when that takes long."""
        assert self._toolbox is not None
        filler = asyncio.get_running_loop().call_later(self._manner.filler_s, self._fill)
        try:
            return await self._toolbox.use(call)
        finally:
            filler.cancel()

    def _fill(self) -> None:
        if self._manner.filler and self._manner.speaks and not any(clause.filler for clause in self.clauses.items):
            self._apart = True
            self._add([(self._manner.filler, NEUTRAL)], filler=True)

    def _composer(self) -> Composer:
        tts = self._manner.tts
        cutter = ClauseCutter(tts.first_clause_chars, tts.max_clause_chars, tts.breath_chars)
        return Composer(cutter, self._manner.feels)

    def _add(self, composed: list[Composed], filler: bool = False) -> None:
        for text, mood in composed:
            before = self.clauses.items[-1] if self.clauses.items else None
            spaced = f" {text.lstrip()}" if before is not None and self._apart else text
            self._apart = False
            start = before.end if before is not None else 0
            clause = SpokenClause(len(self.clauses.items), start, spaced, filler, mood, not self._manner.speaks)
            self._thinker.thought_clause(clause)
            self.clauses.append(clause)


def _now() -> float:
    return asyncio.get_running_loop().time()
