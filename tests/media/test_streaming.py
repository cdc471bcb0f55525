"""A line over a stream of messages, in virtual time: what is heard, what is sent and when, what counts as heard."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from tests.media.callers import clip, likeness
from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_RATE, Block, Mark, Samples, resample
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.errors import AudioError
from voxrtc.media.stream_ears import PATIENCE_S, QUEUE
from voxrtc.media.stream_mouth import LEAD_S
from voxrtc.media.streaming import UNSENT, Order, Outgoing, Stream
from voxrtc.settings import Media

SPEECH = clip("jfk")[: 2 * HEARD_RATE]
SAID = resample(SPEECH, HEARD_RATE, SPOKEN_RATE)


class Ends:
    """Both ends of a Stream: hears what its session would, and takes what is sent as its owner does."""

    def __init__(self, reads: bool = True) -> None:
        self.line = Stream(Media())
        self.blocks: list[Block] = []
        self.sent: list[tuple[float, Outgoing]] = []
        self._tasks = [asyncio.create_task(self._listen())] + ([asyncio.create_task(self._take())] if reads else [])

    async def _listen(self) -> None:
        async for block in self.line.ears:
            self.blocks.append(block)

    async def _take(self) -> None:
        async for item in self.line.outgoing():
            self.sent.append((asyncio.get_running_loop().time(), item))

    @property
    def sound(self) -> Samples:
        parts = [item for _, item in self.sent if isinstance(item, np.ndarray)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    @property
    def heard(self) -> Samples:
        return np.concatenate([block.samples for block in self.blocks])

    async def close(self) -> None:
        await self.line.close()
        await asyncio.gather(*self._tasks)


@in_virtual_time
async def test_sound_comes_in_on_one_gapless_clock_and_silence_flows_where_there_is_none() -> None:
    ends = Ends()
    for start in range(0, SPEECH.size, 1_600):
        await asyncio.sleep(0.1)
        ends.line.hear(SPEECH[start : start + 1_600], HEARD_RATE)
    await asyncio.sleep(2.0)
    await ends.close()
    assert all(after.position - before.position == BLOCK for before, after in pairwise(ends.blocks))
    assert np.array_equal(ends.heard[: SPEECH.size], SPEECH)
    quiet = ends.heard[SPEECH.size :]
    assert not quiet.any()
    assert quiet.size / HEARD_RATE == pytest.approx(2.0 - PATIENCE_S, abs=0.05)


@in_virtual_time
@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
async def test_other_rates_are_heard_as_well(rate: int) -> None:
    ends = Ends()
    sent = resample(SPEECH, HEARD_RATE, rate)
    for start in range(0, sent.size, rate // 50):
        ends.line.hear(sent[start : start + rate // 50], rate)
        await asyncio.sleep(0.02)
    await ends.close()
    assert abs(ends.heard.size - SPEECH.size) < 0.05 * HEARD_RATE
    want = SPEECH if rate > 8_000 else resample(sent, rate, HEARD_RATE)
    assert likeness(ends.heard, want) > 0.95


@in_virtual_time
async def test_rates_that_cannot_be_heard_are_refused() -> None:
    ends = Ends()
    for rate in (0, 4_000, 96_000):
        with pytest.raises(AudioError, match="sample rate"):
            ends.line.hear(SPEECH, rate)
    await ends.close()


@in_virtual_time
async def test_a_minute_at_once_is_heard_and_more_is_counted() -> None:
    ends = Ends()
    ends.line.hear(np.zeros((QUEUE + 10) * BLOCK, np.float32), HEARD_RATE)
    await asyncio.sleep(0.1)
    await ends.close()
    assert (len(ends.blocks), ends.line.ears.dropped) == (QUEUE, 10)


@in_virtual_time
async def test_speech_leaves_a_little_ahead_and_counts_when_it_is_heard() -> None:
    ends, mark, loop = Ends(), Mark(), asyncio.get_running_loop()
    began = loop.time()
    await ends.line.mouth.play(SAID, mark)
    await asyncio.sleep(1.0)
    assert mark.heard / SPOKEN_RATE == pytest.approx(1.0, abs=0.07)
    assert ends.sound.size / SPOKEN_RATE == pytest.approx(1.0 + LEAD_S, abs=0.07)
    await ends.line.mouth.drained()
    assert loop.time() - began == pytest.approx(SAID.size / SPOKEN_RATE, abs=0.1)
    assert mark.begun_at == pytest.approx(began, abs=0.001)
    assert mark.heard == mark.queued == SAID.size
    assert np.allclose(ends.sound[: SAID.size], SAID, atol=1e-6)
    first = ends.sent[0]
    assert first[0] == pytest.approx(began)
    assert isinstance(first[1], np.ndarray)
    assert first[1].size / SPOKEN_RATE == pytest.approx(LEAD_S, abs=0.021)
    await ends.close()


@in_virtual_time
async def test_who_is_interrupted_takes_back_what_was_sent_and_not_heard() -> None:
    ends, mark = Ends(), Mark()
    playing = asyncio.create_task(ends.line.mouth.play(SAID, mark))
    await asyncio.sleep(0.5)
    ends.line.mouth.flush()
    await ends.line.mouth.drained()
    await asyncio.sleep(0.5)
    await playing
    assert mark.heard / SPOKEN_RATE == pytest.approx(0.5, abs=0.03)
    assert ends.sent[-1][1] is Order.CLEAR
    after = Mark()
    await ends.line.mouth.play(SAID, after)
    await ends.line.mouth.drained()
    assert after.heard == SAID.size
    await ends.close()


@in_virtual_time
async def test_a_flush_of_nothing_tells_nothing() -> None:
    ends = Ends()
    ends.line.mouth.flush()
    await asyncio.sleep(0.1)
    assert ends.sent == []
    await ends.close()


@in_virtual_time
async def test_messages_go_out_in_order_and_a_full_line_drops_the_oldest() -> None:
    ends = Ends(reads=False)
    for number in range(UNSENT + 3):
        ends.line.send(str(number))
    assert ends.line.unsent == 3
    taken = [item async for item in _until_empty(ends.line)]
    assert taken == [str(number) for number in range(3, UNSENT + 3)]
    await ends.line.finish()
    await ends.close()
    ends.line.send("after the end")


async def _until_empty(line: Stream):  # type: ignore[no-untyped-def]
    async for item in line.outgoing():
        yield item
        if not line._outgoing:
            return


@in_virtual_time
async def test_who_reads_nothing_is_lost_and_not_spoken_to_for_ever() -> None:
    ends = Ends(reads=False)
    mark = Mark()
    playing = asyncio.create_task(ends.line.mouth.play(np.tile(SAID, 12), mark))
    assert await ends.line.closed() == "lost"
    assert "does not take" in ends.line.detail
    await playing
    await ends.line.mouth.drained()
    await ends.close()


@in_virtual_time
async def test_a_handler_that_breaks_ends_the_line_without_its_words() -> None:
    ends = Ends()

    def broken(message: str | bytes) -> None:
        raise RuntimeError("out of order")

    ends.line.on_message = broken
    ends.line.receive("{}")
    assert await ends.line.closed() == "error"
    assert "RuntimeError" in ends.line.detail
    assert "out of order" not in ends.line.detail
    await ends.close()
