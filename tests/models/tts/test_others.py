"""The voices beside the main ones, on tiny checkpoints, and who speaks which language."""

from __future__ import annotations

import importlib.util
import json
import shutil
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.models.tts import checkpoints
from voxrtc.errors import ModelsError, Unloadable
from voxrtc.languages import ALL, LANGUAGES
from voxrtc.models.speaking import RETRY_S, Speaking
from voxrtc.models.tts import dia, espeak, indic, others
from voxrtc.models.tts.dia import SHORT, Dia, stretches
from voxrtc.models.tts.indic import Indic
from voxrtc.models.tts.kokoro import Kokoro
from voxrtc.models.tts.shelf import Shelf
from voxrtc.models.tts.vits import KEPT, Vits
from voxrtc.models.wire import Speak, unpack
from voxrtc.models.worker import Worker
from voxrtc.settings import Settings

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the extra gpu is not installed"
)
needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="the extra espeak is not installed")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


# -- the shelf ------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first() -> None:
    made: list[str] = []
    shelf = Shelf(2, lambda key: made.append(key) or key.upper())
    assert [shelf.get(key) for key in ("a", "b", "a", "c", "a", "b")] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]
    assert shelf.keys == ["a", "b"]


def test_room_is_made_before_the_next_is_loaded() -> None:
    there: list[list[str]] = []
    shelf: Shelf[str] = Shelf(1, lambda key: there.append(list(shelf.keys)) or key)
    for key in "abc":
        shelf.get(key)
    assert there == [[], [], []]


def test_what_failed_to_load_is_tried_again() -> None:
    tries: list[str] = []

    def make(key: str) -> str:
        tries.append(key)
        if len(tries) == 1:
            raise ModelsError("not now")
        return key

    shelf = Shelf(1, make)
    with pytest.raises(ModelsError):
        shelf.get("a")
    assert shelf.get("a") == "a"


# -- MMS-TTS --------------------------------------------------------------------------------------------------------


@needs_torch
class TestVits:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("mms")
        checkpoints.vits(folder / "eng")
        checkpoints.vits(folder / "zlm")
        checkpoints.vits(folder / "ben", "কখগঘ")
        return folder

    def test_a_clause_is_said(self, folder: Path) -> None:
        voice = Vits(str(folder / "{}"))
        ((samples, start, end),) = voice.speak("hello there.", "en")
        assert (start, end) == (0, 12)
        assert samples.dtype == np.float32
        assert samples.size > 2_400
        assert np.isfinite(samples).all()
        ((again, _, _),) = voice.speak("hello there.", "en")
        assert np.array_equal(samples, again)
        ((fast, _, _),) = voice.speak("hello there.", "en", 2.0)
        assert fast.size < samples.size

    def test_languages_are_loaded_when_they_are_wanted(self, folder: Path) -> None:
        voice = Vits(str(folder / "{}"))
        assert voice._shelf.keys == []
        for code in ("en", "ms", "bn"):
            list(voice.speak("ab কখ", code))
        assert voice._shelf.keys == ["ms", "bn"]
        assert len(voice._shelf.keys) == KEPT

    def test_letters_that_it_does_not_know_are_no_sound(self, folder: Path) -> None:
        assert list(Vits(str(folder / "{}")).speak("কখ", "en")) == []

    def test_what_is_missing_is_a_sentence(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelsError, match="no language 'ja'"):
            list(Vits(str(folder / "{}")).speak("a", "ja"))
        (tmp_path / "eng").mkdir()
        with pytest.raises(ModelsError, match="no checkpoint of MMS-TTS"):
            list(Vits(str(tmp_path / "{}")).speak("a", "en"))


# -- Dia ------------------------------------------------------------------------------------------------------------


@needs_torch
def test_dia_says_sentences_together(tmp_path: Path) -> None:
    checkpoints.dia(tmp_path / "dia")
    voice = Dia(str(tmp_path / "dia"))
    _, processor = voice._shelf.get("")
    assert processor.feature_extractor.sampling_rate == 44_100
    samples = voice._say("Selamat pagi.")
    assert samples.dtype == np.float32
    assert samples.size > 0
    assert np.isfinite(samples).all()
    assert np.array_equal(samples, voice._say("Selamat pagi."))
    spans = [(start, end) for _, start, end in voice.speak("Selamat pagi. Apa khabar?", "ms")]
    assert spans in ([], [(0, 25)])  # random weights may be too quiet to be heard
    with pytest.raises(ModelsError, match="no language 'de'"):
        list(voice.speak("a", "de"))


@needs_torch
def test_dia_speaks_in_half_the_memory_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert dia._dtype("cuda") == torch.bfloat16
    assert dia._dtype("cpu") == torch.float32
    monkeypatch.setattr(dia, "_dtype", lambda device: torch.bfloat16)
    checkpoints.dia(tmp_path / "dia")
    voice = Dia(str(tmp_path / "dia"))
    model, processor = voice._shelf.get("")
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert processor.audio_tokenizer.dtype == torch.float32
    samples = voice._say("Selamat pagi.")
    assert samples.size > 0
    assert np.isfinite(samples).all()


@needs_torch
@pytest.mark.parametrize("name", ["dia", "mms"])
def test_memory_that_is_too_small_is_no_broken_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is told as such, and nothing of what was half loaded is left."""
    import torch

    checkpoints.dia(tmp_path / "dia")
    checkpoints.vits(tmp_path / "eng")
    voice = Dia(str(tmp_path / "dia")) if name == "dia" else Vits(str(tmp_path / "{}"))
    held: list[weakref.ref[torch.nn.Module]] = []

    def to(module: torch.nn.Module, *args: object) -> torch.nn.Module:
        held.append(weakref.ref(module))
        if len(held) == (2 if name == "dia" else 1):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.20 GiB")
        return module

    monkeypatch.setattr(torch.nn.Module, "to", to)
    with pytest.raises(Unloadable, match=r"the GPU ran out of memory: lower models\.gpu_memory_gb"):
        list(voice.speak("hello there.", "en"))
    assert [module() for module in held] == [None] * len(held)
    assert voice._shelf.keys == []


@needs_torch
def test_a_clause_for_which_there_is_no_memory_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    checkpoints.vits(tmp_path / "eng")
    voice = Vits(str(tmp_path / "{}"))
    list(voice.speak("hello.", "en"))

    def out_of_memory(*args: object, **more: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(voice._shelf.get("en").model, "forward", out_of_memory)
    with pytest.raises(ModelsError, match="the GPU ran out of memory") as told:
        list(voice.speak("hello.", "en"))
    assert not isinstance(told.value, Unloadable)  # the next clause may have room


@needs_torch
def test_what_is_named_for_a_language_is_loaded_at_the_start_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.dia(tmp_path / "dia")
    tts = {"dia": str(tmp_path / "dia"), "languages": {"ms": "dia", "en": "dia"}}
    worker = Worker("voices", 4)
    try:
        for profile, there in (("embedded", []), ("voxtral", [""])):
            settings = Settings.model_validate({"models": {"profile": profile}, "tts": tts})
            monkeypatch.setattr(others, "make", lambda name, settings: Dia(settings.tts.dia))
            engine = others.engine("dia", settings, worker)
            engine.load(lambda what, fraction: None)
            assert engine._voice._shelf.keys == there
    finally:
        worker.close()


def test_dia_gets_enough_to_say_at_once() -> None:
    text = "Ya. Baik. " + "Saya akan datang esok pagi bersama kawan saya. " * 3 + "Jumpa lagi"
    spans = list(stretches(text))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(end - start >= SHORT for start, end in spans[:-1])
    assert len(spans) > 1
    assert list(stretches("")) == []


# -- Kokoro ---------------------------------------------------------------------------------------------------------


@needs_espeak
class TestKokoro:
    @pytest.mark.parametrize("tokens", ["input_ids", "tokens"])
    def test_its_files_are_run(self, tmp_path: Path, tokens: str) -> None:
        checkpoints.kokoro(tmp_path / "kokoro", tokens=tokens)
        voice = Kokoro(str(tmp_path / "kokoro"))
        assert voice.languages == ["en", "es"]
        ids = voice.ids("Hello, how are you?", "en")
        assert len(ids) > 8
        ((samples, start, end),) = voice.speak("Hello, how are you?", "en")
        assert (start, end) == (0, 19)
        assert 0.5 < samples.size / (600 * len(ids)) < 1.6
        with pytest.raises(ModelsError, match="no language 'de'"):
            list(voice.speak("Hallo", "de"))

    def test_diphthongs_are_the_signs_that_it_learnt(self, tmp_path: Path) -> None:
        checkpoints.kokoro(tmp_path / "kokoro")
        voice = Kokoro(str(tmp_path / "kokoro"))
        signs = {number: sign for sign, number in voice._vocabulary.items()}
        assert "A" in "".join(signs[number] for number in voice.ids("day", "en"))
        assert "ʧ" in "".join(signs[number] for number in voice.ids("church", "en"))

    def test_what_is_missing_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ModelsError, match=r"no model\.onnx"):
            Kokoro(str(tmp_path))


# -- Indic-TTS ------------------------------------------------------------------------------------------------------


def _indic(folder: Path, language: str) -> None:
    for part in ("fastpitch", "hifigan"):
        (folder / language / part).mkdir(parents=True)
        (folder / language / part / "best_model.pth").write_bytes(b"")
        (folder / language / part / "config.json").write_text("{}")


def test_indic_speaks_what_its_folder_has(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="has no language's models"):
        Indic(str(tmp_path))
    _indic(tmp_path, "ta")
    _indic(tmp_path, "bn")
    voice = Indic(str(tmp_path))
    assert voice.languages == ["ta", "bn"]
    with pytest.raises(ModelsError, match="no models for Kannada"):
        list(voice.speak("ಕ", "kn"))
    assert list(voice.speak("...", "ta")) == []


@pytest.mark.skipif(indic.installed(), reason="the extra indic is installed")
def test_indic_without_its_package_is_a_sentence(tmp_path: Path) -> None:
    _indic(tmp_path, "ta")
    with pytest.raises(ModelsError, match=r"pip install .*\[indic\]"):
        list(Indic(str(tmp_path)).speak("வணக்கம்", "ta"))


@pytest.mark.skipif(not indic.installed(), reason="the extra indic is not installed")
def test_indic_speaks_one_language_at_a_time(tmp_path: Path) -> None:
    indic.importable()
    checkpoints.indic(tmp_path, "ta", "வணக்கம்")
    checkpoints.indic(tmp_path, "bn", "নমস্কার")
    voice = Indic(str(tmp_path))
    for language, text in (("ta", "வணக்கம்."), ("bn", "নমস্কার."), ("ta", "வணக்கம்.")):
        spans = [(start, end) for _, start, end in voice.speak(text, language)]
        assert spans in ([], [(0, len(text))])  # random weights may be too quiet to be heard
        assert voice._shelf.keys == [language]


def test_the_speakers_of_a_published_checkpoint_are_found(tmp_path: Path) -> None:
    _indic(tmp_path, "ta")
    folder = tmp_path / "ta" / "fastpitch"
    config = {
        "speakers_file": "/trained/here/speakers.pth",
        "model_args": {"speakers_file": "/trained/here/speakers.pth"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "speakers.pth").write_bytes(b"")
    copy = json.loads(indic._with_paths(folder, tmp_path).read_text())
    assert copy["speakers_file"] == copy["model_args"]["speakers_file"] == str(folder / "speakers.pth")


# -- who speaks -----------------------------------------------------------------------------------------------------


def test_who_speaks_follows_the_table_unless_the_settings_say_otherwise() -> None:
    voices = ["anna", "espeak", "mms", "dia", "indic"]
    assert others.order("ms", "anna", voices, {})[:3] == ["anna", "dia", "mms"]
    assert others.order("ms", "anna", voices, {"ms": "dia"})[:2] == ["dia", "anna"]
    assert others.order("ta", "espeak", voices, {})[:3] == ["espeak", "indic", "mms"]
    assert others.order("ta", "anna", voices, {})[1:4] == ["indic", "mms", "espeak"]
    assert others.order("ta", "espeak", voices, {"ta": "mms"})[0] == "mms"


@pytest.mark.parametrize(
    ("tts", "wrong"),
    [
        ({"languages": {"xx": "dia"}}, "no language 'xx'"),
        ({"languages": {"de": "dia"}}, "dia does not speak 'de'"),
        ({"languages": {"ta": "mms"}}, "where its files are"),
        ({"mms": "facebook/mms-tts-eng"}, "needs {}"),
        ({"engine": "hibari", "voice": "anna"}, "none of engine 'hibari'"),
        ({"engine": "espeak", "voice": "hibari"}, "none of engine 'espeak'"),
        ({"voice": "kokoro"}, "only speaks beside another"),
    ],
)
def test_settings_that_cannot_be_are_refused(tts: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Settings.model_validate({"tts": tts})


def test_every_engine_of_the_table_is_known() -> None:
    known = {*others.TITLES, "chatterbox", "hibari", "espeak"}
    assert {engine for language in ALL.values() for engine in language.voices} == known
    assert all(language.voices[-1] == "espeak" for language in LANGUAGES.values())


@needs_torch
@needs_espeak
async def test_the_room_asks_who_is_configured(tmp_path: Path) -> None:
    checkpoints.vits(tmp_path / "zlm")
    settings = Settings.model_validate({"tts": {"mms": str(tmp_path / "{}"), "languages": {"ms": "mms"}}})
    room = Speaking(settings)
    try:
        room.load(lambda what, fraction: None)
        assert "ms" in room.languages["mms"]
        written = "selamat 21 pagi"
        (speech,) = [item async for item in room.speak(Speak(written, "", "ms"))]
        assert unpack(speech.samples).size > 2_400
        assert (speech.start, speech.end) == (0, len(written))  # of what was written, though more was read
        assert [item async for item in room.speak(Speak("Hello there.", "", "en"))]  # hibari, as ever
    finally:
        await room.close()


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@needs_torch
@needs_espeak
async def test_who_cannot_be_loaded_leaves_its_languages_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Dia is named for Malay, and broken; MMS-TTS is next in the table, and then espeak-ng, which takes Tamil."""
    checkpoints.vits(tmp_path / "zlm")
    checkpoints.dia(tmp_path / "dia")
    (tmp_path / "dia" / "model.safetensors").write_bytes(b"no weights")
    tts = {"mms": str(tmp_path / "{}"), "dia": str(tmp_path / "dia"), "languages": {"ms": "dia", "ta": "mms"}}
    now = [0.0]
    room = Speaking(Settings.model_validate({"tts": tts}), clock=lambda: now[0])

    async def said(language: str) -> int:
        clauses = [item async for item in room.speak(Speak("selamat pagi", "", language))]
        return sum(unpack(item.samples).size for item in clauses)

    try:
        room.load(lambda what, fraction: None)
        assert await said("ms") > 2_400
        (told,) = _warnings(caplog)
        assert told.startswith("the voice dia speaks no 'ms' for now, and is asked again in 5 min: ")
        assert "is no checkpoint of Dia" in told
        assert room.voices["mms"]._voice._shelf.keys == ["ms"]
        shutil.rmtree(tmp_path / "dia")
        checkpoints.dia(tmp_path / "dia")  # whole now, but it is not asked again
        assert await said("ms") > 2_400
        assert room.voices["dia"]._voice._shelf.keys == []
        assert await said("ta") > 0
        assert len(_warnings(caplog)) == 2
        assert await said("ta") > 0
        assert len(_warnings(caplog)) == 2
        assert room.voices["mms"]._voice._shelf.keys == ["ms"]
        assert await said("en") > 0  # hibari, as ever
        now[0] += RETRY_S
        await said("ms")
        assert room.voices["dia"]._voice._shelf.keys == [""], "minutes later it is asked again"
        assert room._lost.keys() == {("mms", "ta")}
        assert len(_warnings(caplog)) == 2
    finally:
        await room.close()


class Broken:
    """An engine whose models cannot be loaded; counts who asks."""

    title = "broken"
    voices: ClassVar = {"dia": ("ms",), "hibari": ("en",)}

    def __init__(self) -> None:
        self.asked = 0

    def load(self, progress: object) -> None:
        pass

    async def speak(self, ask: Speak, urgency: object) -> AsyncIterator[object]:
        self.asked += 1
        raise Unloadable("no such folder")
        yield

    async def close(self) -> None:
        pass


async def test_what_stays_broken_is_asked_more_and_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    engine, now = Broken(), [0.0]
    room = Speaking(Settings(), [engine], clock=lambda: now[0])
    room.load(lambda what, fraction: None)
    tried: list[float] = []
    for minute in range(24 * 60):
        now[0] = 60.0 * minute
        before = engine.asked
        with pytest.raises(ModelsError, match="no such folder"):
            await anext(room.speak(Speak("selamat", "", "ms")))
        tried += [minute] * (engine.asked - before)
    assert tried[:6] == [0, 5, 15, 35, 75, 135]
    assert len(tried) < 30
    assert len(_warnings(caplog)) == 1
    await room.close()


@pytest.mark.parametrize(("language", "told"), [("ru", "no voice here speaks Russian"), ("xx", "the language 'xx'")])
async def test_a_language_that_nobody_speaks_is_told_as_such(language: str, told: str) -> None:
    room = Speaking(Settings.model_validate({"tts": {"engine": "hibari"}}))
    try:
        room.load(lambda what, fraction: None)
        with pytest.raises(ModelsError, match=f"{told}; they speak .*en") as error:
            await anext(room.speak(Speak("Hello.", "", language)))
        assert "not installed" not in str(error.value)
    finally:
        await room.close()


@needs_torch
async def test_where_nobody_else_can_it_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "installed", lambda: False)
    room = Speaking(Settings.model_validate({"tts": {"mms": str(tmp_path / "{}")}}))
    try:
        room.load(lambda what, fraction: None)
        for _ in range(2):
            with pytest.raises(ModelsError, match="no such folder"):
                _ = [item async for item in room.speak(Speak("hello", "mms", "ta"))]
    finally:
        await room.close()
