"""The page's files, the headers, and errors as JSON."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.calling import idle
from tests.server.conftest import Front, Serve
from voxrtc.errors import VoxrtcError
from voxrtc.server import app as app_module
from voxrtc.server import offer
from voxrtc.server.app import HEADERS, WEB

TYPES = {
    ".html": "text/html",
    ".js": "javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


async def raw(front: Front, request: str) -> tuple[int, str]:
    """Status and all else that comes for ``request`` as it stands, which no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(request.encode("latin-1"))
    async with asyncio.timeout(10):
        answer = (await reader.read(65_536)).decode()
    writer.close()
    return int(answer.split()[1]), answer


async def test_the_page_and_each_of_its_files(serve: Serve) -> None:
    front = await serve()
    paths = ["", *(path.name for path in WEB.iterdir() if path.is_file())]
    assert "main.js" in paths
    for path in paths:
        async with front.http.get(f"{front.url}/{path}") as answer:
            assert answer.status == 200
            assert TYPES["." + (path or "index.html").rpartition(".")[2]] in answer.headers["Content-Type"]
            assert await answer.read() == (WEB / (path or "index.html")).read_bytes()
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers.items() >= HEADERS.items()


async def test_an_installation_without_the_page(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(app_module, "WEB", tmp_path)
    with pytest.raises(VoxrtcError, match="pip install -e"):
        await serve()


async def test_a_file_that_has_not_changed_is_not_sent_again(serve: Serve) -> None:
    front = await serve()
    url = front.url + "/main.js"
    async with front.http.head(url) as head:
        assert head.status == 200
        assert int(head.headers["Content-Length"]) == (WEB / "main.js").stat().st_size
        assert await head.read() == b""
    for condition in ({"If-Modified-Since": head.headers["Last-Modified"]}, {"If-None-Match": head.headers["ETag"]}):
        async with front.http.get(url, headers=condition) as again:
            assert again.status == 304
            assert await again.read() == b""
    async with front.http.get(url, headers={"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}) as changed:
        assert changed.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/%2e%2e%2fpyproject.toml",
        "/web/../../pyproject.toml",
        "/..%5cpyproject.toml",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/main.js/../../pyproject.toml",
        "/.",
        "/%2e",
        "/%00",
        "/main.js%00.html",
        "/.git/config",
        "/nothing-here",
        "/metrics",
        "/debug/tasks",
    ],
)
async def test_nothing_else_can_be_asked_for(serve: Serve, path: str) -> None:
    front = await serve()
    status, answer = await raw(front, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status == 404
    assert answer.endswith('{"error": {"code": "not_found", "message": "Not Found"}}')
    assert "voxrtc" not in answer


async def test_wrong_methods(serve: Serve) -> None:
    front = await serve()
    for method, path, allowed in (
        ("GET", "/offer", {"POST"}),
        ("PUT", "/offer", {"POST"}),
        ("GET", "/offer/x", {"PATCH", "DELETE"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DELETE", "/main.js", {"GET", "HEAD"}),
        ("POST", "/ready", {"GET", "HEAD"}),
    ):
        async with front.http.request(method, front.url + path) as answer:
            assert answer.status == 405
            assert set(answer.headers["Allow"].split(",")) == allowed
            assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_errors_have_the_headers_too(serve: Serve) -> None:
    front = await serve()
    for url in (front.url + "/nothing-here", front.url + "/offer", front.ops + "/nothing-here", front.ops + "/health"):
        async with front.http.get(url) as answer:
            assert answer.headers.items() >= HEADERS.items()


async def test_what_breaks_inside_stays_inside(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve()
    secret = "v=0 " + "private"

    async def broken(sdp: str, *resumed: object) -> None:
        raise ZeroDivisionError(sdp)

    monkeypatch.setattr(front.exchange.calls, "offer", broken)
    async with await front.offer(secret) as answer:
        body = await answer.text()
        assert answer.status == 500
    assert body == '{"error": {"code": "internal", "message": "The server failed at this; its log says why."}}'
    assert "ZeroDivisionError" in caplog.text
    assert "in broken" in caplog.text
    assert secret not in caplog.text


async def test_a_path_cannot_write_lines_into_the_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve()

    async def broken(call: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(front.exchange.calls, "hang_up", broken)
    async with front.http.delete(front.url + "/offer/x%0aERROR forged") as answer:
        assert answer.status == 500
    assert "\nERROR forged" not in caplog.text


# -- bodies -------------------------------------------------------------------------------------------------------

HEAD = "POST /offer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("body", "more", "status", "says"),
    [
        ("{", {}, 400, "not JSON"),
        ("", {}, 400, "not JSON"),
        ("\xff\xfe", {}, 400, "not JSON"),
        ('{"sdp": "\xff", "type": "offer"}', {}, 400, "not JSON"),
        ('{"sdp": "\\ud800", "type": "offer"}', {}, 400, "not JSON"),
        ('{"x": ' + "[" * 60_000, {}, 400, "too deeply"),
        ("null", {}, 422, "object"),
        ("{}", {}, 422, "sdp"),
        ('{"sdp": 1, "type": "offer"}', {}, 422, "sdp"),
        ('{"sdp": "", "type": "answer"}', {}, 422, "answer"),
        ('{"sdp": "v=0", "type": "offer", "resume": 7}', {}, 422, "resume"),
        ('{"sdp": "v=0", "type": "offer"}', {}, 422, ""),
        ("{}", {"Content-Type": "text/plain"}, 415, "application/json"),
        ("{}", {"Content-Type": ""}, 415, "application/json"),
        ("not gzip", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        ("x" * 300_000, {}, 413, "262144"),
    ],
)
async def test_wrong_bodies(
    serve: Serve, caplog: pytest.LogCaptureFixture, body: str, more: dict[str, str], status: int, says: str
) -> None:
    """They are the sender's fault, and not worth a line in the log."""
    front = await serve()
    headers = {"Content-Type": "application/json"} | more
    data = body.encode("latin-1")
    async with front.http.post(front.url + "/offer", data=data, headers=headers) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert says in error["message"]
    assert error["code"]
    assert front.exchange.calls.active == 0
    assert caplog.text == ""


async def test_a_body_that_is_too_long_without_saying_so(serve: Serve) -> None:
    front = await serve()

    async def endless() -> object:
        for _ in range(80):
            yield b"x" * 4_096

    headers = {"Content-Type": "application/json"}
    async with front.http.post(front.url + "/offer", data=endless(), headers=headers) as answer:
        assert answer.status == 413


async def test_a_body_that_does_not_come(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer, "BODY_S", 0.1)
    front = await serve()
    status, answer = await raw(front, HEAD + 'Content-Length: 1000\r\nConnection: close\r\n\r\n{"sdp"')
    assert status == 408
    assert "did not come within 0.1 s" in answer


async def test_clients_that_leave_in_the_middle(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """In the headers, in the body, while the offer is being answered."""
    front = await serve(media={"connect_timeout_s": 0.2})
    sdp = await front.exchange.guest().offer()
    before = asyncio.all_tasks()
    whole = json.dumps({"sdp": sdp, "type": "offer"})
    endings = ("", 'Content-Length: 1000\r\n\r\n{"sdp', f"Content-Length: {len(whole)}\r\n\r\n{whole}")
    for request in ("POST /off", *(HEAD + ending for ending in endings)):
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(request.encode())
        await writer.drain()
        writer.transport.abort()
    async with front.http.get(front.url + "/health") as answer:
        assert answer.status == 200
    await front.exchange.settle(active=0, waiting=0)
    await front.http.close()
    assert await idle(before) == set()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
