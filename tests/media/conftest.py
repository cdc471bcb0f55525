"""Connected calls for the tests of the media wing."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.media.callers import Caller
from voxrtc.audio import Samples
from voxrtc.media.peer import Peer
from voxrtc.settings import Media, Settings

Call = Callable[..., Awaitable[tuple[Caller, Peer]]]


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Makes connected calls: ``caller, peer = await call(samples, media)``. Closes them afterwards."""
    made: list[tuple[Caller, Peer]] = []

    async def make(samples: Samples | None = None, media: Media | None = None) -> tuple[Caller, Peer]:
        caller = Caller(samples)
        peer = await Peer.answer(await caller.offer(), Settings(media=media or Media()))
        made.append((caller, peer))
        await caller.take(peer.sdp)
        await peer.connected()
        return caller, peer

    yield make
    for caller, peer in made:
        await caller.close()
        await peer.close()
