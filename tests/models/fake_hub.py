"""For tests only: the part of the model hub's HTTP that its client needs to fetch a repository, in this process."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "a" * 40


class FakeHub(ThreadingHTTPServer):
    """Has the repositories ``files``: name to path to content. Those in ``gated`` want a token."""

    daemon_threads = True

    def __init__(self, files: dict[str, dict[str, bytes]], gated: tuple[str, ...] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.gated = gated
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        for name, files in self.server.files.items():
            if name in self.server.gated and "Authorization" not in self.headers:
                continue
            if path in (
                f"/api/models/{name}",
                f"/api/models/{name}/revision/{REVISION}",
                f"/api/models/{name}/revision/main",
            ):
                siblings = [{"rfilename": file, "size": len(content)} for file, content in files.items()]
                self._send(json.dumps({"id": name, "sha": REVISION, "siblings": siblings}).encode(), body)
                return
            if path.startswith(f"/api/models/{name}/tree/"):
                tree = [{"type": "file", "path": f, "size": len(c), "oid": _etag(c)} for f, c in files.items()]
                self._send(json.dumps(tree).encode(), body)
                return
            file = path.removeprefix(f"/{name}/resolve/").partition("/")[2]
            if path.startswith(f"/{name}/resolve/") and file in files:
                if body:
                    self.server.fetched.append(file)
                self._send(files[file], body, {"X-Repo-Commit": REVISION, "ETag": f'"{_etag(files[file])}"'})
                return
        self._send(b"{}", body, {"X-Error-Code": "RepoNotFound"}, 404)

    def _send(self, content: bytes, body: bool, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
