"""Server-sent events, wherever the bytes are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.errors import ModelsError
from voxrtc.models.remote.sse import MAX_EVENT, Events


def read(data: bytes, cuts: list[int]) -> list[str]:
    events = Events()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found = [event for a, b in itertools.pairwise(places) for event in events.feed(data[a:b])]
    return found + events.finish()


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 10_000), max_size=20),
    st.booleans(),
)
def test_every_cut_and_every_line_end_gives_the_same_events(texts, newline, cuts, noisy):
    noise = f": keep-alive{newline}event: message{newline}id: 7{newline}" if noisy else ""
    stream = "".join(f"{noise}data: {text}{newline}{newline}" for text in texts)
    assert read(stream.encode(), cuts) == texts


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_are_read_the_same_however_they_are_cut(data, cuts):
    assert read(data, cuts) == read(data, [])


@given(st.lists(st.sampled_from([b"data: a", b"data:b", b"\r", b"\n", b"\r\n", b":", b"x"])), st.lists(st.integers(0)))
def test_any_order_of_line_ends_is_read_the_same_however_it_is_cut(pieces, cuts):
    assert read(b"".join(pieces), cuts) == read(b"".join(pieces), [])


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b"data:one\n\ndata:  two\n\n", ["one", " two"]),
        (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
        (b"data: one", ["one"]),
        (b"data: one\n", ["one"]),
        (b": only a comment\n\n\n\n", []),
        (b"data\n\n", [""]),
        (b"retry: 1000\n\ndata: one\r\r\n", ["one"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (json.dumps({"no": "field"}).encode(), []),
    ],
)
def test_forms(stream, events):
    assert read(stream, []) == events


def test_an_event_without_an_end_is_not_kept():
    events = Events()
    events.feed(b"data: ")
    for _ in range(MAX_EVENT // 1000):
        events.feed(b"x" * 1000)
    with pytest.raises(ModelsError, match="without an end"):
        events.feed(b"x" * 1000)


def test_an_event_of_many_lines_is_not_kept_either():
    events = Events()
    for _ in range(MAX_EVENT // 1010):
        events.feed(b"data: " + b"x" * 1000 + b"\n")
    with pytest.raises(ModelsError, match="without an end"):
        events.feed(b"data: " + b"x" * 20_000 + b"\n")
