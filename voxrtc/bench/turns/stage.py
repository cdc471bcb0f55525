"""Plays a scene in virtual time, and notes what happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from voxrtc.audio import BLOCK_MS, HEARD_RATE, level_dbfs
from voxrtc.bench.turns import standin
from voxrtc.bench.turns.ears import SceneEars
from voxrtc.bench.turns.product import Product
from voxrtc.bench.turns.scene import Part, Scene
from voxrtc.bench.turns.sounds import Said, Sounds
from voxrtc.bench.turns.truth import Left, WordTiming, what_left
from voxrtc.bench.virtual import VirtualMouth, run
from voxrtc.events import Event, ReplyStarted, StateChanged

ASKED_AT = 0.5
"""Second at which the first turn is typed, or the caller's opening is heard."""
PATIENCE_S = 20.0
"""After that the reply has to have begun to be heard."""
SHORT = "All right, go ahead."
"""What is answered once the reply of the scene has begun."""
UNDERSTOOD_DBFS = -50.0
"""An echo below this level is not heard as words."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, and the second of the scene in which it was emitted."""

    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Take:
    """What happened in a scene; all times are seconds from its beginning.

    ``cue``: when the parts began to count, None where the reply was never heard; ``reply``: its number in the call.
    ``onsets``: of each part, in order. ``stops``: when sound that was being played was thrown away, but for the call's
    end. ``ducks``: when the mouth was made softer. ``packets``: when each packet left. ``left``: the clauses of that
    reply, and what of them left the mouth. ``remembered``: what the memory says was heard of the answer to the first
    turn.
    """

    cue: float | None
    seconds: float
    onsets: list[float]
    happenings: list[Happening]
    reply: int = 0
    stops: list[float] = field(default_factory=list)
    ducks: list[float] = field(default_factory=list)
    packets: list[float] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    remembered: str = ""

    def of(self, kind: type[Event]) -> list[Happening]:
        """The events of one kind, in order."""
        return [h for h in self.happenings if isinstance(h.event, kind)]


class Mouth(VirtualMouth):
    """Notes when sound was thrown away, and when it was made softer."""

    def __init__(self) -> None:
        super().__init__()
        self.stops: list[float] = []
        self.ducks: list[float] = []

    def flush(self) -> None:
        if self._queued:
            self.stops.append(asyncio.get_running_loop().time())
        super().flush()

    def duck(self, on: bool) -> None:
        if on and self._queued and not self._ducking.on:
            self.ducks.append(asyncio.get_running_loop().time())
        super().duck(on)


class Stage:
    """Where scenes are played. ``noise``: as of StandIn."""

    def __init__(self, product: Product, sounds: Sounds, noise: standin.Recogniser | None = None) -> None:
        self.product = product
        self.sounds = sounds
        self.noise = noise
        self.timing = WordTiming(sounds.voice)

    def perform(self, scene: Scene) -> Take:
        """Play ``scene`` to its end."""
        return run(self._perform(scene))

    async def _perform(self, scene: Scene) -> Take:
        return await _Performance(scene, self).play()


class _Performance:
    """One scene on its way."""

    def __init__(self, scene: Scene, stage: Stage) -> None:
        self._scene = scene
        self._stage = stage
        self._sounds = stage.sounds
        self._mouth = Mouth()
        self._ears = SceneEars(self._mouth, scene.echo, scene.seed)
        self._microphone = standin.Microphone(lambda: self._ears.sound, [], self._echoed)
        self._models = standin.StandIn(self._microphone, self._answer, stage.sounds.voice, stage.noise)
        self._session = stage.product.session(self._models, self._emit)
        self._happenings: list[Happening] = []
        self._cue: float | None = None
        self._reply = 0
        self._cued = asyncio.Event()
        self._onsets: list[float] = []

    async def play(self) -> Take:
        scene = self._scene
        for part in scene.ambient:
            self._place(part, 0.0)
        if scene.reply is None:
            self._begin(0.0)
        async with self._mouth:
            carrying = asyncio.create_task(self._session.run(self._ears, self._mouth), name="scene's session")
            if scene.reply is not None:
                await self._ask()
            if self._cue is not None and scene.stop_at is not None:
                await asyncio.sleep(self._cue + scene.stop_at - asyncio.get_running_loop().time())
                self._session.interrupt()
            await carrying
            await self._session.close("hangup")
        return self._take()

    async def _ask(self) -> None:
        """Have the assistant begin its reply; the parts of the scene are set to when it is heard."""
        if self._scene.opening is None:
            await asyncio.sleep(ASKED_AT)
            await self._session.submit_text("Please go on.")
        else:
            self._place(self._scene.opening, ASKED_AT)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._cued.wait()
        except TimeoutError:
            self._ears.hang_up(self._ears.position)

    def _emit(self, event: Event) -> None:
        now = asyncio.get_running_loop().time()
        self._happenings.append(Happening(now, event))
        if self._cue is None and isinstance(event, ReplyStarted):
            self._reply = event.reply
        if self._cue is None and isinstance(event, StateChanged) and event.state == "speaking":
            self._begin(self._mouth.packets[-1].at if self._mouth.packets else now)

    def _answer(self) -> str:
        """The scene's reply until it is heard: where the caller's opening is taken for several turns, only what is said
        to the last of them is."""
        return self._scene.reply if self._scene.reply is not None and self._cue is None else SHORT

    def _begin(self, cue: float) -> None:
        self._cue = cue
        self._onsets = [self._place(part, cue) for part in self._scene.parts]
        self._ears.hang_up(round((cue + self._scene.seconds) * HEARD_RATE))
        self._cued.set()

    def _place(self, part: Part, since: float) -> float:
        """Put ``part`` before the microphone, its ``at`` counted from second ``since``; returns when its onset is."""
        sound = self._sounds.of(part)
        at = round((since + part.at) * HEARD_RATE) - sound.onset
        lead = max(0, self._ears.position - at)  # of a run-up too long for the time there is, the beginning is lost
        self._ears.add(sound.samples[lead:], at + lead)
        if sound.words:
            self._microphone.said.append(Said(at + sound.onset, at + sound.samples.size, sound.words))
        return (at + sound.onset) / HEARD_RATE

    def _echoed(self, start: int, end: int) -> str:
        """The words of the reply that come back between two samples of the microphone, if they can be understood."""
        echo = self._scene.echo
        if echo is None:
            return ""
        since, until = (sample / HEARD_RATE - echo.delay_ms / 1000 for sample in (start, end))
        before = sum(packet.at < since for packet in self._mouth.packets)
        heard = [packet for packet in self._mouth.packets if since <= packet.at < until]
        if not heard or max(level_dbfs(packet.samples) for packet in heard) + echo.db < UNDERSTOOD_DBFS:
            return ""
        words = " ".join(clause.text for clause in self._models.spoken)
        size = sum(clause.samples.size for clause in self._models.spoken)
        return Said(0, size, words).between(*(n * heard[0].samples.size for n in (before, before + len(heard))))

    def _take(self) -> Take:
        events = [h.event for h in self._happenings]
        exchanges = self._session.memory.exchanges
        end = self._ears.position / HEARD_RATE
        return Take(
            cue=self._cue,
            reply=self._reply,
            seconds=end,
            onsets=self._onsets,
            happenings=self._happenings,
            stops=[at for at in self._mouth.stops if at < end - BLOCK_MS / 2000],
            ducks=self._mouth.ducks,
            packets=[packet.at for packet in self._mouth.packets],
            left=what_left(self._reply, events, self._models.spoken, self._mouth.packets, self._stage.timing),
            remembered=exchanges[0].assistant if exchanges else "",
        )
