"""Messages on a byte stream: 4 bytes of big-endian length, then msgpack. Either end of a connection to a host."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

import msgspec

from voxrtc.errors import ModelsError
from voxrtc.models.wire import MAX_MESSAGE, FromClient, FromHost, Message

HEADER = 4
"""Bytes of length in front of each message."""

BUFFER = 1024 * 1024
"""Bytes that a connection reads ahead, and that it holds unsent before a writer has to wait."""

T = TypeVar("T")


class StreamBroken(ModelsError):
    """The bytes on a connection are no messages; nothing more can be read from it."""


def frame(message: Message) -> bytes:
    """``message`` as it goes over a stream. Raises ModelsError where it is longer than MAX_MESSAGE."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ModelsError(
            f"a request of {len(body) / 1e6:.0f} MB is too long; {MAX_MESSAGE / 1e6:.0f} MB (16 minutes of audio) are"
            " the most"
        )
    return len(body).to_bytes(HEADER, "big") + body


class MessageReader(Generic[T]):
    """The messages of one union, off one stream."""

    def __init__(self, stream: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> None:
        self._stream = stream
        self._decoder = decoder

    async def read(self) -> T | None:
        """The next message, or None where the stream ended between two. Raises StreamBroken on anything else."""
        try:
            header = await self._stream.readexactly(HEADER)
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return None
            raise StreamBroken("the connection ended in the middle of a message's length") from None
        length = int.from_bytes(header, "big")
        if not 0 < length <= MAX_MESSAGE:
            raise StreamBroken(f"a message of {length} bytes was announced; 1 to {MAX_MESSAGE} are allowed")
        try:
            return self._decoder.decode(await self._stream.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise StreamBroken(f"the connection ended after {len(error.partial)} of {length} bytes") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StreamBroken(f"a message cannot be read: {error}") from None


def from_client(stream: asyncio.StreamReader) -> MessageReader[FromClient]:
    """What the dialogue's side sends, read in the host."""
    return MessageReader(stream, msgspec.msgpack.Decoder(FromClient))


def from_host(stream: asyncio.StreamReader) -> MessageReader[FromHost]:
    """What the host sends, read on the dialogue's side."""
    return MessageReader(stream, msgspec.msgpack.Decoder(FromHost))


_encoder = msgspec.msgpack.Encoder()
