"""Whole repositories of a model hub, by the hub's own client, in the folder where that keeps them (HF_HOME).

For models that the catalogue cannot pin: what the hub gives is taken, as its client checks it. HF_TOKEN and
HF_ENDPOINT are the client's own.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from voxrtc.errors import StoreError
from voxrtc.models.catalogue import Repository, voxtral

Progress = Callable[[str, float], None]

TICK_S = 0.5
"""How often the progress of a fetch is looked at."""


def checkpoint(name: str, progress: Progress) -> Path:
    """The folder of the Voxtral ``name``: itself, if that is a folder, else as the hub has it. Raises StoreError."""
    folder = local(name)
    if folder is not None:
        return folder
    repository = voxtral(name).repository
    assert repository is not None
    return fetch(repository, progress)


def local(name: str) -> Path | None:
    """``name`` as a folder; None where it is a name on the hub, which never begins with /, ~ or a dot.

    Raises StoreError where it is a path, and there is no such folder: nobody meant a name then."""
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # a user whom there is none of
        folder = Path(name)
    if folder.is_dir():
        return folder
    if name.startswith(("/", "~", ".")):
        raise StoreError(f"{name!r} is a path, and there is no such folder; name one, or a repository of the hub")
    return None


def find(repository: Repository) -> Path | None:
    """Where it is on this machine, if all of it is."""
    from huggingface_hub import snapshot_download

    try:
        patterns = list(repository.patterns)
        folder = Path(snapshot_download(repository.name, allow_patterns=patterns, local_files_only=True))
    except (OSError, ValueError):  # it is not there, or not all of it; or this is no name
        return None
    return None if lacking(repository, folder) else folder


def size(folder: Path) -> int:
    """Bytes of what is in there."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fetch(repository: Repository, progress: Progress) -> Path:
    """Its folder on this machine; fetches what is missing. Blocks. Raises StoreError with a sentence on what to do."""
    found = find(repository)
    if found is not None:
        return found
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # its own, beside ours
    try:
        files = HfApi().model_info(repository.name, files_metadata=True).siblings or []
        wanted = [one for one in files if any(fnmatch(one.rfilename, pattern) for pattern in repository.patterns)]
        total = sum(one.size or 0 for one in wanted)
        _check_room(repository, total)
        with _watched(repository, total, progress):
            folder = Path(snapshot_download(repository.name, allow_patterns=list(repository.patterns)))
    except StoreError:
        raise
    except GatedRepoError as error:
        raise StoreError(f"{repository.name}: the hub wants you to accept its terms, and HF_TOKEN to be set") from error
    except RepositoryNotFoundError as error:
        raise StoreError(f"the hub has no {repository.name}, or not without HF_TOKEN") from error
    except Exception as error:  # its client raises what its transport does, and that has changed before
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreError(
            f"{repository.name} is not on this machine and cannot be fetched: {reason}. Connect this machine and run "
            f"`voxrtc models pull`, or copy the folder from a machine that has it and name it in the configuration."
        ) from error
    if lacking(repository, folder):
        raise StoreError(f"{repository.name} on the hub lacks one of {', '.join(repository.needs)}, or of its weights")
    return folder


def lacking(repository: Repository, folder: Path) -> list[str]:
    """The files that are not there, of those that are needed and those that an index of weights names."""
    names = list(repository.needs)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names += set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    elif "model*.safetensors" in repository.patterns:
        names.append("model.safetensors")
    return sorted(name for name in set(names) if not (folder / name).is_file())


def room() -> tuple[Path, int]:
    """Where the hub's client keeps repositories, or the nearest folder above that is there; bytes that are free."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE).absolute()
    place = next(path for path in (cache, *cache.parents) if path.is_dir())
    return place, shutil.disk_usage(place).free


def _check_room(repository: Repository, total: int) -> None:
    """Raise StoreError where the disk will not hold what is missing of ``total`` bytes."""
    missing = total - _come(_blobs(repository))
    place, free = room()
    if missing > free:
        raise StoreError(
            f"{repository.name} takes {missing / 1e9:.1f} GB more; {free / 1e9:.1f} GB of disk are free at {place}: "
            "free some, or set HF_HOME to another place"
        )


def _blobs(repository: Repository) -> Path:
    """The client's own folder of what has come of it."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{repository.name.replace('/', '--')}" / "blobs"


@contextmanager
def _watched(repository: Repository, total: int, progress: Progress) -> Iterator[None]:
    """Tell how much of ``total`` bytes has come, by the client's own folder."""
    blobs = _blobs(repository)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(TICK_S):
            progress(f"fetching {repository.name}", min(1.0, _come(blobs) / total) if total else 0.0)

    progress(f"fetching {repository.name}", 0.0)
    watcher = threading.Thread(target=watch, name="watching a fetch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _come(blobs: Path) -> int:
    try:
        return size(blobs)
    except FileNotFoundError:  # the client renames files as they are whole
        return 0
