"""config.toml and the environment as typed settings. An error names where, the key, what was found and what may be."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from voxrtc.errors import ConfigError
from voxrtc.settings import Delivery, IceServer, Settings

PREFIX = "VOXRTC_"
ALIASES = {
    "LOG_LEVEL": ("server", "log_level"),
    "MODEL_CACHE_DIR": ("models", "cache_dir"),
    "MODEL_LOAD_TIMEOUT": ("models", "load_timeout_s"),
}
"""Variables of the original system, and the keys they set."""
PASSED_ON = ("HF_TOKEN", "CUDA_VISIBLE_DEVICES")


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``path`` (default: config.toml in the working folder, if there), overridden by the environment.

    A file ``.env`` beside the configuration file counts as environment; what is really set wins over it.
    HF_TOKEN and CUDA_VISIBLE_DEVICES found only in ``.env`` are put into this process's environment for the host.
    Raises ConfigError with every fault found, one a line.
    """
    file = path or Path("config.toml")
    if path is not None and not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    table = _read(file) if file.is_file() else {}
    dotenv = _dotenv(file.parent / ".env")
    real = os.environ if environ is None else environ
    for name in PASSED_ON:
        if environ is None and name in dotenv:
            os.environ.setdefault(name, dotenv[name])
    origins = _overlay(table, {**dotenv, **real})
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(e, str(file), origins) for e in error.errors())) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None


def _dotenv(file: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in dotenv_values(file).items() if v is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None


def _overlay(table: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Write what the environment sets into ``table``; return the variable behind each key it set."""
    origins: dict[tuple[str, ...], str] = {}
    ours = set(table)
    named = {name: where for name, where in ALIASES.items() if environ.get(name)}
    for name in environ:
        if name.startswith(PREFIX):
            section, _, key = name.removeprefix(PREFIX).lower().partition("__")
            named[name] = (section, key)
    for name, (section, key) in named.items():
        if not key:
            raise ConfigError(f"{name}: names no key; write {PREFIX}SECTION__KEY, e.g. {PREFIX}SERVER__PORT")
        inside = table.setdefault(section, {})
        if isinstance(inside, dict):
            inside[key] = _value(environ[name], section, key)
            origins[(section, key)] = name
            if section not in ours:
                origins.setdefault((section,), name)  # a section that only the environment speaks of
    return origins


def _value(text: str, section: str, key: str) -> Any:
    """``text`` as TOML; as it stands where the key holds a string or the text is no TOML."""
    model = Settings.model_fields.get(section)
    field = model.annotation.model_fields.get(key) if model and model.annotation else None
    if key == "log_level":
        return text.upper()
    if field is not None and isinstance(field.default, str) and not text.startswith(('"', "'")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(error: ErrorDetails, file: str, origins: Mapping[tuple[str, ...], str]) -> str:
    loc = tuple(str(part) for part in error["loc"])
    where = origins.get(loc[:2], file)
    key = ".".join(loc)
    if not loc:
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"  # sections that contradict each other
    if error["type"] == "extra_forbidden":
        allowed = _allowed(loc)
        return f"{where}: unknown {'section' if len(loc) == 1 else 'key'} '{key}'; allowed: {', '.join(allowed)}"
    if error["type"].endswith("_type") and error["type"] != "missing":
        found = f"{error['input']!r} ({type(error['input']).__name__})"
    else:
        found = repr(error["input"]) if not isinstance(error["input"], dict) else "these values"
    return f"{where}: {key}: found {found}; {error['msg'].removeprefix('Value error, ')}"


def _allowed(loc: tuple[str, ...]) -> list[str]:
    """The keys that may stand where ``loc``, which may not, was found."""
    if len(loc) == 1:
        return list(Settings.model_fields)
    if len(loc) == 2:
        section = Settings.model_fields[loc[0]].annotation
        assert section is not None
        return list(section.model_fields)
    return list((Delivery if loc[0] == "emotion" else IceServer).model_fields)
