"""The assistant's side of a call, in virtual time: what leaves, when, and what was heard."""

import asyncio

import numpy as np
import pytest

from tests.media.callers import clip, likeness
from voxrtc.audio import HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, Mark, Recording, Samples, resample
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.media.opus import SILENCE, Decoder
from voxrtc.media.outbound import PACKET_TICKS, STALL_S, TAIL, Outbound
from voxrtc.media.sending import Report
from voxrtc.settings import Media

SPEECH = resample(clip("jfk")[: 2 * HEARD_RATE], HEARD_RATE, SPOKEN_RATE)
STEP = 0.02


def tone(blocks: float) -> Samples:
    return (0.5 * np.sin(2 * np.pi * 300 * np.arange(int(blocks * SPOKEN_BLOCK)) / SPOKEN_RATE)).astype(np.float32)


class Line:
    """Pulls packets as the sender does, and notes when each left."""

    def __init__(self, media: Media | None = None) -> None:
        self.out = Outbound(media or Media())
        self.sent: list[tuple[float, int, bytes]] = []
        self.begins: list[bool] = []
        self.pulling = asyncio.create_task(self._pull())

    async def _pull(self) -> None:
        while (packet := await self.out.next()) is not None:
            self.sent.append((asyncio.get_running_loop().time(), packet.ticks, packet.payload))
            self.begins.append(packet.begins)

    def sound(self) -> Samples:
        decoder = Decoder()
        return np.concatenate([decoder.decode(payload) for _, _, payload in self.sent])

    async def close(self) -> None:
        self.out.stop()
        await self.pulling


@in_virtual_time
async def test_a_packet_leaves_every_20_ms_and_silence_is_ready_made() -> None:
    line = Line()
    await asyncio.sleep(1.001)
    await line.close()
    assert [at for at, _, _ in line.sent] == pytest.approx([n * STEP for n in range(51)])
    assert [pts for _, pts, _ in line.sent] == [n * PACKET_TICKS for n in range(51)]
    assert {payload for _, _, payload in line.sent} == {SILENCE}


@in_virtual_time
async def test_speech_arrives_whole_and_is_counted_to_the_sample() -> None:
    line, mark, began = Line(), Mark(), asyncio.get_running_loop().time()
    await asyncio.sleep(0.1)
    for at in range(0, SPEECH.size, 700):
        await line.out.play(SPEECH[at : at + 700], mark)
    assert mark.queued == SPEECH.size
    assert mark.heard == 0
    await line.out.drained()
    ended = asyncio.get_running_loop().time()
    assert mark.heard == mark.queued
    assert mark.begun.is_set()
    assert mark.begun_at == pytest.approx(began + 0.1, abs=STEP)
    assert ended - mark.begun_at == pytest.approx(SPEECH.size / SPOKEN_RATE, abs=STEP)
    await asyncio.sleep(0.5)
    await line.close()
    assert likeness(line.sound(), resample(SPEECH, SPOKEN_RATE, HEARD_RATE)) > 0.97
    assert [payload for _, _, payload in line.sent][-5:] == [SILENCE] * 5


@in_virtual_time
async def test_marks_that_share_a_packet_each_get_their_own_samples() -> None:
    line, first, second = Line(), Mark(), Mark()
    await asyncio.sleep(0.001)
    await line.out.play(tone(2.25), first)
    await line.out.play(tone(1.5), second)
    heard = []
    for _ in range(4):
        await asyncio.sleep(STEP)
        heard.append((first.heard, second.heard))
    await line.close()
    assert heard == [(480, 0), (960, 0), (1080, 360), (1080, 720)]
    assert first.begun_at is not None
    assert second.begun_at == pytest.approx(first.begun_at + 2 * STEP)


@in_virtual_time
async def test_after_a_flush_one_packet_leaves_and_it_fades() -> None:
    line, mark = Line(), Mark()
    await line.out.play(tone(100), mark)
    await asyncio.sleep(10 * STEP + 0.001)
    before = mark.heard
    line.out.flush()
    await line.out.drained()
    await asyncio.sleep(20 * STEP)
    await line.close()
    assert mark.heard == before + SPOKEN_BLOCK
    voiced = [n for n, (_, _, payload) in enumerate(line.sent) if payload != SILENCE]
    assert len(voiced) == before // SPOKEN_BLOCK + 1 + TAIL
    sound = line.sound()
    loudest = [float(np.abs(sound[n * 320 : (n + 1) * 320]).max()) for n in range(len(line.sent))]
    last = before // SPOKEN_BLOCK
    assert loudest[last] > 0.1
    assert max(loudest[last + 2 :]) < 0.02
    assert np.abs(np.diff(sound)).max() < 0.1  # no click: a 300 Hz tone at 0.5 moves by 0.06 a sample


@in_virtual_time
async def test_a_flush_before_anything_was_heard_sends_nothing() -> None:
    line, mark = Line(), Mark()
    await asyncio.sleep(0.001)
    await line.out.play(tone(10), mark)
    line.out.flush()
    await asyncio.sleep(1)
    await line.close()
    assert mark.heard == 0
    assert not mark.begun.is_set()
    assert {payload for _, _, payload in line.sent} == {SILENCE}


@in_virtual_time
async def test_what_is_played_after_a_flush_is_heard() -> None:
    line, old, new = Line(), Mark(), Mark()
    await line.out.play(tone(50), old)
    await asyncio.sleep(5 * STEP)
    line.out.flush()
    await line.out.play(tone(3), new)
    await line.out.drained()
    await line.close()
    assert new.heard == 3 * SPOKEN_BLOCK
    assert old.heard < 8 * SPOKEN_BLOCK


@in_virtual_time
async def test_play_waits_while_too_much_is_queued_and_a_flush_lets_go_of_it() -> None:
    line, mark = Line(Media(play_ahead_s=1.0)), Mark()
    await line.out.play(tone(60), mark)  # 1.2 s: more than the bound, but nothing was queued
    waiting = asyncio.create_task(line.out.play(tone(10), mark))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await asyncio.sleep(0.15)
    assert waiting.done()
    assert mark.queued == 70 * SPOKEN_BLOCK
    await line.out.play(tone(1), late := Mark())
    dropped = asyncio.create_task(line.out.play(tone(1), late))
    await asyncio.sleep(0)
    line.out.flush()
    await dropped
    await line.out.drained()
    await line.close()
    assert late.heard == 0


@in_virtual_time
async def test_late_wake_ups_do_not_drift_and_a_stall_does_not_burst() -> None:
    line, loop = Line(), asyncio.get_running_loop()
    await asyncio.sleep(0.101)
    loop._jumping.now += 0.05  # type: ignore[attr-defined]  # a short hold-up is made good
    await asyncio.sleep(0.2)
    assert len(line.sent) == int(loop.time() / STEP) + 1
    before = len(line.sent)
    loop._jumping.now += 2.0  # type: ignore[attr-defined]
    await asyncio.sleep(0.001)
    assert len(line.sent) - before <= STALL_S / STEP + 1
    await asyncio.sleep(0.5)
    await line.close()
    for at, pts, _ in line.sent[-10:]:
        assert pts / 48_000 == pytest.approx(at, abs=STEP)


@in_virtual_time
async def test_the_first_packet_of_sound_after_silence_is_told_apart() -> None:
    line = Line()
    await asyncio.sleep(0.101)
    for _ in range(2):
        await line.out.play(tone(3), Mark())
        await asyncio.sleep(1)
    await line.close()
    voiced = [n for n, (_, _, payload) in enumerate(line.sent) if payload != SILENCE]
    assert [n for n, begins in enumerate(line.begins) if begins] == [n for n in voiced if n - 1 not in voiced]


@in_virtual_time
async def test_nobody_waits_on_a_peer_that_is_gone() -> None:
    line, mark = Line(Media(play_ahead_s=1.0)), Mark()
    await line.out.play(tone(500), mark)
    waiting = [asyncio.create_task(line.out.play(tone(1), mark)), asyncio.create_task(line.out.drained())]
    await asyncio.sleep(0)
    await line.close()
    await asyncio.gather(*waiting)
    await line.out.play(tone(1), mark)
    await line.out.drained()
    assert mark.queued == 500 * SPOKEN_BLOCK


@in_virtual_time
async def test_senseless_samples_are_made_harmless() -> None:
    line, mark = Line(), Mark()
    await line.out.play(np.array([np.nan, np.inf, -np.inf, 9.0] * 480, np.float32), mark)
    await line.out.drained()
    await line.close()
    assert mark.heard == 1920
    assert np.isfinite(line.sound()).all()


def counting(line: Line) -> list[int]:
    """The numbers of the packets that ``line``'s encoder makes from now on."""
    encode, made = line.out._encoder.encode, []

    def note(samples: Samples) -> bytes:
        made.append(len(line.sent))
        return encode(samples)

    line.out._encoder.encode = note  # type: ignore[method-assign]
    return made


async def say(line: Line, what: Samples | Recording) -> tuple[list[bytes], Mark]:
    """Everything that left from the first packet of ``what`` until it was silent again."""
    await asyncio.sleep(1)
    before, mark = len(line.sent), Mark()
    await line.out.play(what, mark)
    await line.out.drained()
    await asyncio.sleep((TAIL + 5) * STEP)
    payloads = [payload for _, _, payload in line.sent[before:]]
    return payloads[: payloads.index(SILENCE, 10)], mark


def sounds(payloads: list[bytes]) -> Samples:
    decoder = Decoder()
    return np.concatenate([decoder.decode(payload) for payload in [SILENCE] * 20 + payloads])


@in_virtual_time
async def test_a_recording_is_encoded_once_for_all_lines() -> None:
    recording = Recording(SPEECH[: 50 * SPOKEN_BLOCK - 100])
    assert recording.samples.size == 50 * SPOKEN_BLOCK
    first, second = Line(), Line()
    once, mark = await say(first, recording)
    assert mark.heard == mark.queued == recording.samples.size
    made = counting(second)
    again, mark = await say(second, recording)
    assert mark.heard == mark.queued == recording.samples.size
    assert len(made) == TAIL, "only the silence after it"
    assert again[:50] == once[:50]
    fresh = Line()
    plain, _ = await say(fresh, recording.samples)
    for line in (first, second, fresh):
        await line.close()
    # From silence, from kept packets or straight from the encoder: the same sound, without a click at the joints.
    for payloads in (once, again):
        assert likeness(sounds(payloads), sounds(plain)) > 0.98
        assert np.abs(np.diff(sounds(payloads))).max() < 1.5 * np.abs(np.diff(sounds(plain))).max()


@in_virtual_time
async def test_what_follows_a_kept_recording_sounds_as_it_should() -> None:
    recording, line = Recording(SPEECH[: 50 * SPOKEN_BLOCK]), Line()
    await say(line, recording)
    await asyncio.sleep(1)
    before, mark = len(line.sent), Mark()
    await line.out.play(recording, mark)
    await line.out.play(SPEECH[50 * SPOKEN_BLOCK :], mark)
    await line.out.drained()
    await asyncio.sleep(0.5)
    await line.close()
    heard = sounds([payload for _, _, payload in line.sent[before:]])
    assert likeness(heard, resample(SPEECH, SPOKEN_RATE, HEARD_RATE)) > 0.97


@in_virtual_time
async def test_a_recording_that_is_ducked_or_cut_off_is_not_kept_that_way() -> None:
    recording, line = Recording(tone(50)), Line()
    await asyncio.sleep(1)
    await line.out.play(recording, Mark())
    await asyncio.sleep(10 * STEP)
    line.out.duck(True)
    await asyncio.sleep(10 * STEP)
    line.out.duck(False)
    await line.out.drained()
    assert recording.packets == {}
    await asyncio.sleep(1)
    await line.out.play(recording, Mark())
    await asyncio.sleep(10 * STEP)
    line.out.flush()
    await asyncio.sleep(1)
    assert recording.packets == {}
    await say(line, recording)
    assert list(recording.packets) == [Media().opus_bitrate]
    made = counting(line)
    await asyncio.sleep(1)
    await line.out.play(recording, Mark())
    await asyncio.sleep(10 * STEP)
    line.out.duck(True)
    await asyncio.sleep(5 * STEP)
    assert made, "ready packets cannot be made softer"
    await line.close()
    sound = line.sound()
    assert np.abs(np.diff(sound)).max() < 0.12  # no click: a 300 Hz tone at 0.5 moves by 0.06 a sample


@in_virtual_time
async def test_on_a_lossy_line_a_recording_is_protected_like_all_else() -> None:
    recording, line = Recording(SPEECH[: 50 * SPOKEN_BLOCK]), Line()
    await say(line, recording)
    line.out.sending.reported(Report(0.1, None, None))
    made = counting(line)
    await say(line, recording)
    await line.close()
    assert len(made) == 50 + TAIL
