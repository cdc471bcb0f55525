"""Client events: what each of them asks of the call, and what is answered at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from voxrtc.commands import MAX_TEXT, AnyCommand, Commit, Configure, Discard, Interrupt, Respond, Text
from voxrtc.server.realtime.appended import Appended, Hear
from voxrtc.server.realtime.errors import Refused, converted
from voxrtc.server.realtime.items import Item, Items, message
from voxrtc.server.realtime.responses import Responses, Wanted
from voxrtc.server.realtime.session import Config, checked_instructions
from voxrtc.server.realtime.shapes import Json, event, new_id
from voxrtc.server.realtime.tools import ToolCalls
from voxrtc.server.realtime.turns import Turns

Asked = list[AnyCommand | str]


MAX_OUTPUT = 16_000
"""Characters of a function's result; the model is shown the first of them (dialogue.tools)."""


class Content(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class NewItem(msgspec.Struct, frozen=True):
    type: str
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    role: Literal["user", "assistant", "system"] = "user"
    content: list[Content] = []
    call_id: str = ""
    output: str = ""


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``response`` of response.create."""

    instructions: str | None = None
    output_modalities: Annotated[list[Literal["audio", "text"]], Meta(min_length=1, max_length=1)] | None = None
    conversation: Literal["auto"] = "auto"
    metadata: dict[str, str] | None = None


TEXTS = {"user": ("input_text",), "system": ("input_text",), "assistant": ("output_text", "text")}


class Requests:
    """Of one call. ``hear``: None where sound does not come as messages."""

    def __init__(
        self, config: Config, items: Items, turns: Turns, responses: Responses, calls: ToolCalls, hear: Hear | None
    ) -> None:
        self._config = config
        self._items = items
        self._turns = turns
        self._responses = responses
        self._calls = calls
        self._sound = Appended(hear)
        self._handlers: dict[str, Callable[[Json], Asked]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._discard,
            "output_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.delete": self._delete,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.truncate": self._truncate,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    def read(self, asked: Json) -> Asked:
        """Raises Refused."""
        kind = asked.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            raise Refused(f"There is no client event of the type {str(kind)[:64]!r}.", "invalid_event_type", "type")
        return handler(asked)

    def _update(self, asked: Json) -> Asked:
        if "session" not in asked:
            raise Refused("session.update needs a session.", "missing_required_parameter", "session")
        commands = self._config.update(asked["session"])
        return [*commands, event("session.updated", session=self._config.to_json())]

    # -- sound ------------------------------------------------------------------------------------------------

    def _append(self, asked: Json) -> Asked:
        self._sound.add(asked.get("audio"))
        return []

    def _commit(self, asked: Json) -> Asked:
        if self._config.by_hand:
            self._sound.restart()
        return [Commit()]

    def _discard(self, asked: Json) -> Asked:
        self._sound.restart()
        return [Discard(), event("input_audio_buffer.cleared")]

    def _clear(self, asked: Json) -> Asked:
        """What is being said stops; output_audio_buffer.cleared tells it, with its response, or at once."""
        if self._responses.current is None:
            return [event("output_audio_buffer.cleared", response_id="")]
        self._responses.cancelled_by_client = True
        return [Interrupt()]

    # -- items ------------------------------------------------------------------------------------------------

    def _create(self, asked: Json) -> Asked:
        if "item" not in asked:
            raise Refused("conversation.item.create needs an item.", "missing_required_parameter", "item")
        new: NewItem = converted(asked["item"], NewItem, "item")
        if new.id is not None and new.id in self._items:
            raise Refused(f"There is an item {new.id} already.", "item_already_exists", "item.id")
        if new.type == "function_call_output":
            return self._result(new)
        if new.type != "message":
            raise Refused(f"Items of the type {new.type[:64]!r} cannot be made here.", param="item.type")
        text = _written(new)
        content = {"type": "output_text" if new.role == "assistant" else "input_text", "text": text}
        item = message(new.role, [content], name=new.id or "")
        if new.role == "user":
            self._turns.typed(item)
        return [Text(text, respond=False, role=new.role), *self._told(item)]

    def _result(self, new: NewItem) -> Asked:
        if len(new.output) > MAX_OUTPUT:
            raise Refused(f"An output has {MAX_OUTPUT} characters at most.", "string_above_max_length", "item.output")
        self._calls.keep(new.call_id, new.output)
        shape = {"object": "realtime.item", "type": new.type, "status": "completed"}
        result = {"call_id": new.call_id, "output": new.output}
        return [*self._told(Item({"id": new.id or new_id("item")} | shape | result))]

    def _told(self, item: Item) -> list[str]:
        """It is the last one, wherever the client wanted it: what is remembered is in the order in which it came."""
        return self._items.add(item) + self._items.done(item)

    def _retrieve(self, asked: Json) -> Asked:
        return [event("conversation.item.retrieved", item=self._items.find(_text(asked, "item_id")).json)]

    def _delete(self, asked: Json) -> Asked:
        name = _text(asked, "item_id")
        turn = self._items.find(name).turn
        told = self._items.delete(name)
        self._turns.forget(turn)
        return [*told]

    def _truncate(self, asked: Json) -> Asked:
        """The client stopped playing. What was heard is known here: that is what is remembered, and told."""
        item, until = self._items.find(_text(asked, "item_id")), asked.get("audio_end_ms")
        if until is None:
            raise Refused("audio_end_ms is missing.", "missing_required_parameter", "audio_end_ms")
        if not isinstance(until, int) or isinstance(until, bool) or until < 0:
            raise Refused("audio_end_ms is a number of milliseconds.", param="audio_end_ms")
        current = self._responses.current
        if current is not None and item is current.message:
            self._responses.cancelled_by_client = True
            return [Interrupt()]
        if item.json.get("role") != "assistant" or item.audio_ms is None:
            raise Refused("Only what the assistant said can be truncated.", param="item_id")
        ms = min(until, round(item.audio_ms))
        return [event("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=ms)]

    # -- responses --------------------------------------------------------------------------------------------

    def _respond(self, asked: Json) -> Asked:
        if (current := self._responses.current) is not None:
            why = f"Conversation already has an active response in progress: {current.id}."
            raise Refused(why, "conversation_already_has_active_response")
        wish: Wish = converted(asked.get("response") or {}, Wish, "response")
        if wish.instructions is not None:
            checked_instructions(wish.instructions, "response.instructions")
        usual = self._config.modality == "text"
        text = usual if wish.output_modalities is None else wish.output_modalities == ["text"]
        if results := self._calls.release():
            if wish.instructions or text != usual:
                raise Refused("The answer to a function's result is as the session says.", param="response")
            self._responses.wanted = Wanted(text, wish.metadata)
            return [*results, *self._responses.begin()]
        self._responses.wanted = Wanted(text, wish.metadata)
        stop: Asked = [Interrupt()] if self._calls.waiting else []
        self._calls.give_up()
        respond = Respond(wish.instructions or None)
        if text == usual:
            return [*stop, respond]
        return [*stop, Configure(speaks=not text), respond, Configure(speaks=text)]

    def _cancel(self, asked: Json) -> Asked:
        current = self._responses.current
        if current is None or asked.get("response_id") not in (None, current.id):
            raise Refused("Cancellation failed: no active response found.", "response_cancel_not_active")
        self._responses.cancelled_by_client = True
        return [Interrupt()]


def _text(asked: Json, name: str) -> str:
    value: Any = asked.get(name)
    if not isinstance(value, str):
        code = "invalid_type" if name in asked else "missing_required_parameter"
        raise Refused(f"{name} must be a string.", code, name)
    return value


def _written(new: NewItem) -> str:
    """The words of a message. Raises Refused where it holds anything else."""
    for number, part in enumerate(new.content):
        if part.type not in TEXTS[new.role]:
            where = f"item.content[{number}].type"
            raise Refused(f"A {new.role}'s message holds {TEXTS[new.role][0]}, not {part.type[:64]}.", param=where)
    text = "\n".join(part.text for part in new.content).strip()
    if not text:
        raise Refused("A message needs words.", param="item.content")
    if len(text) > MAX_TEXT:
        raise Refused(f"A message has {MAX_TEXT} characters at most.", "string_above_max_length", "item.content")
    return text
