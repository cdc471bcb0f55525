"""What the model is shown of the conversation: the last turns, and of each reply only what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from voxrtc.languages import ALL
from voxrtc.models.wire import Utterance


@dataclass(slots=True, eq=False)
class Exchange:
    """One turn: the caller's words, and what was heard of the reply to them (empty if nothing was)."""

    user: str
    assistant: str = ""
    interrupted: bool = False
    answered: bool = False
    """False while the caller is still owed a reply."""
    steps: list[Utterance] = field(default_factory=list)
    """Functions that were called for the reply, and their results."""
    turn: int = 0
    reply: int = 0
    """Their numbers in the call, by which they can be forgotten; 0 where they have none."""


@dataclass(slots=True)
class Memory:
    """A window of ``turns`` exchanges. A greeting is an exchange without the caller's words."""

    turns: int
    exchanges: list[Exchange] = field(default_factory=list)
    language: str = ""
    """In which language it is held, as dialogue.language; empty where nobody has said."""

    def heard(self, text: str, turn: int = 0) -> Exchange:
        """The caller said ``text``. The reply to it is put into the Exchange as it is heard."""
        exchange = Exchange(text, turn=turn)
        self.exchanges.append(exchange)
        del self.exchanges[: max(0, len(self.exchanges) - max(1, self.turns))]
        return exchange

    def greeted(self) -> Exchange:
        """The assistant spoke first."""
        exchange = self.heard("")
        exchange.answered = True
        return exchange

    def history(self, before: Exchange | None = None) -> list[Utterance]:
        """The conversation so far, or up to the exchange ``before``. Lines of one side that follow each other are
        joined: that is how a caller speaks who was not heard out, and a model expects the sides to take turns."""
        if not self.turns:
            return []
        lines: list[Utterance] = []
        for exchange in self.exchanges:
            if exchange is before:
                break
            _append(lines, Utterance("user", exchange.user))
            lines += exchange.steps
            _append(lines, Utterance("assistant", exchange.assistant, exchange.interrupted))
        return lines

    def unanswered(self) -> Exchange | None:
        """The last exchange, if the caller is still owed a reply to it."""
        last = self.exchanges[-1] if self.exchanges else None
        return last if last is not None and last.user and not last.answered else None

    def forget(self, turn: int | None = None, reply: int | None = None) -> bool:
        """Take what was said in the ``turn``, or in the ``reply``, out; False where nothing is known of it."""
        for exchange in self.exchanges:
            if turn and exchange.turn == turn:
                exchange.user, exchange.answered, exchange.turn = "", True, 0
            elif reply and exchange.reply == reply:
                exchange.assistant, exchange.steps, exchange.reply = "", [], 0
            else:
                continue
            if not exchange.turn and not exchange.reply:
                self.exchanges.remove(exchange)
            return True
        return False

    def to_json(self) -> str:
        """The language and the exchanges, as ``from_json`` takes them."""
        unnumbered = [replace(exchange, turn=0, reply=0) for exchange in self.exchanges]
        return msgspec.json.encode(_Export(unnumbered, self.language)).decode()

    @classmethod
    def from_json(cls, turns: int, text: str) -> Memory:
        """The memory that ``to_json`` wrote. Raises ValueError where it is none."""
        try:
            export = msgspec.json.decode(text, type=_Export)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ValueError(f"not an exported memory: {error}") from None
        except RecursionError:
            raise ValueError("not an exported memory: it is nested too deeply") from None
        if export.language not in ("", "auto", *ALL):
            raise ValueError(f"not an exported memory: there is no language '{export.language}'")
        for exchange in export.exchanges:
            exchange.turn = exchange.reply = 0
        return cls(turns, export.exchanges[-max(1, turns) :], export.language)


class _Export(msgspec.Struct, forbid_unknown_fields=True):
    """A memory as JSON."""

    exchanges: list[Exchange]
    language: str = ""


def _append(lines: list[Utterance], line: Utterance) -> None:
    if not line.text:
        return
    if lines and lines[-1].role == line.role:
        line = Utterance(line.role, f"{lines[-1].text} {line.text}", line.interrupted)
        lines.pop()
    lines.append(line)
