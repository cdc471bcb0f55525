"""The table of languages."""

from voxrtc.languages import LANGUAGES, NAMES, voxtral_hears


def test_who_hears_each_of_the_seventeen() -> None:
    assert " ".join(NAMES) == "en hi es fr de it pt ja ko zh ms ta te mr kn ml bn"
    assert {code for code in NAMES if voxtral_hears(code)} == {"en", "hi", "es", "fr", "de", "it", "pt"}
    assert {code for code, language in LANGUAGES.items() if not language.base} == {"ta", "te", "mr", "kn", "ml", "bn"}


def test_voxtral_also_hears_what_is_not_of_the_seventeen() -> None:
    assert voxtral_hears("nl")
    assert voxtral_hears("ar")
    assert not voxtral_hears("ru")
    assert not voxtral_hears("")
