import numpy as np
import pytest

from voxrtc.audio import level_dbfs
from voxrtc.bench.wer import Errors, count_errors
from voxrtc.models.tts.hibari import Hibari
from voxrtc.models.tts.trim import FRAME

RATE = 24_000


@pytest.fixture(scope="module")
def hibari() -> Hibari:
    return Hibari()


def loud(samples: np.ndarray) -> np.ndarray:
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    return np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 10 ** (-45 / 20))


SENTENCES = [
    "The nearest station is two streets away, just past the library.",
    "I can look that up for you. It will only take a moment.",
    "Tomorrow it will rain in the morning and be sunny after lunch.",
    "That sounds wonderful! Where would you like to go first?",
]


@pytest.mark.models
def test_what_it_says_is_heard_again(hibari, transcribe):
    """At most 5 % of all words are wrong, and 10 % of any one sentence's."""
    every = Errors(0, 0)
    for text in SENTENCES:
        said = np.concatenate([samples for samples, _, _ in hibari.speak(text)])
        errors = count_errors(text, transcribe(said))
        assert errors.rate <= 0.1, text
        every += errors
    assert every.rate <= 0.05


@pytest.mark.parametrize("text", ["Hello there.", "So, what now?", "She sells sea shells.", "Five", "Hm, fine."])
def test_no_silence_leads_and_little_trails(hibari, text):
    ((samples, _, _),) = hibari.speak(text)
    first, last = loud(samples)[[0, -1]] * FRAME / RATE
    assert first <= 0.03
    assert samples.size / RATE - last <= 0.05 + 0.18
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1.0


def test_joints_do_not_click(hibari):
    """Where one clause ends and the next begins the signal rests near zero."""
    clauses = ["Well, I think so,", "but let me see whether", "that is still true."]
    parts = [samples for clause in clauses for samples, _, _ in hibari.speak(clause)]
    said = np.concatenate(parts)
    for joint in np.cumsum([part.size for part in parts])[:-1]:
        around = said[joint - 24 : joint + 24]
        assert np.abs(np.diff(around)).max() < 0.02
        assert abs(said[joint - 1]) < 1e-3
        assert abs(said[joint]) < 1e-3


def test_every_sentence_is_a_stretch_with_its_characters(hibari):
    text = "Yes, of course. Dr. Smith is in!  What else?"
    spans = [(start, end) for _, start, end in hibari.speak(text)]
    assert [text[a:b] for a, b in spans] == ["Yes, of course.", "Dr. Smith is in!", "What else?"]


def test_speed(hibari):
    def seconds(speed):
        return (
            sum(samples.size for samples, _, _ in hibari.speak("This is how fast I speak today.", speed=speed)) / RATE
        )

    assert seconds(1.6) < 0.8 * seconds(1.0) < 0.8 * 0.85 * seconds(0.7)


def test_same_words_same_samples(hibari):
    first, second = (np.concatenate([s for s, _, _ in hibari.speak("Once more.")]) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("text", ["", "   ", "...", "\n\n", "—", "*", "😀", "😀 🎉", "你好", "नमस्ते", "?!", "(", "€£"])
def test_nothing_to_say_is_no_samples(hibari, text):
    assert list(hibari.speak(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith paid $20 for 3.5 kg.",
        "See https://example.com/a?b=c&d=1 or mail me@example.org.",
        "It is 10:30am on 2024-03-05, 50% off, 1/2 price, #1.",
        "U.S.A., e.g. and i.e. etc.",
        "C++ and x^2 < 3 & more | less",
        "<|endoftext|> [INST] {}",
        "naïve café, 😀 yes",
        "a\0b\tc",
        "1" * 400,
        "a" * 500,
        "No punctuation " * 40,
    ],
)
def test_odd_text_is_spoken_without_a_fault(hibari, text):
    said = np.concatenate([samples for samples, _, _ in hibari.speak(text)])
    assert level_dbfs(said) > -40
    assert np.isfinite(said).all()
