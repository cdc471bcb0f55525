"""The caller's side of a conversation: which turn is on, its sound and its words so far, and when it is over.

What is speech and when a turn may be over, the detector decides; whose word counts, the floor. What follows from
it, the assistant does. All of it happens in the iteration of the loop in which its block of sound came.
"""

from __future__ import annotations

import asyncio
import logging

from voxrtc.audio import HEARD_RATE, AudioOut, Block, Samples
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.assistant import Assistant
from voxrtc.dialogue.by_hand import ByHand
from voxrtc.dialogue.echo import EchoGuard
from voxrtc.dialogue.evidence import Evidence
from voxrtc.dialogue.floor import Floor
from voxrtc.dialogue.partials import Partials
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.turns import PRE_ROLL, Turn, TurnAudio
from voxrtc.endpointing import waits
from voxrtc.endpointing.detector import Decision, Ended, Paused, Resumed, Started, TurnDetector
from voxrtc.endpointing.prosody import SECONDS, Prosody
from voxrtc.errors import ModelsError
from voxrtc.events import Notice, SpeechPaused, SpeechResumed, SpeechStarted, Transcript, TurnDropped, TurnEnded
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard
from voxrtc.settings import Endpointing, Settings

log = logging.getLogger(__name__)

LEAST = HEARD_RATE // 10
"""Samples of a turn that is made by hand."""
LOOKED_BACK = SECONDS * HEARD_RATE
"""Samples of a turn whose prosody counts."""


class Caller:
    """Listens, for one session."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        detector: TurnDetector,
        prosody: Prosody | None,
        assistant: Assistant,
        clock: CallClock,
        announcer: Announcer,
        tasks: Tasks,
    ) -> None:
        self.floor = Floor(settings.dialogue.interruptions, settings.dialogue.barge_in_ms)
        self.turn: Turn | None = None
        """The turn that is on."""
        self._settings = settings
        self._models = models
        self._detector = detector
        self._assistant = assistant
        self._giving = assistant.giving
        self._clock = clock
        self._say = announcer.say
        self._tasks = tasks
        self._audio = TurnAudio(2 * settings.endpointing.max_turn_s)
        self._evidence = Evidence(waits.make(settings.endpointing).uses, detector, prosody, models, tasks)
        self._echo = EchoGuard() if settings.dialogue.echo_guard else None
        self._partials: Partials | None = None
        self._listening: asyncio.Task[None] | None = None
        self._turns = 0
        self._by_hand: ByHand | None = None
        """Where turns are made by hand: the next one."""

    # -- what comes from outside ------------------------------------------------------------------------------

    def face(self, mouth: AudioOut) -> None:
        """What ``mouth`` says from now on may come back as an echo."""
        mouth.tap = self._played if self._echo is not None else None

    def _played(self, samples: Samples, at: float) -> None:
        if self._echo is not None:
            self._echo.played(samples, self._clock.position_at(at))

    def hear(self, block: Block) -> None:
        """The next 20 ms."""
        now = self._clock.now
        if self._echo is not None:
            block = self._echo.guard(block)
        if self._by_hand is not None:
            self._by_hand.add(block)
        starts = (self.turn.start if self.turn else None, self._giving.needed_from)
        self._audio.add(block, min((start for start in starts if start is not None), default=None))
        listening = self.turn is not None or self.floor.listens(self._giving.reply is not None)
        if listening or self.floor.mode != "push-to-talk":
            self._detector.eager = self._giving.held is not None or self._giving.speaking
            decisions = self._detector.feed(block)
            for decision in decisions if listening else []:
                self._decided(decision)
        if listening and self.turn is None and self._detector.speaking:
            self._begin(now)  # went on speaking when the assistant, not to be interrupted, had finished
        if self.turn is not None:
            self._while_speaking(self.turn, now)
        self._giving.duck(self.floor.mode == "on" and self._detector.voicing)

    def left(self) -> None:
        """The caller is gone: what was said until now may still be answered."""
        for decision in self._detector.finish():
            self._decided(decision)
        if self.floor.pressed:
            self.release()

    def press(self) -> None:
        """The push-to-talk button went down: a turn begins, a reply stops."""
        self.floor.pressed = True
        before = self._giving.interrupt(goes_on=True)
        self._join(self._begin(self._clock.now, voiced=before is not None), before)

    def release(self) -> None:
        """The button went up: the turn is over."""
        self.floor.pressed = False
        self._detector.finish()
        if self.turn is not None:
            self._finish(self.turn.end if self.turn.paused else self._clock.now)

    def by_hand(self, on: bool) -> None:
        """Whether each turn is made by ``commit``, of what was heard from now on."""
        self._by_hand = ByHand(self._settings.endpointing.max_turn_s) if on else None

    def commit(self) -> bool:
        """What was heard since the last one is a turn; False where that is next to nothing."""
        if self._by_hand is None or self._by_hand.size < LEAST:
            return False
        now, (sound, lost) = self._clock.now, self._by_hand.take()
        if not self._assistant.requested.on:
            self._giving.interrupt()
        self._turns += 1
        turn = Turn(self._turns, now - sound.size, now, decided=now)
        self._say(TurnEnded, turn=turn.number, start=turn.start, end=now)
        if lost:
            longest = self._settings.endpointing.max_turn_s
            self._say(Notice, code="turn_cut", message=f"Of what was heard, the last {longest:g} s are the turn.")
        self._assistant.answer(turn, sound)
        return True

    def discard(self) -> None:
        """Forget what was heard and is in no turn."""
        if self._by_hand is not None:
            self._by_hand.clear()
        else:
            self.forget()

    def note(self, text: str) -> None:
        """A turn in writing that nobody asks to be answered (yet)."""
        now = self._clock.now
        self._turns += 1
        self._say(TurnEnded, turn=self._turns, start=now, end=now)
        self._assistant.typed(Turn(self._turns, now, now, decided=now), text)

    def tune(self, settings: Endpointing) -> None:
        """From now on, turns end as ``settings`` say. Raises ConfigError."""
        uses = waits.make(settings).uses
        self._detector.tune(settings)
        self._evidence.tune(uses)

    def type(self, text: str) -> None:
        """A turn in writing. It stops the reply that is being given."""
        self._giving.interrupt()
        now = self._clock.now
        self._turns += 1
        self._say(TurnEnded, turn=self._turns, start=now, end=now)
        self._assistant.answer_text(Turn(self._turns, now, now, decided=now), text)
        if self.turn is not None:
            self.turn.contended = True  # typed while speaking: the voice has to take the floor again

    def forget(self) -> None:
        """Drop the turn that is on: the rules for turns change."""
        self._giving.give_way()
        self.floor.pressed = False
        self._detector.finish()
        if self.turn is not None:
            self.turn.contended = True
            self._finish(self._clock.now)

    def overheard(self, turn: Turn, heard: Heard) -> None:
        """A guess at the answer to ``turn`` heard this of it."""
        if turn is self.turn and self._partials is not None:
            turn.words = heard.text
            self._evidence.told(heard)
            self._partials.add(heard, whole=True)

    # -- the turn ---------------------------------------------------------------------------------------------

    def _while_speaking(self, turn: Turn, now: int) -> None:
        if turn.voiced and not turn.paused:
            turn.end = self._detector.voice_end
        if turn.contended:
            if self._giving.reply is None:
                turn.contended = False
            elif self.floor.interrupts(turn):
                before = self._giving.hold((now - turn.start) * 1000 / HEARD_RATE)
                turn.contended = False
                self._join(turn, before)
        self._weigh(turn, now)
        if self.floor.pressed and now - turn.start >= self._settings.endpointing.max_turn_s * HEARD_RATE:
            self.release()
        elif turn.voiced and not turn.paused and not turn.contended:
            self._look(turn, now)

    def _weigh(self, turn: Turn, now: int) -> None:
        """Does ``turn`` take the floor from the reply that it stopped, for good?"""
        held = self._giving.held
        if held is None:
            return
        if not turn.paused:
            if held.while_speaking(turn.voice_ms, self._partials.shown if self._partials is not None else ""):
                self._giving.give_way()
            return
        verdict = held.in_pause(turn.voice_ms, (now - turn.end) * 1000 / HEARD_RATE, turn.words)
        if verdict == "interrupts":
            self._giving.give_way()
        elif verdict is not None:
            self._detector.finish()
            self._drop(turn, verdict)
            self._giving.go_on(verdict)

    def _look(self, turn: Turn, now: int) -> None:
        if self._partials is not None and self._partials.due(now):
            self._partials.look(self._audio.of(turn, now), self._assistant.tongue.looked_as, now, self._tasks)

    def _join(self, turn: Turn, before: Turn | None) -> None:
        """``turn`` goes on from one whose words were never known: both are one turn."""
        if before is not None:
            turn.start = before.start

    def _decided(self, decision: Decision) -> None:
        if self.floor.pressed:
            self._decided_while_pressed(decision)
        elif isinstance(decision, Started):
            self._begin(decision.start)
        elif self.turn is None:
            return  # what is said is not listened to
        elif isinstance(decision, Paused):
            self._pause(self.turn, decision.end)
        elif isinstance(decision, Resumed):
            self._resume(self.turn, decision.start)
        else:
            self._finish(decision.end)

    def _decided_while_pressed(self, decision: Decision) -> None:
        """The button says when the turn is over, the detector only where there is voice in it."""
        turn = self.turn
        if turn is None or isinstance(decision, Ended):
            return
        if isinstance(decision, Paused):
            self._pause(turn, decision.end)
        elif not turn.voiced:
            turn.voiced = True
            turn.start = max(turn.start, decision.start)
        elif turn.paused:
            self._resume(turn, decision.start)

    def _begin(self, start: int, voiced: bool = True) -> Turn:
        self._turns += 1
        contended = self._giving.reply is not None
        self.turn = turn = Turn(self._turns, start, self._clock.now, contended=contended, voiced=voiced)
        self._partials = Partials(
            self._models,
            self._settings.dialogue.partial_every_ms,
            start,
            lambda text, heard: self._show_partial(turn, text, heard),
            self._assistant.asks.prepare,
        )
        self._say(SpeechStarted, start=start)
        return turn

    def _pause(self, turn: Turn, end: int) -> None:
        turn.paused = True
        turn.end = end
        self._say(SpeechPaused, end=end)
        if self._partials is not None:
            self._partials.stop()
        if not turn.contended and self._assistant.guesses:
            self._assistant.speculate(turn, self._audio.of(turn, end))
        self._evidence.gather(self._audio.cut(max(turn.start - PRE_ROLL, end - LOOKED_BACK), self._clock.now))
        wanted = self._giving.held is not None or (self._evidence.of_words and not turn.contended)
        if wanted and not self.floor.pressed and self._assistant.guess is None:
            self._listening = self._tasks.spawn(self._listen(turn, self._audio.of(turn, end)), "words in a pause")

    async def _listen(self, turn: Turn, audio: Samples) -> None:
        """Learn what ``turn`` said until its pause, where no guess at an answer does."""
        try:
            language = self._assistant.tongue.heard_as(audio.size)
            self.overheard(turn, await self._models.transcribe(audio, language))
        except ModelsError as error:
            log.debug("the words in a pause were not to be had: %s", error)  # the turn itself will tell the caller

    def _resume(self, turn: Turn, start: int) -> None:
        turn.paused = False
        self._evidence.stop()
        self._stop_listening()
        self._assistant.drop_guess()
        self._say(SpeechResumed, start=start)

    def _finish(self, end: int) -> None:
        turn = self.turn
        assert turn is not None
        turn.end = end
        if not turn.voiced or turn.contended:
            self._drop(turn, "no speech" if not turn.voiced else "did not interrupt")
            return
        self._over(turn)
        self._assistant.answer(turn, self._audio.of(turn, end))

    def _drop(self, turn: Turn, reason: str) -> None:
        """``turn`` is over, and nothing follows from it."""
        self._over(turn)
        self._assistant.drop_guess()
        self._say(TurnDropped, turn=turn.number, reason=reason)

    def _over(self, turn: Turn) -> None:
        self.turn = None
        self._evidence.stop()
        if self._partials is not None:
            self._partials.stop()
            self._partials = None
        self._stop_listening()
        turn.decided = self._clock.now
        self._say(TurnEnded, turn=turn.number, start=turn.start, end=turn.end)

    def _stop_listening(self) -> None:
        if self.turn is not None:
            self.turn.words = None
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _show_partial(self, turn: Turn, text: str, heard: Heard) -> None:
        if turn is self.turn:
            self._say(
                Transcript,
                turn=turn.number,
                text=text,
                final=False,
                confidence=heard.confidence,
                language=heard.language,
            )
