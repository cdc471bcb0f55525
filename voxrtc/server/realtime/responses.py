"""Responses: the events of one, from response.created to the last of its sound.

A reply of the call is one response, or several where the client's functions are called for it: each call ends a
response, and the client's next response.create begins the next one. A response is over when it was heard, not when it
is made.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from voxrtc.audio import Samples, to_pcm16
from voxrtc.events import ReplyEnded, ReplySpoken, ReplyStarted, ReplyText, ToolCalled
from voxrtc.server.realtime.errors import SERVER, body
from voxrtc.server.realtime.items import Item, Items, message
from voxrtc.server.realtime.session import Config
from voxrtc.server.realtime.shapes import Json, event, new_id, no_usage

STATUS = {"finished": "completed", "interrupted": "cancelled", "cancelled": "cancelled", "failed": "failed"}


@dataclass(slots=True)
class Wanted:
    """What a response.create asked for."""

    text: bool
    metadata: Json | None = None


@dataclass(slots=True)
class Response:
    """The one that is being given."""

    text: bool
    """Whether it is in writing."""
    metadata: Json | None
    id: str = field(default_factory=lambda: new_id("resp"))
    output: list[Item] = field(default_factory=list)
    message: Item | None = None
    """The item that is being said."""
    said: str = ""
    first_clause: int | None = None
    sounds: bool = False
    """Whether its sound has begun."""


class Responses:
    """Of one call. ``buffered``: the client is told of what plays here (output_audio_buffer), as over WebRTC; over a
    WebSocket it plays itself."""

    def __init__(self, items: Items, config: Config, buffered: bool) -> None:
        self.current: Response | None = None
        self.wanted: Wanted | None = None
        """What was asked for by the response.create that is not answered yet."""
        self.cancelled_by_client = False
        self._items = items
        self._config = config
        self._buffered = buffered
        self._conversation = new_id("conv")
        self._reply = 0
        self._told = ""
        """Of the reply, what earlier responses said."""
        self._sounding: Json | None = None
        """Where sound belongs that is being played."""

    # -- what becomes of a reply ------------------------------------------------------------------------------

    def started(self, reply: ReplyStarted) -> list[str]:
        told = []
        if not reply.turn and self.wanted is None and self._config.asks_when_silent:
            ms = round(reply.at / 16)
            kind = "input_audio_buffer.timeout_triggered"
            told.append(event(kind, audio_start_ms=ms, audio_end_ms=ms, item_id=new_id("item")))
        self._reply, self._told = reply.reply, ""
        return told + self.begin()

    def begin(self) -> list[str]:
        """A response begins."""
        wanted, self.wanted = self.wanted, None
        wanted = wanted or Wanted(self._config.modality == "text")
        self.cancelled_by_client = False
        self.current = response = Response(wanted.text, wanted.metadata)
        return [event("response.created", response=self._json(response, "in_progress"))]

    def clause(self, clause: ReplyText) -> list[str]:
        """More words."""
        told = [] if self.current is not None else self.begin()  # it goes on though its function gave nothing in time
        assert self.current is not None
        response = self.current
        if response.first_clause is None:
            response.first_clause = clause.clause
        item, added = self._message(response)
        response.said += clause.text
        kind = "response.output_text.delta" if response.text else "response.output_audio_transcript.delta"
        where = self._part(response, item)
        return [*told, *added, event(kind, **where, delta=clause.text)]

    def spoken(self, spoken: ReplySpoken) -> list[str]:
        """Its sound begins, or a clause of it does or is over."""
        response = self.current
        if response is None or response.sounds or response.text or response.first_clause is None:
            return []
        if spoken.clause < response.first_clause:
            return []
        response.sounds = True
        return self._buffer("started", response)

    def called(self, call: ToolCalled) -> list[str]:
        """The client is to call a function; that ends the response."""
        told = [] if self.current is not None else self.begin()
        assert self.current is not None
        response = self.current
        if response.message is not None:
            told += self._say_no_more(response, response.said.strip(), "completed")
            self._told += response.said
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        item = Item(
            {"id": new_id("item"), "object": "realtime.item", "type": "function_call", "status": "in_progress"}
            | {"call_id": call.id, "name": call.name, "arguments": ""}
        )
        told += self._output(response, item)
        where = self._place(response, item) | {"call_id": call.id}
        told.append(event("response.function_call_arguments.delta", **where, delta=arguments))
        told.append(event("response.function_call_arguments.done", **where, name=call.name, arguments=arguments))
        item.json["arguments"] = arguments
        return told + self._item_done(response, item, "completed") + self._over(response, "completed")

    def ended(self, reply: ReplyEnded) -> list[str]:
        """Nothing more comes of it."""
        response, self._reply = self.current, 0
        if response is None:
            return []  # it waited for a function of the client's
        told: list[str] = []
        finished = reply.ended == "finished"
        said = response.said.strip() if finished else self._heard(reply.text)
        if not finished and response.sounds:
            told += self._buffer("cleared", response)
            response.sounds = False
        if response.message is not None:
            told += self._truncated(response, response.message, reply)
            told += self._say_no_more(response, said, "completed" if finished else "incomplete")
        return told + self._over(response, STATUS[reply.ended])

    def sound(self, samples: Samples) -> list[str]:
        """``samples`` (n,) at 24 kHz that are to be played now, for clients that play themselves."""
        told: list[str] = []
        if self.current is not None and self.current.message is None and not self.current.text:
            _, told = self._message(self.current)  # sound that nothing is written of
        if self._sounding is None:
            return told
        delta = base64.b64encode(to_pcm16(samples)).decode()
        return [*told, event("response.output_audio.delta", **self._sounding, delta=delta)]

    # -- its parts --------------------------------------------------------------------------------------------

    def _heard(self, text: str) -> str:
        """What was heard of this response, of the ``text`` that was heard of the reply."""
        before = self._told.strip()
        return text[len(before) :].strip() if text.startswith(before) else ""

    def _message(self, response: Response) -> tuple[Item, list[str]]:
        """The item that words go to, and the events that begin it, if it is new."""
        if response.message is not None:
            return response.message, []
        response.message = item = message("assistant", [], "in_progress")
        item.reply = self._reply
        told = self._output(response, item)
        where = self._part(response, item)
        part = {"type": "text", "text": ""} if response.text else {"type": "audio", "transcript": ""}
        self._sounding = None if response.text else where
        return item, [*told, event("response.content_part.added", **where, part=part)]

    def _output(self, response: Response, item: Item) -> list[str]:
        response.output.append(item)
        where = {"response_id": response.id, "output_index": len(response.output) - 1}
        return [event("response.output_item.added", **where, item=item.json), *self._items.add(item)]

    def _truncated(self, response: Response, item: Item, reply: ReplyEnded) -> list[str]:
        if response.text:
            return []
        item.audio_ms = reply.heard_ms
        if reply.ended != "interrupted":
            return []
        ms = round(reply.heard_ms)
        return [event("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=ms)]

    def _say_no_more(self, response: Response, said: str, status: str) -> list[str]:
        """The message is complete, or will never be; ``said``: what was heard of it."""
        item = response.message
        assert item is not None
        response.message = None
        where = self._part(response, item)
        if response.text:
            item.json["content"] = [{"type": "output_text", "text": said}]
            part = {"type": "text", "text": said}
            told = [event("response.output_text.done", **where, text=said)]
        else:
            item.json["content"] = [{"type": "output_audio", "transcript": said}]
            part = {"type": "audio", "transcript": said}
            told = [
                event("response.output_audio_transcript.done", **where, transcript=said),
                event("response.output_audio.done", **where),
            ]
        told.append(event("response.content_part.done", **where, part=part))
        return told + self._item_done(response, item, status)

    def _item_done(self, response: Response, item: Item, status: str) -> list[str]:
        item.json["status"] = status
        where = {"response_id": response.id, "output_index": response.output.index(item)}
        return [event("response.output_item.done", **where, item=item.json), *self._items.done(item)]

    def _over(self, response: Response, status: str) -> list[str]:
        self.current = None
        told = [event("response.done", response=self._json(response, status))]
        return told + (self._buffer("stopped", response) if response.sounds else [])

    # -- shapes -----------------------------------------------------------------------------------------------

    def _place(self, response: Response, item: Item) -> Json:
        return {"response_id": response.id, "item_id": item.id, "output_index": response.output.index(item)}

    def _part(self, response: Response, item: Item) -> Json:
        return self._place(response, item) | {"content_index": 0}

    def _buffer(self, what: str, response: Response) -> list[str]:
        return [event(f"output_audio_buffer.{what}", response_id=response.id)] if self._buffered else []

    def _json(self, response: Response, status: str) -> Json:
        details: Json | None = None
        if status == "cancelled":
            details = {"type": status, "reason": "client_cancelled" if self.cancelled_by_client else "turn_detected"}
        elif status == "failed":
            details = {"type": status, "error": body("The models failed.", SERVER, "models_failed")}
        session = self._config.to_json()
        return {
            "object": "realtime.response",
            "id": response.id,
            "conversation_id": self._conversation,
            "status": status,
            "status_details": details,
            "output": [item.json for item in response.output],
            "output_modalities": ["text" if response.text else "audio"],
            "max_output_tokens": session["max_output_tokens"],
            "audio": {"output": session["audio"]["output"]},
            "metadata": response.metadata,
            "usage": None if status == "in_progress" else no_usage(),
        }
