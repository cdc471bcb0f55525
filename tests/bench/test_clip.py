"""The clips a caller plays: where speech ends in the recorded ones, and what they are sent as."""

from pathlib import Path

import numpy as np
import opuslib_next
import pytest

from voxrtc.audio import HEARD_RATE, Samples, level_dbfs
from voxrtc.bench.clip import Clip, load_clip, load_clips, speech_bounds
from voxrtc.client.packets import encode, room
from voxrtc.errors import AudioError
from voxrtc.sources import read

DATA = Path(__file__).parents[1] / "data"


def noise(seconds: float, dbfs: float, seed: int = 3) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * HEARD_RATE))
    return (10 ** (dbfs / 20) * samples).astype(np.float32)


def decoded(packets: list[bytes]) -> Samples:
    decoder = opuslib_next.Decoder(HEARD_RATE, 1)
    pcm = b"".join(decoder.decode(packet, 1_920) for packet in packets)
    return np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768


def test_recorded_clips_with_their_words():
    clips = load_clips(DATA)
    assert [c.name for c in clips] == sorted(p.stem for p in DATA.glob("*.wav"))
    for clip in clips:
        assert clip.words == (DATA / f"{clip.name}.txt").read_text().strip()
        assert 0.2 < clip.speech_start < 0.4
        assert clip.seconds - 0.6 < clip.speech_end <= clip.seconds


@pytest.mark.parametrize(
    ("name", "end"),
    [("austen-0870", 6.62), ("austen-0880", 2.79), ("austen-0890", 4.99), ("austen-0920", 5.77), ("austen-0930", 2.87)],
)
def test_end_of_speech_of_the_recorded_clips(name: str, end: float):
    assert load_clip(DATA / f"{name}.wav").speech_end == pytest.approx(end, abs=0.011)


def test_end_of_speech_is_that_of_the_sound_and_not_of_the_file():
    voice = noise(1.0, -20.0)
    samples = np.concatenate([noise(0.5, -60.0), voice, noise(0.7, -60.0)])
    start, end = speech_bounds(samples) or (0.0, 0.0)
    assert start == pytest.approx(0.5, abs=0.03)
    assert end == pytest.approx(1.5, abs=0.03)


def test_quiet_tail_is_left_out_by_either_threshold():
    loud, tail = noise(1.0, -15.0), noise(0.5, -40.0)
    over_floor_only = np.concatenate([noise(0.5, -70.0), loud, tail])
    assert (speech_bounds(over_floor_only) or (0, 0))[1] == pytest.approx(1.5, abs=0.03)  # loud parts - 22 dB
    noisy = np.concatenate([noise(1.0, -34.0), loud, noise(0.5, -28.0), noise(0.5, -34.0)])
    assert (speech_bounds(noisy) or (0, 0))[1] == pytest.approx(2.0, abs=0.03)  # noise floor + 10 dB


def test_nothing_to_be_heard_and_no_pause_at_all():
    assert speech_bounds(np.zeros(16_000, np.float32)) is None
    assert speech_bounds(np.zeros(10, np.float32)) is None
    assert speech_bounds(noise(1.0, -20.0)) == (0.0, 1.0)
    silent = Clip.of("silent", np.zeros(16_000, np.float32))
    assert (silent.speech_start, silent.speech_end) == (0.0, 1.0)


def test_packets_hold_the_clip_at_its_level_and_the_joints_are_quiet():
    samples = read(DATA / "austen-0930.wav")
    quiet = room()
    assert len(quiet) == 50
    lead = 25
    sent = [*quiet[:lead], *encode(samples), *quiet]
    heard = decoded(sent)
    at = lead * 320 + 104  # the codec's own delay: 6.5 ms
    assert level_dbfs(heard[at : at + samples.size]) == pytest.approx(level_dbfs(samples), abs=1.0)
    assert float(np.corrcoef(heard[at : at + samples.size], samples)[0, 1]) > 0.7
    after = heard[at + samples.size + 1_600 :]
    assert max(level_dbfs(after[i : i + 160]) for i in range(0, after.size - 159, 160)) < -60
    before = heard[1_600 : lead * 320]
    assert max(level_dbfs(before[i : i + 160]) for i in range(0, before.size - 159, 160)) < -60


def test_folder_without_clips(tmp_path: Path):
    with pytest.raises(AudioError, match="there is no such folder"):
        load_clips(tmp_path / "nowhere")
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(AudioError, match="holds no audio"):
        load_clips(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"no wave")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        load_clips(tmp_path)
