"""The table of languages."""

from pathlib import Path

import pytest

from voxrtc.languages import ALL, ENDS, LANGUAGES, MORE, NAMES, STOPS, primary, spoken_by, unspaced, voxtral_hears
from voxrtc.models import roster
from voxrtc.models.tts import espeak
from voxrtc.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


def table() -> str:
    """The table as docs/languages.md has it."""
    rows = ["| code | language | script | heard by | spoken by, the first that is there |", "|---|---|---|---|---|"]
    for code, language in ALL.items():
        whisper = "whisper" if language.base else "whisper-large-v3-turbo"
        ears = f"Voxtral, {whisper}" if language.voxtral else whisper
        rows.append(f"| {code} | {language.name} | {language.script.name} | {ears} | {', '.join(language.voices)} |")
    return "\n".join(rows) + "\n"


def test_who_hears_each_of_the_seventeen() -> None:
    assert " ".join(NAMES) == "en hi es fr de it pt ja ko zh ms ta te mr kn ml bn"
    assert {code for code in NAMES if voxtral_hears(code)} == {"en", "hi", "es", "fr", "de", "it", "pt"}
    assert {code for code, language in LANGUAGES.items() if not language.base} == {"ta", "te", "mr", "kn", "ml", "bn"}


def test_voxtral_also_hears_what_is_not_of_the_seventeen() -> None:
    assert voxtral_hears("nl")
    assert voxtral_hears("ar")
    assert not voxtral_hears("ru")
    assert not voxtral_hears("")


@pytest.mark.parametrize(
    ("tag", "code"),
    [("pt-BR", "pt"), ("EN", "en"), (" en-US ", "en"), ("zh_CN", "zh"), ("zh-Hant-TW", "zh"), ("de_DE.UTF-8", "de"),
     ("Auto", "auto"), ("tlh", "tlh"), ("", "")],
)  # fmt: skip
def test_a_tag_is_of_the_language_that_it_begins_with(tag: str, code: str) -> None:
    assert primary(tag) == code


def test_settings_take_tags_as_well() -> None:
    settings = Settings.model_validate({"dialogue": {"language": "pt-BR"}, "tts": {"languages": {"MS": "dia"}}})
    assert settings.dialogue.language == "pt"
    assert settings.tts.languages == {"ms": "dia"}


def test_the_table_is_complete() -> None:
    chatterbox = "ar da de el en es fi fr he hi it ja ko ms nl no pl pt ru sv sw tr zh"
    assert " ".join(sorted(spoken_by("chatterbox"))) == chatterbox
    assert spoken_by("indic") == ("hi", "ta", "te", "mr", "kn", "ml", "bn")
    assert set(LANGUAGES) <= set(spoken_by("espeak"))
    assert not set(LANGUAGES) & set(MORE)
    for code, language in ALL.items():
        assert len(code) == 2
        assert len(language.iso3) == 3
        assert language.voices
    assert set("。！？।॥؟") <= set(ENDS)
    assert set("、，；：،؛") <= set(STOPS)
    assert unspaced("水")
    assert unspaced("の")
    assert not unspaced("한")
    assert not unspaced("k")


def test_the_documentation_has_the_table() -> None:
    assert table() in (DOCS / "languages.md").read_text(encoding="utf-8")


def settings(**sections: object) -> Settings:
    return Settings.model_validate(sections)


def test_who_hears_and_speaks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "installed", lambda: False)
    assert list(roster.lines(settings())) == [("en", "whisper-base", "hibari")]
    assert list(roster.lines(settings(dialogue={"language": "ta"}))) == [("ta", "", "")]
    gpu = settings(models={"profile": "voxtral"}, dialogue={"language": "ms"}, tts={"languages": {"ms": "dia"}})
    assert list(roster.lines(gpu)) == [("ms", "whisper-large-v3-turbo", "dia")]
    lines = list(roster.lines(settings(models={"profile": "voxtral"}, dialogue={"language": "auto"})))
    assert ("en hi es fr de it pt", "mistralai/Voxtral-Mini-3B-2507", "chatterbox") in lines
    assert ("ta te mr kn ml bn", "whisper-large-v3-turbo", "") in lines
    monkeypatch.setattr(espeak, "installed", lambda: True)
    assert list(roster.lines(settings(dialogue={"language": "de"}))) == [("de", "whisper-base", "espeak")]


def test_turbo_speaks_english_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its name on the hub, and by its files in a folder of any name."""
    (tmp_path / "t3_turbo_v1.safetensors").write_bytes(b"")
    for name in ("ResembleAI/chatterbox-turbo", str(tmp_path)):
        tts = {"engine": "chatterbox", "chatterbox": name, "mms": "facebook/mms-tts-{}"}
        turbo = settings(models={"profile": "voxtral"}, dialogue={"language": "auto"}, tts=tts)
        monkeypatch.setattr(espeak, "installed", lambda: True)
        assert [roster.speaks(code, turbo) for code in ("en", "de", "ja", "ta")] == [
            "chatterbox",
            "mms",
            "espeak",
            "mms",
        ]
        monkeypatch.setattr(espeak, "installed", lambda: False)
        assert roster.speaks("ja", turbo) == ""
