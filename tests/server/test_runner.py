"""Bytes that are no request: neither the log nor the answer repeats them."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tests.server.conftest import Serve
from tests.server.test_app import raw
from voxrtc.server import offer
from voxrtc.server.app import HEADERS

POST = "POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
NO_REQUESTS = {
    "a length that is none": POST + "Content-Length: 12SECRET\r\n\r\n",
    "NUL in a header": POST + "X-A: SEC\0RET\r\n\r\n",
    "a chunk's size that is none": POST + "Transfer-Encoding: chunked\r\n\r\nSECRET\r\n",
    "a chunk without an end": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloSECRET\r\n",
    "a long URL": f"GET /SECRET{'a' * 9_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a URL that is none": "GET http://SECRET:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01SECRET\r\n\r\n",
}


def quotes(text: str) -> bool:
    return "SECRET" in text or "SEC\\x00RET" in text or "SEC\0RET" in text


@pytest.mark.parametrize("request_", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_what_is_no_request_is_not_repeated(
    serve: Serve, caplog: pytest.LogCaptureFixture, request_: str
) -> None:
    front = await serve()
    with caplog.at_level(logging.DEBUG):
        status, answer = await raw(front, request_)
    head, _, body = answer.partition("\r\n\r\n")
    assert status == 400
    assert json.loads(body) == {"error": {"code": "bad_request", "message": "What came is no HTTP request."}}
    assert not quotes(answer)
    assert not quotes(caplog.text)
    assert all(f"{name}: {value}" in head for name, value in HEADERS.items())
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_what_is_no_request_any_more_is_not_repeated(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body goes wrong while it is being read."""
    monkeypatch.setattr(offer, "BODY_S", 0.3)
    front = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    with caplog.at_level(logging.DEBUG):
        writer.write(
            (
                POST.replace("/transcribe", "/offer") + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            ).encode()
        )
        async with asyncio.timeout(10):
            assert b"100 Continue" in await reader.readline()  # so the handler is reading
            writer.write(b"SECRET\r\n")
            answer = (await reader.read()).decode()
    writer.close()
    assert " 408 " in answer or " 400 " in answer
    assert not quotes(answer)
    assert not quotes(caplog.text)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
