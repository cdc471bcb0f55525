"""For `voxrtc doctor`: whether the voices beside the main one can speak here. Loads none of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxrtc.errors import ModelsError, StoreError
from voxrtc.languages import ALL
from voxrtc.models import hub
from voxrtc.models.tts import others
from voxrtc.settings import Settings

PACKAGES = {"indic": ("TTS",), "mms": ("torch", "transformers"), "dia": ("torch", "transformers"), "kokoro": ()}
"""Modules that each runs on, beside those of every profile; Kokoro asks for espeak-ng itself."""
NAMES = {"TTS": "coqui-tts"}
"""Of packages whose modules are called otherwise."""
EXTRAS = {"indic": "gpu,indic", "mms": "gpu", "dia": "gpu", "kokoro": "espeak"}


@dataclass(frozen=True, slots=True)
class Found:
    """One engine. ``languages``: what it would speak; ``wrong``: why it speaks nothing, empty where it does."""

    name: str
    languages: Sequence[str] = ()
    wrong: str = ""


def inspect(settings: Settings) -> Iterator[Found]:
    """Each of others.TITLES that the settings name."""
    for name in others.configured(settings.tts):
        try:
            yield Found(name, _languages(name, settings))
        except (ModelsError, StoreError) as error:
            yield Found(name, wrong=str(error))


def _languages(name: str, settings: Settings) -> Sequence[str]:
    """What it would speak. Raises ModelsError, StoreError where that is nothing."""
    missing = [NAMES.get(package, package) for package in PACKAGES[name] if importlib.util.find_spec(package) is None]
    if missing:
        install = f".venv/bin/pip install -c constraints.txt -e '.[{EXTRAS[name]}]'"
        raise ModelsError(f"the voice {name} needs {', '.join(missing)}, which is not installed; run: {install}")
    languages = others.make(name, settings).languages
    if name == "dia":
        hub.local(settings.tts.dia)
    return _with_folders(settings.tts.mms, languages) if name == "mms" else languages


def _with_folders(name: str, languages: Sequence[str]) -> Sequence[str]:
    """Those of ``languages`` whose checkpoint may be there: where ``name`` is a path, its folder is. Raises
    StoreError where none is."""
    there: list[str] = []
    lacks: StoreError | None = None
    for code in languages:
        try:
            hub.local(name.replace("{}", ALL[code].iso3))
        except StoreError as error:
            lacks = lacks or error
        else:
            there.append(code)
    if not there and lacks is not None:
        raise lacks
    return there
