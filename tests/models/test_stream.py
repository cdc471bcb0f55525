"""Messages on a byte stream, well-formed and not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.errors import ModelsError
from voxrtc.models.stream import HEADER, StreamBroken, frame, from_client, from_host
from voxrtc.models.wire import MAX_MESSAGE, Ask, Cancel, Done, Item, Loading, Ready, Said, Speech, Transcribe


def fed(*chunks: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return stream


async def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut():
    sent = [Loading("reading", 0.25), Item(1, Said("Grüße ")), Item(1, Speech(b"\0\1\2\3", 0, 4)), Done(1)]
    data = b"".join(frame(message) for message in sent)
    messages = from_host(fed(*(data[i : i + 1] for i in range(len(data)))))
    assert [await messages.read() for _ in sent] == sent
    assert await messages.read() is None


async def test_client_messages():
    sent = [Ask(1, Transcribe(b"\0" * 64_000, partial=True)), Cancel(1)]
    messages = from_client(fed(b"".join(frame(m) for m in sent)))
    assert [await messages.read() for _ in sent] == sent


def test_frame_too_long_is_refused_with_its_size():
    with pytest.raises(ModelsError, match=r"67 MB.* is too long"):
        frame(Ask(1, Transcribe(bytes(MAX_MESSAGE))))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\0\0", "in the middle of a message's length"),
        (b"\0\0\0\0", "0 bytes was announced"),
        ((MAX_MESSAGE + 1).to_bytes(4, "big"), "was announced"),
        (frame(Done(1))[:-1], "ended after"),
        (b"\0\0\0\2\xc1\xc1", "cannot be read"),
        (b"\0\0\0\1\x80", "cannot be read"),
        (frame(Cancel(1)), "cannot be read"),
    ],
)
async def test_broken_frame_says_what_is_wrong(data, why):
    with pytest.raises(StreamBroken, match=why):
        await from_host(fed(data)).read()


async def test_wrong_types_inside_a_message_are_broken():
    body = frame(Ready("p", "h", "t", "s", {"v": ["en"]}, ["en"], 1.0))[HEADER:].replace(b"en", b"\xff\xfe")
    with pytest.raises(StreamBroken):
        await from_host(fed(len(body).to_bytes(4, "big") + body)).read()


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_a_broken_stream(data):
    async def read() -> None:
        messages = from_client(fed(data))
        try:
            while await messages.read() is not None:
                pass
        except StreamBroken:
            pass

    asyncio.run(read())
