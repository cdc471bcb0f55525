"""Chatterbox's files, text and clips: read as the package does, and refused with a sentence where they are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")

from tests.models.chatterbox import checkpoints  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox import checkpoint, clips, spectra, voices  # noqa: E402
from voxrtc.models.chatterbox.tokenizer import Multilingual, pieces, tidied  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "jfk.wav"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save(tmp_path_factory.mktemp("chatterbox"))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Multilingual:
    files = checkpoint.find(folder)
    return Multilingual(files.vocabulary, files.cangjie)


# -- files ------------------------------------------------------------------------------------------------------


def test_a_folder_is_a_checkpoint(folder: Path) -> None:
    files = checkpoint.find(folder)
    assert not files.turbo
    assert files.t3.name == "t3_mtl23ls_v2.safetensors"
    assert "text_emb.weight" in checkpoint.weights(files.t3)
    assert "lstm.weight_ih_l0" in checkpoint.weights(files.voice_encoder)


def test_the_newer_t3_of_a_folder_is_preferred(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "t3_mtl23ls_v3.safetensors").symlink_to(folder / "t3_mtl23ls_v2.safetensors")
    assert checkpoint.find(tmp_path).t3.name == "t3_mtl23ls_v3.safetensors"


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"lacks t3_mtl23ls_v2\.safetensors, s3gen\.pt, ve\.pt"):
        checkpoint.find(tmp_path)


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors", "missing.pt"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str) -> None:
    if "broken" in name:
        (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(ModelsError, match="cannot be read as weights"):
        checkpoint.weights(tmp_path / name)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": Path("/")}, tmp_path / "evil.pt")
    with pytest.raises(ModelsError, match="cannot be read as weights"):
        checkpoint.weights(tmp_path / "evil.pt")


# -- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("hello", "Hello."),
        ("Hello…", "Hello,"),
        ("well: yes; no", "Well, yes,  no."),
        ("“So”", '"So".'),
        ("a  b\n c", "A b c."),
        ("你好。", "你好。"),
        ("one — two", "One - two."),
    ],
)
def test_signs_are_those_that_t3_knows(text: str, clean: str) -> None:
    assert tidied(text) == clean


def names(tokenizer: Multilingual, text: str, language: str) -> list[str]:
    return [tokenizer._engine.id_to_token(number) for number in tokenizer.encode(text, language)]


def test_text_is_lower_case_behind_its_language_between_start_and_stop(tokenizer: Multilingual) -> None:
    assert names(tokenizer, "Hi you", "en") == ["[START]", "[en]", "h", "i", "[SPACE]", "y", "o", "u", ".", "[STOP]"]
    ids = tokenizer.encode("Hi", "en")
    assert (ids[0], ids[-1]) == (255, 0)


def test_accents_and_jamo_stand_by_themselves(tokenizer: Multilingual) -> None:
    assert names(tokenizer, "é", "fr")[2:4] == ["e", "\u0301"]
    assert names(tokenizer, "한", "ko")[2:5] == ["\u1112", "\u1161", "\u11ab"]


def test_chinese_is_spelt_in_cangjie(tokenizer: Multilingual) -> None:
    spelt = names(tokenizer, "你好", "zh")
    assert spelt[1:6] == ["[zh]", "[cj_o]", "[cj_n]", "[cj_f]", "[cj_.]"]
    assert names(tokenizer, "尔", "zh")[2:7] == ["[cj_o]", "[cj_n]", "[cj_f]", "[cj_1]", "[cj_.]"], (
        "the second of a code"
    )


def test_without_its_codes_chinese_is_not_spoken(folder: Path) -> None:
    assert "zh" not in Multilingual(checkpoint.find(folder).vocabulary, None).languages


def test_long_text_is_cut_at_a_blank(tokenizer: Multilingual) -> None:
    text = "some words " * 12
    found = pieces(tokenizer, text, "en", most=60)
    assert [piece.start for piece in found[1:]] == [piece.end for piece in found[:-1]]
    assert (found[0].start, found[-1].end) == (0, len(text))
    assert all(len(piece.ids) <= 60 for piece in found)
    assert all(text[piece.start].isspace() for piece in found[1:])


def test_what_is_no_vocabulary_is_told(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(ModelsError, match="cannot be read as a tokenizer"):
        Multilingual(tmp_path / "v.json")


# -- clips and voices ---------------------------------------------------------------------------------------------


def speech(seconds: float = 4.0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal(int(seconds * 16_000))).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "rate", "wrong"),
    [
        (speech(2.0), 16_000, "too short: 2.0 s"),
        (speech(level=1e-4), 16_000, "too quiet"),
        (np.clip(speech(level=2.0), -1, 1), 16_000, "clipped"),
        (np.full(64_000, np.nan, np.float32), 16_000, "no numbers"),
        (speech(), 100, "100 samples a second"),
    ],
)
def test_a_clip_that_is_of_no_use_is_refused(samples: np.ndarray, rate: int, wrong: str) -> None:
    with pytest.raises(ModelsError, match=wrong):
        clips.check(samples, rate, "the clip")


def test_ten_seconds_of_a_clip_are_used(tmp_path: Path) -> None:
    assert clips.read(CLIP).size == 240_000
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(ModelsError, match="cannot be read as sound"):
        clips.read(tmp_path / "text.wav")


def test_a_voice_of_a_clip_has_all_that_the_models_want(folder: Path) -> None:
    files = checkpoint.find(folder)
    maker = voices.Maker(checkpoint.weights(files.voice_encoder), checkpoint.weights(files.s3gen), CPU, turbo=False)
    made = maker.make("kennedy", clips.read(CLIP))
    assert made.speaker.shape == (1, 256)
    assert made.xvector.shape == (1, 192)
    assert made.prompt.shape == (1, 150)
    assert made.tokens.shape == (1, 250)
    assert made.mel.shape == (1, 500, 80)
    assert made.tokens.dtype == torch.int64
    assert 0 <= int(made.tokens.min()) <= int(made.tokens.max()) < 6_561
    again = maker.make("kennedy", clips.read(CLIP))
    assert torch.equal(made.mel, again.mel)
    assert torch.equal(made.xvector, again.xvector)


def test_the_checkpoints_voice(folder: Path, tmp_path: Path) -> None:
    made = voices.built_in(folder / "conds.pt", CPU)
    assert (made.tokens.shape, made.mel.shape) == ((1, 40), (1, 80, 80))
    torch.save({"t3": {}}, tmp_path / "conds.pt")
    with pytest.raises(ModelsError, match="holds no voice"):
        voices.built_in(tmp_path / "conds.pt", CPU)


def test_a_checkpoint_without_its_reference_weights_is_told(folder: Path) -> None:
    files = checkpoint.find(folder)
    with pytest.raises(ModelsError, match="S3Gen lacks the weight"):
        voices.Maker(checkpoint.weights(files.voice_encoder), {}, CPU, turbo=False).make("x", clips.read(CLIP))


def test_spectra_are_those_the_models_were_trained_with() -> None:
    """Figures of librosa 0.11, torchaudio's kaldi functions and chatterbox-tts 0.1.7, of the same clip."""
    samples = torch.from_numpy(clips.read(CLIP))
    import soxr

    at_16k = torch.from_numpy(soxr.resample(samples.numpy(), 24_000, 16_000).astype(np.float32))
    for spectrum, shape, mean, spread in (
        (spectra.sound_mel(samples), (500, 80), FIGURES["sound"][0], FIGURES["sound"][1]),
        (spectra.code_mel(at_16k), (128, 1_000), FIGURES["code"][0], FIGURES["code"][1]),
        (spectra.speaker_mel(at_16k), (1_001, 40), FIGURES["speaker"][0], FIGURES["speaker"][1]),
        (spectra.filter_bank(at_16k), (998, 80), FIGURES["bank"][0], FIGURES["bank"][1]),
    ):
        assert spectrum.shape == shape
        assert float(spectrum.mean()) == pytest.approx(mean, rel=1e-4, abs=1e-5)
        assert float(spectrum.std()) == pytest.approx(spread, rel=1e-4)


FIGURES = {
    "sound": (-4.023293, 2.3944716),
    "code": (0.1056727, 0.4460721),
    "speaker": (0.2019348, 1.4368509),
    "bank": (0.0, 2.7900777),
}
"""Mean and standard deviation of each spectrum."""
