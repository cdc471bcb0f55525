"""When there was sound: the rule of what is audible, on packets with chosen times."""

from pathlib import Path

import av
import numpy as np
import opuslib_next
import pytest

from voxrtc.client.ear import Ear, write_wav

FRAME = 0.02


def coded(*parts: tuple[float, float], frame_ms: float = 20) -> list[bytes]:
    """Parts of (seconds, amplitude of a 500 Hz tone) as Opus packets."""
    encoder = opuslib_next.Encoder(48_000, 1, opuslib_next.APPLICATION_AUDIO)
    pieces = [a * np.sin(2 * np.pi * 500 * np.arange(round(48_000 * s)) / 48_000) for s, a in parts]
    pcm = (np.concatenate(pieces) * 32_767).astype("<i2").tobytes()
    size = round(48 * frame_ms)
    return [encoder.encode(pcm[i : i + 2 * size], size) for i in range(0, len(pcm) - 2 * size + 1, 2 * size)]


def play(ear: Ear, packets: list[bytes], begin: float = 100.0, first: int = 0, frame: float = FRAME) -> None:
    for n, payload in enumerate(packets):
        ear.hear(payload, (first + n) & 0xFFFF, ((first + n) * round(frame * 48_000)) & 0xFFFF_FFFF, begin + n * frame)


def onsets(ear: Ear) -> list[float]:
    return [round(s.onset, 3) for s in ear.sounds]


def test_onset_is_the_arrival_of_the_first_loud_window():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.0), (0.3, 0.2), (0.3, 0.0)))
    assert onsets(ear) == [100.2]
    assert ear.sounds[0].end == pytest.approx(100.5, abs=0.03)
    assert ear.onset_after(100.2) == pytest.approx(100.2)
    assert ear.onset_after(100.21) is None


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_every_size_of_opus_frame(frame_ms: float):
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.24, 0.0), (0.36, 0.2), (0.24, 0.0), frame_ms=frame_ms), frame=frame_ms / 1e3)
    assert len(ear.sounds) == 1
    assert ear.sounds[0].onset == pytest.approx(100.24, abs=0.011)


def test_a_click_is_not_audible():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.0), (0.03, 0.3), (0.4, 0.0)))
    assert onsets(ear) == []


def test_what_is_too_quiet_is_not_audible():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.0), (0.5, 0.005)))  # -49 dBFS
    assert onsets(ear) == []
    assert ear.last_audible_at is None


def test_pauses_inside_a_sound_and_between_two():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.2), (0.3, 0.0), (0.2, 0.2), (0.6, 0.0), (0.2, 0.2)))
    assert len(ear.sounds) == 2
    assert ear.sounds[1].onset == pytest.approx(101.3, abs=0.011)


def test_no_run_reaches_across_missing_packets():
    ear = Ear(lambda: 0.0)
    packets = coded((0.04, 0.2))
    for n in range(6):
        for k, payload in enumerate(packets):
            ear.hear(payload, n * 50 + k, (n * 50 + k) * 960, 100.0 + n + k * FRAME)
    assert onsets(ear) == []
    assert ear.lost == 5 * 48


def test_late_double_and_damaged_packets():
    ear = Ear(lambda: 0.0)
    packets = coded((0.2, 0.0), (0.2, 0.2))
    play(ear, packets)
    ear.hear(packets[0], 3, 3 * 960, 100.5)
    ear.hear(b"\xff\xff\xff\xff", 20, 20 * 960, 100.52)
    assert (ear.lost, ear.damaged, ear.packets) == (0, 1, len(packets) + 2)
    assert onsets(ear) == [100.2]


def test_sequence_numbers_wrap():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.0), (0.2, 0.2)), first=65_530)
    assert (ear.lost, onsets(ear)) == (0, [100.2])


def test_recording_keeps_pauses_and_leaves_out_the_quiet_around(tmp_path: Path):
    ear = Ear(lambda: 0.0, keep=True)
    packets = coded((1.0, 0.0), (0.5, 0.2), (0.2, 0.0))
    play(ear, packets)
    play(ear, packets, begin=103.0, first=len(packets))  # nothing was sent in between
    recording = ear.recording(since=100.0)
    assert recording.size / 24_000 == pytest.approx(4.5 - 1.0 + 0.3, abs=0.1)
    write_wav(tmp_path / "reply.wav", recording)
    with av.open(str(tmp_path / "reply.wav")) as file:
        assert file.streams.audio[0].rate == 24_000
        assert file.streams.audio[0].channels == 1
        assert sum(frame.samples for frame in file.decode(audio=0)) == recording.size


def test_nothing_kept_nothing_recorded():
    ear = Ear(lambda: 0.0)
    play(ear, coded((0.2, 0.2)))
    assert ear.recording(since=0.0).size == 0
    assert Ear(lambda: 0.0, keep=True).recording(since=0.0).size == 0
