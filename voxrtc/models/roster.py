"""Who would hear and speak each language as things are configured and installed: for doctor. Loads nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from voxrtc.languages import ALL, NAMES, spoken_by, voxtral_hears
from voxrtc.models.asr import choice as hearers
from voxrtc.models.chatterbox.checkpoint import is_turbo
from voxrtc.models.tts import choice, espeak, others
from voxrtc.settings import Settings


def hears(code: str, settings: Settings) -> str:
    """Who; empty where nobody does well."""
    models, language = settings.models, ALL[code]
    if models.profile == "voxtral" and voxtral_hears(code):
        return models.voxtral
    if models.profile == "remote" and settings.remote.transcribes != "whisper":
        return settings.remote.hearing_model or settings.remote.model
    whisper = hearers.whisper(models)
    return whisper if language.base or whisper != hearers.BASE else ""


def engines(settings: Settings) -> list[str]:
    """Those that would be loaded, or be ready to be."""
    chosen = choice.engine(settings)
    plain = ["espeak"] if espeak.installed() and chosen != "espeak" else []
    return [chosen, *plain, *others.configured(settings.tts)]


Able = Mapping[str, Collection[str]]
"""Engines that can speak here, and the languages of each."""


def able(settings: Settings) -> Able:
    """All that are configured, as far as settings tell."""
    return {engine: languages(engine, settings) for engine in engines(settings)}


def speaks(code: str, settings: Settings, there: Able | None = None) -> str:
    """Who of those that are ``there``; empty where nobody does, and the call goes on in English."""
    there = able(settings) if there is None else there
    speakers = [engine for engine, codes in there.items() if code in codes]
    return next(iter(others.order(code, choice.engine(settings), speakers, settings.tts.languages)), "")


def languages(engine: str, settings: Settings) -> Collection[str]:
    """Those that ``engine`` speaks with the checkpoint that is configured."""
    if engine == "chatterbox" and is_turbo(settings.tts.chatterbox):
        return ("en",)
    return NAMES if engine == "espeak" else spoken_by(engine)


def lines(settings: Settings, there: Able | None = None) -> Iterator[tuple[str, str, str]]:
    """Languages (codes), who hears and who speaks them: of the configured one, or where that is the caller's, of the
    seventeen, together where both are the same."""
    language = settings.dialogue.language
    codes = list(NAMES) if language == "auto" else [language]

    def both(code: str) -> tuple[str, str]:
        return hears(code, settings), speaks(code, settings, there)

    for (ears, voice), group in groupby(sorted(codes, key=both), both):
        yield " ".join(sorted(group, key=codes.index)), ears, voice
