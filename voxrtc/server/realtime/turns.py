"""The caller's turns: the events of one, from its first sound to its transcript."""

from __future__ import annotations

from collections import deque

from voxrtc.audio import HEARD_RATE
from voxrtc.events import SpeechStarted, Transcript, TurnDropped, TurnEnded
from voxrtc.server.realtime.errors import SERVER, body
from voxrtc.server.realtime.items import Item, Items, message
from voxrtc.server.realtime.session import Config
from voxrtc.server.realtime.shapes import event, new_id

UNHEARD = 64
"""Turns whose words may still be to come."""


class Turns:
    """Of one call. An item's id is told when its first sound is; the item is added when the turn is over."""

    def __init__(self, items: Items, config: Config) -> None:
        self.newest = 0
        """The last one that was spoken."""
        self._items = items
        self._config = config
        self._speaking: str | None = None
        """The item that what is being said will be."""
        self._told = ""
        """Of its words, those that were told."""
        self._unheard: dict[int, tuple[Item, float, str]] = {}
        """By turn: its item, seconds of sound, and what was told of its words."""
        self._typed: deque[Item] = deque()
        """Items in writing that have no number yet."""

    def typed(self, item: Item) -> None:
        """The next turn in writing is ``item``, which was told already."""
        self._typed.append(item)

    def started(self, speech: SpeechStarted) -> list[str]:
        self._speaking, self._told = new_id("item"), ""
        return [
            event(
                "input_audio_buffer.speech_started",
                audio_start_ms=_ms(speech.start),
                item_id=self._speaking,
            )
        ]

    def ended(self, turn: TurnEnded) -> list[str]:
        if turn.start == turn.end and self._typed:
            self._typed.popleft().turn = turn.turn
            return []
        told: list[str] = []
        name = self._speaking or new_id("item")
        if self._speaking is not None:
            told.append(event("input_audio_buffer.speech_stopped", audio_end_ms=_ms(turn.end), item_id=name))
        told.append(event("input_audio_buffer.committed", previous_item_id=self._items.last, item_id=name))
        item = message("user", [{"type": "input_audio", "transcript": None}], name=name)
        item.turn = turn.turn
        self._unheard[turn.turn] = item, (turn.end - turn.start) / HEARD_RATE, self._told
        if len(self._unheard) > UNHEARD:
            del self._unheard[next(iter(self._unheard))]
        self._speaking, self._told = None, ""
        self.newest = turn.turn
        return told + self._items.add(item) + self._items.done(item)

    def transcribed(self, words: Transcript) -> list[str]:
        if words.final:
            return self._whole(words)
        if self._speaking is None or not self._config.transcribes:
            return []
        told, self._told = self._delta(self._speaking, words.text, self._told), words.text
        return told

    def forget(self, turn: int) -> None:
        """Its item is no more: nothing is told of its words."""
        self._unheard.pop(turn, None)

    def dropped(self, turn: TurnDropped) -> list[str]:
        """Nothing follows from it: it was noise, or goes on in the next one."""
        if turn.turn not in self._unheard:
            return []
        item, _, _ = self._unheard.pop(turn.turn)
        told = []
        if turn.reason == "not heard" and self._config.transcribes:
            error = body("The sound could not be transcribed.", SERVER, "transcription_failed")
            kind = "conversation.item.input_audio_transcription.failed"
            told.append(event(kind, item_id=item.id, content_index=0, error=error))
        return told + (self._items.drop(item.id) if item.id in self._items else [])

    def _whole(self, words: Transcript) -> list[str]:
        if words.turn not in self._unheard:
            return []  # in writing
        item, seconds, told = self._unheard.pop(words.turn)
        item.json["content"][0]["transcript"] = words.text
        if not self._config.transcribes:
            return []
        completed = event(
            "conversation.item.input_audio_transcription.completed",
            item_id=item.id,
            content_index=0,
            transcript=words.text,
            usage={"type": "duration", "seconds": round(seconds, 2)},
        )
        return [*self._delta(item.id, words.text, told), completed]

    def _delta(self, name: str, text: str, told: str) -> list[str]:
        """What ``text`` adds to what was told; nothing where it corrects that, which the whole transcript will tell."""
        if not text.startswith(told) or text == told:
            return []
        kind = "conversation.item.input_audio_transcription.delta"
        return [event(kind, item_id=name, content_index=0, delta=text[len(told) :])]


def _ms(position: int) -> int:
    return round(position * 1000 / HEARD_RATE)
