import dataclasses
import json

from voxrtc import events

ALL = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
]


def test_wire_names() -> None:
    assert events.wire_name(events.SpeechStarted) == "speech_started"
    assert events.wire_name(events.TurnMetrics) == "turn_metrics"


def test_names_are_distinct_and_every_event_is_explained() -> None:
    assert len({events.wire_name(kind) for kind in ALL}) == len(ALL) > 15
    for kind in ALL:
        assert kind.__doc__
        assert not kind.__doc__.startswith(kind.__name__ + "("), f"{kind.__name__} has no docstring of its own"


def test_an_event_as_json() -> None:
    event = events.SpeechPaused(call="c", at=3200, time=1.5, end=1600)
    assert json.loads(json.dumps(event.to_json())) == {
        "type": "speech_paused",
        "call": "c",
        "at": 3200,
        "time": 1.5,
        "end": 1600,
    }
    assert next(iter(event.to_json())) == "type"


def test_events_are_frozen() -> None:
    assert all(dataclasses.fields(kind) and kind.__dataclass_params__.frozen for kind in ALL)
