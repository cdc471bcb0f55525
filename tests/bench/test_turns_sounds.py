"""The sounds of the scenes are what they claim to be: levels, delays, words, and the same again for the same seed."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Mark, Samples, level_dbfs, to_pcm16
from voxrtc.bench.turns import noises
from voxrtc.bench.turns.ears import SceneEars
from voxrtc.bench.turns.recordings import Recording, onset_of, recordings
from voxrtc.bench.turns.scene import Echo, Part
from voxrtc.bench.turns.sounds import Said, Sounds
from voxrtc.bench.turns.stage import Mouth
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.errors import AudioError


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    return Sounds(recordings())


def tone(seconds: float, level: float = 0.2) -> Samples:
    t = np.arange(int(seconds * HEARD_RATE)) / HEARD_RATE
    return (level * np.sin(2 * np.pi * 300 * t)).astype(np.float32)


def hiss(seconds: float, level: float = 1e-4) -> Samples:
    return (level * np.random.default_rng(0).standard_normal(int(seconds * HEARD_RATE))).astype(np.float32)


def write(folder: Path, name: str, samples: Samples, words: str | None) -> None:
    with wave.open(str(folder / f"{name}.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(HEARD_RATE)
        out.writeframes(to_pcm16(samples))
    if words is not None:
        (folder / f"{name}.txt").write_text(words)


# -- recordings ------------------------------------------------------------------------------------------------


def test_the_onset_is_where_the_level_rises() -> None:
    sound = np.concatenate([hiss(0.4), tone(0.8) + hiss(0.8), hiss(0.4)])
    assert onset_of(sound) == pytest.approx(0.4 * HEARD_RATE, abs=HEARD_RATE // 100)
    one = Recording.of("x", "a b", sound)
    assert one.end == pytest.approx(1.2 * HEARD_RATE, abs=HEARD_RATE // 20)


def test_a_recorded_onset_is_not_after_its_speech() -> None:
    for one in recordings():
        before = one.samples[: one.onset]
        assert level_dbfs(before) < level_dbfs(one.speech) - 18


def test_a_folder_adds_and_replaces(tmp_path: Path) -> None:
    shipped = {one.name: one for one in recordings()}
    write(tmp_path, "mine", np.concatenate([hiss(0.2), tone(1.0), hiss(0.2)]), "my words\n here ")
    write(tmp_path, "jfk", np.concatenate([hiss(0.2), tone(0.7), hiss(0.2)]), "other words")
    found = {one.name: one for one in recordings(tmp_path)}
    assert set(found) == {*shipped, "mine"}
    assert found["mine"].words == "my words here"
    assert found["jfk"].words == "other words"


@pytest.mark.parametrize(
    ("samples", "words", "message"),
    [
        (tone(1.0), None, "one.txt: there is no such file; it has to hold the words"),
        (tone(1.0), " \n", "one.txt: holds no words"),
        (tone(0.3), "too short", "one.wav: shorter than 0.5 s"),
        (np.zeros(HEARD_RATE, np.float32), "silence", "one.wav: nothing in it is loud enough"),
    ],
)
def test_recordings_that_will_not_do(tmp_path: Path, samples: Samples, words: str | None, message: str) -> None:
    write(tmp_path, "one", samples, words)
    with pytest.raises(AudioError, match=message):
        recordings(tmp_path)


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="there is no such folder"):
        recordings(tmp_path / "nowhere")
    with pytest.raises(AudioError, match="holds no audio"):
        recordings(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    (tmp_path / "bad.txt").write_text("words")
    with pytest.raises(AudioError, match="not audio that can be read"):
        recordings(tmp_path)


# -- noises ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["white", "babble", *noises.BURSTS, "utterance:1", "phrase:0", "word:Mhm."])
def test_levels_are_those_asked_for(sounds: Sounds, name: str) -> None:
    loud, soft = (sounds.of(Part(name, 0.0, dbfs, 2.0, seed=3)) for dbfs in (-20.0, -40.0))
    assert noises.loud_level(soft.samples) == pytest.approx(-40, abs=1.0)
    ratio = float(np.abs(loud.samples).max() / np.abs(soft.samples).max())
    assert ratio == pytest.approx(10, rel=0.01)


def test_silence_has_no_level() -> None:
    assert noises.loud_level(np.zeros(1000, np.float32)) == -120
    assert not noises.at_level(np.zeros(1000, np.float32), -20).any()


@pytest.mark.parametrize("name", ["white", "babble", *noises.BURSTS])
def test_the_same_seed_gives_the_same_noise(sounds: Sounds, name: str) -> None:
    one, same, other = (sounds.of(Part(name, 0.0, -30.0, 1.0, seed=seed)).samples for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert one.size != other.size or not np.allclose(one, other)


def test_a_door_is_short_and_low() -> None:
    door = noises.door(np.random.default_rng(0))
    assert 0.1 < door.size / HEARD_RATE < 0.6
    power = np.abs(np.fft.rfft(door)) ** 2
    low = power[np.fft.rfftfreq(door.size, 1 / HEARD_RATE) < 500].sum()
    assert low / power.sum() > 0.7


def test_a_room_changes_no_level() -> None:
    walls = noises.room(np.random.default_rng(0))
    assert float(np.square(walls).sum()) == pytest.approx(1.0, abs=1e-3)
    assert walls[0] > 0.8
    early, late = np.square(walls[160:1600]).sum(), np.square(walls[-1600:]).sum()
    assert late < early / 20


def test_a_name_that_is_none(sounds: Sounds) -> None:
    with pytest.raises(KeyError):
        sounds.of(Part("trumpet", 0.0, -20.0))


# -- words -----------------------------------------------------------------------------------------------------


def test_words_lie_where_they_are_said() -> None:
    said = Said(1000, 2000, "one two three four")
    assert said.between(0, 3000) == "one two three four"
    assert said.between(0, 1500) == "one two"
    assert said.between(1500, 3000) == "three four"
    assert said.between(2000, 3000) == ""


def test_a_phrase_begins_at_its_onset_and_has_its_words(sounds: Sounds) -> None:
    assert len(sounds.phrases) >= len(sounds.utterances)
    for phrase in sounds.phrases:
        assert phrase.words
        assert 0 < phrase.onset < 0.15 * HEARD_RATE
        assert level_dbfs(phrase.samples[: phrase.onset]) < level_dbfs(phrase.samples[phrase.onset :]) - 12


def test_what_is_cut_off_is_not_said(sounds: Sounds) -> None:
    whole, cut = sounds.of(Part("utterance:0", 0.0, -26.0)), sounds.of(Part("utterance:0", 0.0, -26.0, 2.0))
    assert whole.words.startswith(cut.words)
    assert 2 < len(cut.words.split()) < len(whole.words.split()) / 2
    assert cut.samples.size == cut.onset + 2 * HEARD_RATE


# -- the microphone --------------------------------------------------------------------------------------------


async def listened(echo: Echo | None, played: Samples, seconds: float) -> Samples:
    """What the ears hear while the mouth plays ``played`` from 0.1 s on."""
    async with Mouth() as mouth:
        ears = SceneEars(mouth, echo, seed=1)
        ears.hang_up(round(seconds * HEARD_RATE))

        async def play() -> None:
            await asyncio.sleep(0.1)
            await mouth.play(played, Mark())

        playing = asyncio.create_task(play())
        blocks = [block async for block in ears]
        await playing
        began = mouth.packets[0].at
    heard = np.concatenate([block.samples for block in blocks])
    assert np.array_equal(heard, ears.sound)
    return heard[round(began * HEARD_RATE) :]


@pytest.mark.parametrize("db", [-10.0, -20.0, -30.0])
@pytest.mark.parametrize("delay_ms", [50.0, 300.0])
@pytest.mark.parametrize("room", [False, True])
def test_echo_comes_back_late_and_soft(db: float, delay_ms: float, room: bool) -> None:
    random = np.random.default_rng(5)
    played = noises.at_level(noises.shaped(random, 2 * SPOKEN_RATE, 100, 3000), -20.0)
    heard = in_virtual_time(listened)(Echo(db, delay_ms, room), played, 3.0)
    lags = np.correlate(heard[: 2 * HEARD_RATE], np.interp(_times(0.5), _times_of(played), played), "valid")
    assert np.argmax(np.abs(lags)) / HEARD_RATE * 1000 == pytest.approx(delay_ms, abs=3)
    first = round(delay_ms / 1000 * HEARD_RATE)
    middle = heard[first + HEARD_RATE // 2 : first + HEARD_RATE * 3 // 2]
    assert level_dbfs(middle) == pytest.approx(level_dbfs(played) + db, abs=1.5)
    assert level_dbfs(heard[: first - 50]) < -65


def test_without_echo_nothing_comes_back() -> None:
    heard = in_virtual_time(listened)(None, np.full(SPOKEN_RATE, 0.2, np.float32), 1.0)
    assert level_dbfs(heard) == pytest.approx(-70, abs=1)


def _times(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * HEARD_RATE)) / HEARD_RATE


def _times_of(played: Samples) -> np.ndarray:
    return np.arange(played.size) / SPOKEN_RATE


@in_virtual_time
async def test_nothing_can_be_put_in_the_past() -> None:
    async with Mouth() as mouth:
        ears = SceneEars(mouth, None, seed=0)
        ears.add(np.ones(10, np.float32), 320)
        async for block in ears:
            if block.position == 320:
                assert block.samples[:10].mean() == pytest.approx(1, abs=0.01)
                break
        with pytest.raises(ValueError, match="given already"):
            ears.add(np.ones(10, np.float32), 0)
