"""A call that changes its line in the middle of a reply: real connections, a recorded voice, what the caller hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import numpy as np
import pytest

from tests.calling import Exchange, Guest
from tests.dialogue.scripted import ScriptedModels
from tests.media.callers import clip
from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, resample
from voxrtc.models.wire import Speak, Speech, pack

pytestmark = pytest.mark.timeout(90)

SAID: Samples = resample(clip("austen-0870")[: 6 * HEARD_RATE], HEARD_RATE, SPOKEN_RATE)
"""What the assistant says: 6 s of speech, one clause."""
RATE = 48_000
LOUD = 0.003
LAST = int(np.nonzero(np.abs(SAID) > LOUD)[0][-1])
Open = Callable[..., Exchange]


class Recorded(ScriptedModels):
    """STAND-IN: answers with a recording."""

    async def speak(self, ask: Speak) -> AsyncGenerator[Speech, None]:
        self.spoken.append(ask)
        yield Speech(pack(SAID), 0, len(ask.text))


@pytest.fixture
async def exchange() -> AsyncIterator[Open]:
    made: list[Exchange] = []

    def make(**sections: object) -> Exchange:
        models = Recorded(replies=["A recording of six seconds."], asr_s=0.0, first_token_s=0.0, token_s=0.0)
        made.append(Exchange(models, **sections))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def hears(guest: Guest, seconds: float, of: Callable[[Guest], Samples] | None = None) -> None:
    """Wait until ``guest`` has heard so much sound."""
    async with asyncio.timeout(20):
        while (of or sound)(guest).size < seconds * SPOKEN_RATE:
            guest.heard_some.clear()
            await guest.heard_some.wait()


def everything(guest: Guest) -> Samples:
    """All that came, silence too, (n,) at 24 kHz."""
    return resample(np.concatenate(guest.heard), RATE, SPOKEN_RATE) if guest.heard else np.zeros(0, np.float32)


def sound(guest: Guest) -> Samples:
    """What it heard, from the first sound to the last, (n,) at 24 kHz."""
    heard = np.concatenate(guest.heard) if guest.heard else np.zeros(0, np.float32)
    (loud,) = np.nonzero(np.abs(heard) > LOUD)
    return resample(heard[loud[0] : loud[-1]], RATE, SPOKEN_RATE) if loud.size else np.zeros(0, np.float32)


def place(piece: Samples) -> float:
    """Where in SAID ``piece`` begins, in seconds."""
    size = 1 << int(np.ceil(np.log2(SAID.size + piece.size)))
    shifts = np.fft.irfft(np.fft.rfft(SAID, size) * np.conj(np.fft.rfft(piece, size)), size)
    return int(np.argmax(shifts[: SAID.size])) / SPOKEN_RATE


def until(guest: Guest) -> float:
    """How far into SAID it has heard, in seconds."""
    last = sound(guest)[-2 * SPOKEN_RATE :]
    return place(last) + last.size / SPOKEN_RATE


def since(guest: Guest) -> float:
    """Where in SAID it began to hear, in seconds."""
    return place(sound(guest)[: 2 * SPOKEN_RATE])


async def ends(guest: Guest) -> None:
    ended = await guest.until("reply_ended")
    assert ended["ended"] == "finished"
    await hears(guest, everything(guest).size / SPOKEN_RATE + 0.4, everything)
    assert abs(until(guest) - LAST / SPOKEN_RATE) < 0.1


async def test_a_line_cut_in_a_reply_costs_no_word(exchange: Open) -> None:
    one = exchange()
    guest, first = await one.up()
    guest.say(type="text", text="Go on.")
    await hears(guest, 2.0)
    guest.vanish()
    await asyncio.sleep(2.0)  # in a tunnel; the server speaks on
    again, _ = await one.up(first.resume)
    resumed = await again.until("reply_resumed")
    await ends(again)
    cut, on = until(guest), since(again)
    print(f"heard until {cut:.2f} s, and again from {on:.2f} s on")
    assert cut - 0.7 <= on <= cut + 0.02
    assert 0 < resumed["heard"] < len("A recording of six seconds.")
    kinds = [event["type"] for event in again.told]
    assert kinds.index("call_started") < kinds.index("transcript") < kinds.index("reply_text")
    assert one.counted("voxrtc_calls_resumed_total") == 1


async def test_a_line_that_was_lost_long_ago(exchange: Open) -> None:
    """The server has noticed, and the reply had ended for it."""
    one = exchange(media={"lost_after_s": 3.0})
    guest, first = await one.up()
    guest.say(type="text", text="Go on.")
    await hears(guest, 4.0)
    guest.vanish()
    await one.settle(active=0, waiting=1)
    assert one.counted("voxrtc_replies_total", ended="finished") == 1
    assert one.counted("voxrtc_connections_lost_total", reason="lost") == 1
    again, _ = await one.up(first.resume)
    await again.until("reply_resumed")
    await ends(again)
    cut, on = until(guest), since(again)
    assert cut - 0.7 <= on <= cut + 0.02


async def test_only_the_way_to_the_caller_is_cut(exchange: Open) -> None:
    """The server hears it all the time; it says itself for how long it has heard nothing."""
    one = exchange()
    guest, first = await one.up()
    guest.say(type="text", text="Go on.")
    await hears(guest, 2.0)
    guest.deafen()
    await asyncio.sleep(1.5)
    again = one.guest()
    answered = await one.calls.offer(await again.offer(), first.resume, silent_ms=1500)
    await again.take(answered.sdp)
    await again.until("call_started")
    await ends(again)
    cut, on = until(guest), since(again)
    assert cut - 0.7 <= on <= cut + 0.02


async def test_who_moves_while_the_old_line_works_hears_each_word_once(exchange: Open) -> None:
    one = exchange()
    guest, first = await one.up()
    guest.say(type="text", text="Go on.")
    await hears(guest, 2.0)
    again, _ = await one.up(first.resume)
    await guest.cut()
    await ends(again)
    cut, on = until(guest), since(again)
    print(f"heard until {cut:.2f} s, and again from {on:.2f} s on")
    # A stock aiortc caller never plays the last 80 ms that reached it.
    assert -0.02 <= on - cut <= 0.14
