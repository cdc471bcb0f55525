"""What the host still knows of each conversation, so that a turn's prompt begins with the very ids of the one before.

An ask carries the conversation as text. Of lines that were heard or said here the sound and the ids are kept, and stand
in the prompt in place of the text: what the loop has in memory of them is then valid, and turn N reads no more than
its own sound. An answer is remembered as it was spoken, without the marks that the model set and without markdown's;
its ids are found all the same. Whatever is not known (any more) is read as text. All of it may be lost without harm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from voxrtc.audio import HEARD_RATE
from voxrtc.marks import unmarked
from voxrtc.models.voxtral import prompt
from voxrtc.models.voxtral.prompt import Turn
from voxrtc.models.voxtral.sequence import Clip
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Answer, Prepare, Utterance
from voxrtc.speakable import speakable

LINES = 32
"""Lines of each side that are remembered of one conversation."""
SESSIONS = 256
HELD_S = 3_600
"""Seconds of sound that are remembered, over all conversations: 230 MB."""
STRETCH = 2
"""The conversation may be so many times as long as what was asked, before its oldest part is left out in one go."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """``clips``: by key, those whose ids are in ``ids``."""

    ids: list[int]
    clips: Mapping[int, Clip]


@dataclass(frozen=True, slots=True)
class _Line:
    """What the caller said: ``text`` is what was told of ``clip``, which came after ``history``."""

    text: str
    clip: Clip
    history: list[Utterance]


@dataclass(slots=True)
class _Conversation:
    heard: list[_Line] = field(default_factory=list)
    """In order."""
    said: OrderedDict[str, list[int]] = field(default_factory=OrderedDict)
    """The ids of answers by what they say (``_spoken``)."""
    held: list[Utterance] = field(default_factory=list)
    """The history as it stood in the last prompt: what was asked, and perhaps what came before that."""
    asked: int = 0
    """The caller's lines in the history that was asked last."""

    @property
    def samples(self) -> int:
        return sum(line.clip.samples.size for line in self.heard)

    def window(self, history: list[Utterance]) -> list[Utterance]:
        """``history``, and before it what has just slid out of it, while that is not too much."""
        lines = history
        if _lines(history) >= self.asked:
            start = next((n for n in range(len(self.held)) if _continues(self.held[n:], history)), 0)
            before = self.held[:start]
            if _lines(before) <= (STRETCH - 1) * _lines(history):
                lines = [*before, *history]
        self.asked = _lines(history)
        return lines

    def find(self, text: str, before: int) -> list[int]:
        """Which of ``heard``, of those before number ``before``, together make ``text``; the last ones that do."""
        for number in range(before - 1, -1, -1):
            line = self.heard[number]
            if line.text == text:
                return [number]
            if text.endswith(f" {line.text}") and (first := self.find(text[: -len(line.text) - 1], number)):
                return [*first, number]
        return []


class Conversations:
    """For one thread. ``context``: tokens that a prompt and its answer may have."""

    def __init__(self, tokens: Tokens, context: int) -> None:
        self._tokens = tokens
        self._context = context
        self._sessions: OrderedDict[str, _Conversation] = OrderedDict()
        """The least recently used first."""

    def answer(self, ask: Answer, clip: Clip | None = None) -> Prompt:
        """The prompt whose continuation answers ``clip``, or else ``ask.text``. Raises ModelsError."""
        talk = self._talk(ask.session)
        tools = ask.tools if ask.may_call else ()
        lines = talk.window(ask.history)
        while True:
            turns = [*self._turns(talk, lines, ask.text if clip is None else None)]
            if clip is not None:
                turns.append(Turn("user", clip))
            turns += map(Turn.of, ask.steps)
            ids = prompt.chat(self._tokens, turns, ask.system, tools)
            if not lines or len(ids) + ask.max_tokens <= self._context:
                talk.held = lines
                return Prompt(ids, _clips(turns))
            lines = ask.history if len(lines) > len(ask.history) else _without_oldest(lines)

    def prepare(self, ask: Prepare) -> Prompt | None:
        """What the next prompt will begin with, whatever the caller says; None where there is nothing yet."""
        talk = self._talk(ask.session)
        talk.held = lines = talk.window(ask.history)
        turns = [*self._turns(talk, lines, None)]
        if not turns:
            return None
        ids = prompt.chat(self._tokens, [*turns, Turn("user", ask.text)], ask.system, ask.tools)
        last = len(ids) - 1 - ids[::-1].index(self._tokens.begin_inst)
        return Prompt(ids[: last + 1], _clips(turns))

    def heard(self, session: str, history: list[Utterance], clip: Clip, text: str) -> None:
        """``clip``, which came after ``history``, was told as ``text``."""
        talk = self._talk(session)
        # What was heard after the same history was a guess at the same turn, which went on.
        talk.heard = [line for line in talk.heard if line.history != history]
        talk.heard.append(_Line(text.strip(), clip, history))
        del talk.heard[:-LINES]
        while sum(one.samples for one in self._sessions.values()) > HELD_S * HEARD_RATE:
            # The least recently used one that has any; of this one, the oldest.
            oldest = next(one for one in self._sessions.values() if one.heard)
            del oldest.heard[0 if oldest is talk else slice(None)]

    def said(self, session: str, text: str, ids: list[int]) -> None:
        """``ids`` were picked for an answer, and say ``text``."""
        said = self._talk(session).said
        spoken = _spoken(text)
        said[spoken] = ids
        said.move_to_end(spoken)
        while len(said) > LINES:
            said.popitem(last=False)

    def _talk(self, session: str) -> _Conversation:
        talk = self._sessions.setdefault(session, _Conversation())
        self._sessions.move_to_end(session)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return talk

    def _turns(self, talk: _Conversation, lines: Sequence[Utterance], text: str | None) -> Iterator[Turn]:
        """``lines``, and the caller's ``text`` after them, as they were heard and picked where that is known."""
        all_lines = [*lines] if text is None else [*lines, Utterance("user", text)]
        before = len(talk.heard)
        found: dict[int, list[int]] = {}
        for number in range(len(all_lines) - 1, -1, -1):  # from the end: what is said twice was said last, last
            if all_lines[number].role == "user" and (found_here := talk.find(all_lines[number].text, before)):
                found[number] = found_here
                before = found_here[0]
        for number, line in enumerate(all_lines):
            ids = talk.said.get(_spoken(line.text)) if line.role == "assistant" and not line.interrupted else None
            if number in found:
                yield from (Turn("user", talk.heard[one].clip) for one in found[number])
            else:
                yield Turn.of(line) if ids is None else Turn("assistant", ids)


def _spoken(text: str) -> str:
    """What a voice reads of ``text``: the same for an answer as it was picked and as it was spoken, clause by clause.
    Without white space, which clauses change."""
    return "".join(speakable(f"\n{unmarked(text)}").split())


def _lines(history: Sequence[Utterance]) -> int:
    """The caller's lines."""
    return sum(line.role == "user" for line in history)


def _continues(held: Sequence[Utterance], history: Sequence[Utterance]) -> bool:
    """Whether ``history`` goes on from ``held``, whose last line may have grown or been cut short since."""
    sure = max(1, len(held) - 1)
    return len(history) >= len(held) and list(history[:sure]) == list(held[:sure])


def _without_oldest(lines: Sequence[Utterance]) -> list[Utterance]:
    """``lines`` from the caller's second line on."""
    return list(lines[next((n for n in range(1, len(lines)) if lines[n].role == "user"), len(lines)) :])


def _clips(turns: Sequence[Turn]) -> dict[int, Clip]:
    return {turn.content.key: turn.content for turn in turns if isinstance(turn.content, Clip)}
