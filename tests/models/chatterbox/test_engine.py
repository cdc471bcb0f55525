"""Chatterbox as an engine, on the CPU, over a thin random checkpoint of the hub's form: text in, sound out."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")

from tests.models.chatterbox import checkpoints  # noqa: E402
from voxrtc.audio import SPOKEN_RATE  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox.engine import Chatterbox  # noqa: E402
from voxrtc.models.speaking import Speaking  # noqa: E402
from voxrtc.models.tts.trim import PAUSES_MS  # noqa: E402
from voxrtc.models.urgency import Urgency  # noqa: E402
from voxrtc.models.wire import Speak, unpack  # noqa: E402
from voxrtc.settings import EMOTIONS, Settings  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "jfk.wav"


def silent(what: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save(tmp_path_factory.mktemp("chatterbox"))


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    (folder / "kennedy.wav").write_bytes(CLIP.read_bytes())
    (folder / "notes.txt").write_text("no clip")
    return folder


def settings_of(checkpoint: Path, voices: Path, **tts: object) -> Settings:
    own = {"engine": "chatterbox", "chatterbox": str(checkpoint), "voices_dir": str(voices), "watermark": False, **tts}
    return Settings.model_validate(
        {"server": {"max_calls": 2}, "models": {"device": "cpu", "compile": "off"}, "tts": own}
    )


@pytest.fixture(scope="module")
def engine(checkpoint: Path, voices: Path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = Chatterbox(settings_of(checkpoint, voices, allow_cloning=True))
    made.load(silent)
    yield made
    asyncio.run(made.close())
    torch.set_num_threads(threads)


async def said(engine: Chatterbox, ask: Speak) -> tuple[np.ndarray, list[tuple[int, int]]]:
    parts = [speech async for speech in engine.speak(ask, Urgency())]
    samples = [unpack(speech.samples) for speech in parts]
    return np.concatenate(samples) if samples else np.zeros(0), [(speech.start, speech.end) for speech in parts]


def test_its_voices_are_the_checkpoints_and_the_clips(engine: Chatterbox) -> None:
    assert list(engine.voices) == ["chatterbox", "kennedy"]
    assert set(engine.voices["kennedy"]) == {"en", "es", "fr", "de", "ko", "ja", "zh", "hi", "ms"}


async def test_text_becomes_sound_with_spans_of_it(engine: Chatterbox) -> None:
    text = "Good morning, how are you today?"
    samples, spans = await said(engine, Speak(text, voice="chatterbox"))
    assert samples.size > 2_400
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans)), "without a gap"


class Recorder:
    """The sound model, and the tokens it was given by voice. Where chunks are cut depends on time; tokens do not."""

    def __init__(self, model) -> None:
        self.model = model
        self.batch = model.batch
        self.names: dict[int, str] = {}
        self.tokens: dict[str, list[int]] = {}

    def open(self, voice, seed):
        stream = self.model.open(voice, seed)
        self.names[id(stream)] = voice.name
        return stream

    def sound(self, chunks):
        for chunk in chunks:
            self.tokens.setdefault(self.names[id(chunk.stream)], []).extend(chunk.tokens)
        return self.model.sound(chunks)


async def test_two_callers_with_two_voices_at_once_say_what_each_does_alone(
    engine: Chatterbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [Speak("Hello there.", voice="chatterbox"), Speak("Good evening.", voice="kennedy", language="es")]

    async def tokens(*rounds: list[Speak]) -> tuple[dict[str, list[int]], list[int]]:
        recorder = Recorder(engine._made.sound)
        monkeypatch.setattr(engine._loop, "_sound", recorder)
        sizes = [
            samples.size for part in rounds for samples, _ in await asyncio.gather(*(said(engine, a) for a in part))
        ]
        return recorder.tokens, sizes

    alone, sizes = await tokens([asks[0]], [asks[1]])
    together, sizes_together = await tokens(asks)
    assert together == alone
    assert alone["chatterbox"] != alone["kennedy"]
    assert all(sizes)
    assert all(sizes_together)


async def test_nothing_to_say_is_no_speech(engine: Chatterbox) -> None:
    assert (await said(engine, Speak("... 😀")))[0].size == 0


class Beginner:
    """The token model, and what it was asked to say."""

    def __init__(self, model) -> None:
        self.model = model
        self.asked: list = []

    def __getattr__(self, name: str):
        return getattr(self.model, name)

    def begin(self, row, utterance) -> None:
        self.asked.append(utterance)
        self.model.begin(row, utterance)


@pytest.mark.parametrize("intensity", [1.0, 2.0])
@pytest.mark.parametrize("emotion", EMOTIONS)
async def test_a_mood_reaches_the_token_model(
    engine: Chatterbox, monkeypatch: pytest.MonkeyPatch, emotion: str, intensity: float
) -> None:
    """As its exaggeration and cfg_weight, by the table of the configuration and the mood's intensity."""
    model = Beginner(engine._made.tokens)
    monkeypatch.setattr(engine._loop, "_tokens", model)
    await said(engine, Speak("Oh no.", emotion=emotion, intensity=intensity))
    (utterance,) = model.asked
    wanted, plain = getattr(Settings().emotion, emotion), Settings().emotion.neutral
    for key in ("exaggeration", "cfg_weight"):
        there = getattr(plain, key)
        expected = there + intensity * (getattr(wanted, key) - there)
        assert getattr(utterance.manner, key) == pytest.approx(expected), key
    if emotion != "neutral":
        assert utterance.manner.exaggeration != plain.exaggeration
        assert utterance.manner.cfg_weight != plain.cfg_weight


@pytest.mark.parametrize("text", ["Hi.", "a", "5", "Ok"])
async def test_short_texts_are_said(engine: Chatterbox, text: str) -> None:
    samples, spans = await said(engine, Speak(text))
    assert samples.size
    assert spans[-1][1] == len(text)


async def test_a_long_text_is_said_in_pieces(engine: Chatterbox) -> None:
    text = " ".join(["word"] * 60)
    _, spans = await said(engine, Speak(text))
    assert spans[-1][1] == len(text)
    assert all(start <= end for start, end in spans)


async def test_a_caller_that_goes_leaves_nothing_behind(engine: Chatterbox) -> None:
    stream = engine.speak(Speak("This is a long sentence that nobody will hear to its end."), Urgency())
    await anext(stream)
    await stream.aclose()
    await said(engine, Speak("Hi."))
    assert engine.statistics().speaking == 0


async def test_a_clip_becomes_a_voice(engine: Chatterbox) -> None:
    samples, rate = soundfile.read(CLIP, dtype="float32")
    await engine.clone("john", samples, rate)
    assert list(engine.clones) == ["john"]
    assert "john" not in engine.voices, "it is the caller's own"
    cloned, _ = await said(engine, Speak("Hi there.", voice="john"))
    assert cloned.size
    with pytest.raises(ModelsError, match="cannot be named"):
        await engine.clone("kennedy", samples, rate)
    with pytest.raises(ModelsError, match="too short"):
        await engine.clone("jim", samples[:rate], rate)


async def test_clips_of_callers_are_refused_where_they_are_not_allowed(checkpoint: Path, tmp_path: Path) -> None:
    engine = Chatterbox(settings_of(checkpoint, tmp_path))
    await asyncio.to_thread(engine.load, silent)
    try:
        with pytest.raises(ModelsError, match="allow_cloning"):
            await engine.clone("john", np.zeros(96_000, np.float32), 24_000)
    finally:
        await engine.close()


async def test_the_room_speaks_with_it_and_reads_no_language_as_another(
    engine: Chatterbox, checkpoint: Path, voices: Path
) -> None:
    room = Speaking(settings_of(checkpoint, voices, voice="kennedy"), [engine])
    room.voices = {"kennedy": engine, "chatterbox": engine}
    assert [item async for item in room.speak(Speak("Hola", language="es"))]
    with pytest.raises(ModelsError, match=r"no voice here speaks Tamil|needs the voice espeak"):
        await anext(room.speak(Speak("Vanakkam", language="ta")))
    with pytest.raises(ModelsError, match="no voice 'elvis'"):
        await anext(room.speak(Speak("Hello", voice="elvis")))


def test_a_configured_voice_that_is_not_there_is_told(checkpoint: Path, tmp_path: Path) -> None:
    room = Speaking(settings_of(checkpoint, tmp_path, voice="nobody"))
    with pytest.raises(ModelsError, match=r"tts\.voice is 'nobody'"):
        room.load(silent)
    asyncio.run(room.close())


def test_without_a_gpu_it_is_refused_with_a_sentence(checkpoint: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    settings = settings_of(checkpoint, tmp_path)
    settings = settings.model_copy(update={"models": settings.models.model_copy(update={"device": "cuda"})})
    with pytest.raises(ModelsError, match="needs a GPU"):
        Chatterbox(settings).load(silent)


# -- Turbo --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory, voices: Path):
    folder = checkpoints.save_turbo(tmp_path_factory.mktemp("turbo"))
    made = Chatterbox(settings_of(folder, voices))
    made.load(silent)
    yield made
    asyncio.run(made.close())


def test_turbo_is_loaded_of_its_checkpoint(turbo: Chatterbox) -> None:
    assert turbo.title.startswith("Chatterbox Turbo (")
    assert dict(turbo.voices) == {"chatterbox": ("en",), "kennedy": ("en",)}


@pytest.mark.parametrize("voice", ["chatterbox", "kennedy"])
async def test_turbo_speaks(turbo: Chatterbox, voice: str) -> None:
    text = "Good morning, how are you today?"
    samples, spans = await said(turbo, Speak(text, voice=voice))
    assert samples.size > 2_400
    assert np.isfinite(samples).all()
    assert (spans[0][0], spans[-1][1]) == (0, len(text))


async def test_of_a_mood_turbo_has_the_pause(turbo: Chatterbox) -> None:
    calm, _ = await said(turbo, Speak("Oh no."))
    sad, _ = await said(turbo, Speak("Oh no.", emotion="sad"))
    more = SPOKEN_RATE * Settings().emotion.sad.pause_ms // 1000
    assert not sad[-more:].any()
    assert abs(sad.size - calm.size - more) <= SPOKEN_RATE // 100


async def test_where_moods_are_heeded_there_is_no_other_pause(engine: Chatterbox) -> None:
    sad, _ = await said(engine, Speak("Oh no.", emotion="sad"))
    assert sad[-(PAUSES_MS["."] + 10) * SPOKEN_RATE // 1000 :].any(), "it is the full stop's"
