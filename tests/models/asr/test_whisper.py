from pathlib import Path

import jiwer
import numpy as np
import pytest

from voxrtc.errors import ModelsError
from voxrtc.models.asr.whisper import _pieces, repeats, without_loop

DATA = Path(__file__).parents[2] / "data"
CLIPS = sorted(path.stem for path in DATA.glob("*.wav"))
RATE = 16_000


def words(text: str) -> str:
    text = text.lower().replace("mr.", "mister").replace("-", " ")
    return " ".join("".join(c for c in text if c.isalpha() or c.isspace()).split())


def said(name: str) -> str:
    return words((DATA / f"{name}.txt").read_text())


@pytest.mark.models
class TestSpeech:
    def test_word_error_rate_of_all_clips(self, whisper, clip):
        heard = [whisper.hear(clip(name), "en") for name in CLIPS]
        assert jiwer.wer([said(name) for name in CLIPS], [words(h.text) for h in heard]) <= 0.03
        assert all(h.confidence > 0.6 and h.language == "en" and h.took_ms > 0 for h in heard)

    def test_word_error_rate_of_quiet_noisy_and_narrow_speech(self, whisper, clip):
        rng = np.random.default_rng(1)
        references, heard = [], []
        for name in CLIPS:
            samples = clip(name)
            noise = rng.standard_normal(samples.size) * np.sqrt(np.mean(samples**2) / 10**1.5)
            spectrum = np.fft.rfft(samples)
            hz = np.fft.rfftfreq(samples.size, 1 / RATE)
            phone = np.fft.irfft(np.where((hz < 300) | (hz > 3400), 0, spectrum), samples.size)
            for variant in (samples * 0.05, samples + noise, phone):
                references.append(said(name))
                heard.append(words(whisper.hear(variant.astype(np.float32), "en").text))
        assert jiwer.wer(references, heard) <= 0.08

    def test_cut_off_speech_does_not_repeat_itself(self, whisper, clip):
        for name in CLIPS:
            samples = clip(name)
            for part in (0.4, 0.55, 0.7, 0.85):
                text = words(whisper.hear(samples[: int(part * samples.size)], "en").text).split()
                assert len(text) <= len(said(name).split()) * part + 4, (name, part, text)

    def test_language_is_detected(self, whisper, clip):
        heard = whisper.hear(clip("jfk"), None)
        assert heard.language == "en"
        assert "country" in heard.text

    def test_text_is_as_whisper_writes_it(self, whisper, clip):
        text = whisper.hear(clip("austen-0930"), "en").text
        assert text == text.strip()
        assert text[0].isupper()
        assert text.endswith(".")

    def test_long_speech_is_heard_in_windows(self, whisper, clip):
        order = ["jfk", "austen-0870", "austen-0920", "austen-0890", "jfk", "austen-0930"]
        gap = np.zeros(RATE // 2, np.float32)
        samples = np.concatenate([part for name in order for part in (clip(name), gap)])
        assert samples.size > 40 * RATE
        heard = whisper.hear(samples, "en")
        assert jiwer.wer(" ".join(map(said, order)), words(heard.text)) <= 0.08

    def test_cancelled_before_it_began_gives_nothing(self, whisper, clip):
        heard = whisper.hear(clip("jfk"), "en", lambda: True)
        assert heard.text == ""

    def test_cancelled_after_the_encoding_does_not_decode(self, whisper, clip):
        looks = iter([False, True, True, True])
        assert whisper.hear(clip("jfk"), "en", lambda: next(looks)).text == ""


@pytest.mark.models
class TestWhereWordsBegin:
    """Whisper's alignment against the energy of the sound."""

    @pytest.mark.parametrize("name", CLIPS)
    def test_one_place_for_each_word_in_order_and_within_the_sound(self, whisper, clip, name):
        text = (DATA / f"{name}.txt").read_text()
        starts = whisper.word_starts(clip(name), text)
        assert len(starts) == len(text.split())
        assert starts == sorted(starts)
        assert 0.0 <= starts[0] < starts[-1] < clip(name).size / RATE

    def test_a_word_after_a_silence_begins_in_it_at_the_earliest(self, whisper, clip):
        """Two sentences with a second of silence between them: never in the sound of the word before."""
        first, second = clip("austen-0870"), clip("austen-0920")
        samples = np.concatenate([first, np.zeros(RATE, np.float32), second])
        ended, begins = (
            int(np.flatnonzero(np.abs(sound) > 0.05 * np.abs(sound).max())[at])
            for sound, at in ((first, -1), (second, 0))
        )
        texts = [(DATA / f"{name}.txt").read_text() for name in ("austen-0870", "austen-0920")]
        starts = whisper.word_starts(samples, " ".join(texts))
        assert ended / RATE - 0.1 <= starts[len(texts[0].split())] <= (first.size + RATE + begins) / RATE + 0.1

    def test_sound_that_is_put_before_moves_all_of_them(self, whisper, clip):
        text = (DATA / "jfk.txt").read_text()
        plain = whisper.word_starts(clip("jfk"), text)
        later = whisper.word_starts(np.concatenate([np.zeros(2 * RATE, np.float32), clip("jfk")]), text)
        moved = [b - a for a, b in zip(plain, later, strict=True)]
        assert np.median(moved) == pytest.approx(2.0, abs=0.05)
        assert sum(abs(m - 2.0) <= 0.1 for m in moved) >= 0.85 * len(moved)

    def test_no_words_have_no_places(self, whisper, clip):
        assert whisper.word_starts(clip("jfk"), "") == []

    def test_more_than_the_model_holds_is_refused(self, whisper):
        with pytest.raises(ModelsError, match=r"30 s of sound at most, not in 31\.0 s"):
            whisper.word_starts(np.zeros(31 * RATE, np.float32), "one two")


def noises():
    rng = np.random.default_rng(7)
    n = 2 * RATE
    t = np.arange(n) / RATE
    white = rng.standard_normal(n)
    click = np.zeros(n)
    click[9_000:9_080] = rng.standard_normal(80) * 0.5
    knock = np.exp(-np.arange(1600) / 200) * np.sin(2 * np.pi * 120 * np.arange(1600) / RATE) * 0.5
    knocks = np.zeros(n)
    for at in (4_000, 8_000, 12_000):
        knocks[at : at + 1600] += knock
    brown = np.cumsum(white)
    return {
        "silence": np.zeros(n),
        "nothing": np.zeros(0),
        "a few samples": np.full(100, 0.1),
        "hiss": white * 0.003,
        "loud hiss": white * 0.2,
        "one second of hiss": white[:RATE] * 0.02,
        "rumble": (brown - brown.mean()) / np.abs(brown).max() * 0.3,
        "click": click,
        "knocks": knocks,
        "burst": white * np.exp(-t / 0.1) * 0.4,
        "mains hum": 0.1 * np.sin(2 * np.pi * 50 * t),
        "tone": 0.2 * np.sin(2 * np.pi * 440 * t),
        "whistle": 0.2 * np.sin(2 * np.pi * 1800 * t) + 0.002 * white,
    }


@pytest.mark.models
@pytest.mark.parametrize("language", ["en", None])
@pytest.mark.parametrize("name", noises())
def test_noise_gives_empty_text(whisper, name, language):
    heard = whisper.hear(noises()[name].astype(np.float32), language)
    assert heard.text == ""
    assert heard.confidence == 0.0


class TestRepeats:
    def test_plain_text_does_not(self):
        assert not repeats([1, 2, 3, 4, 5, 6, 7, 8])
        assert without_loop([1, 2, 3]) == [1, 2, 3]

    def test_twice_said_sentence(self):
        assert repeats([1, 2, 3, 4, 5, 9, 1, 2, 3, 4, 5, 9])
        assert repeats([1, 2, 3, 4, 5, 9, 1, 2, 3, 4])

    def test_phrases_that_come_again_inside_speech_are_fine(self):
        assert not repeats([1, 2, 3, 7, 8, 1, 2, 3, 9, 4])

    def test_loop_is_cut_to_one(self):
        assert without_loop([5, 6, *[1, 2, 3] * 5, 1]) == [5, 6, 1, 2, 3]
        assert without_loop([9] * 30) == [9]

    def test_no_no_no_is_speech(self):
        assert without_loop([1, 1, 1, 2]) == [1, 1, 1, 2]
        assert without_loop([4, 1, 1, 1]) == [4, 1, 1, 1]


class TestPieces:
    def test_short_sound_is_one(self):
        samples = np.ones(20 * RATE, np.float32)
        assert [p.size for p in _pieces(samples)] == [samples.size]

    def test_long_sound_is_cut_in_the_quiet_and_nothing_is_lost(self):
        samples = np.random.default_rng(0).standard_normal(70 * RATE).astype(np.float32)
        for quiet in (24.0, 49.0):
            samples[int(quiet * RATE) : int((quiet + 0.3) * RATE)] = 0
        pieces = list(_pieces(samples))
        assert np.array_equal(np.concatenate(pieces), samples)
        assert 24.0 < pieces[0].size / RATE < 24.3
        assert 49.0 < (pieces[0].size + pieces[1].size) / RATE < 49.3
        assert all(p.size <= 28 * RATE for p in pieces)
