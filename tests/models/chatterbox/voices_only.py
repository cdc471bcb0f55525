"""A profile of voices alone, for a real host process: Chatterbox as configured; hears and thinks nothing.

Where a clause is cut into chunks depends on time, and its samples depend on that. Here short ones are not cut.
``--profile-factory tests.models.chatterbox.voices_only:make``, with the repository on PYTHONPATH.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import torch

from tests.models.scripted import Scripted
from voxrtc.models.chatterbox import loop, sound
from voxrtc.models.profiles import Progress
from voxrtc.models.speaking import Speaking
from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import Clone, Cloned, Ready, Speak, Speech, unpack
from voxrtc.settings import Settings


class VoicesOnly(Scripted):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        torch.set_num_threads(1)
        loop.CHUNKS, loop.SOON_S = (sound.LARGEST,), float("-inf")
        self.speaking = Speaking(settings)

    async def load(self, progress: Progress) -> Ready:
        await asyncio.to_thread(self.speaking.load, progress)
        return Ready(
            profile="voices",
            hears="nothing",
            thinks="nothing",
            speaks=self.speaking.title,
            voices=self.speaking.languages,
            hears_languages=["en"],
            load_s=0.0,
            cloning=self.speaking.cloning,
        )

    async def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
        async for speech in self.speaking.speak(ask, urgency):
            yield speech

    async def clone(self, ask: Clone) -> AsyncGenerator[Cloned, None]:
        yield Cloned(await self.speaking.clone(ask.name, unpack(ask.audio), ask.rate))

    def forget(self, name: str) -> None:
        self.speaking.forget(name)

    async def close(self) -> None:
        await self.speaking.close()


make = VoicesOnly
