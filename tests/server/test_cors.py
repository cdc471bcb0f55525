"""Pages that may not call this server: what they send without asking first is refused, too."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Serve
from voxrtc.server.cors import is_loopback

AFAR = "https://evil.example"
HOME = {"host": "127.0.0.1"}


def form(**fields: Any) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, value in fields.items():
        made.add_field(name, value, filename="x" if isinstance(value, bytes) else None)
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "origin", [AFAR, "null", "", "http://[", "http://localhost.evil.example", "http://127.0.0.1@evil"]
)
async def test_what_needs_no_preflight_is_refused_to_pages_from_afar(serve: Serve, host: str, origin: str) -> None:
    models = ScriptedModels(asr_s=0.0)
    front = await serve(models, server={"host": host})
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/realtime/calls", {"data": form(sdp="v=0", session=b"{}")}),
        ("/v1/realtime/client_secrets", {}),
        ("/v1/audio/transcriptions", {"data": form(file=b"x" * 100)}),
        ("/v1/realtime/calls/x/hangup", {}),
        ("/offer", {"data": b"{}", "headers": {"Content-Type": "text/plain"}}),
        ("/nothing", {}),
    ]
    for path, more in requests:
        headers = {"Origin": origin} | more.pop("headers", {})
        async with front.http.post(front.url + path, headers=headers, **more) as answer:
            assert answer.status == 403, path
            assert (await answer.json())["error"]["code"] == "forbidden"
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with front.http.delete(front.url + "/offer/x", headers={"Origin": origin}) as answer:
        assert answer.status == 403


async def test_pages_that_may_and_programs_are_served(serve: Serve) -> None:
    front = await serve(server=HOME | {"origins": ["https://app.example.org"]})
    own = front.url, f"http://localhost:{front.port}", "http://localhost:5173", "http://[::1]:1", "http://a.localhost"
    for headers in ({}, *({"Origin": origin} for origin in (*own, "https://app.example.org"))):
        async with front.http.post(front.url + "/v1/realtime/client_secrets", headers=headers) as answer:
            assert answer.status == 200, headers


async def test_a_name_that_leads_to_this_machine_makes_no_page_its_own(serve: Serve) -> None:
    """DNS rebinding: the page's own name, with its port, leads to 127.0.0.1 by now."""
    front = await serve(server=HOME)
    name = f"evil.example:{front.port}"
    headers = {"Host": name, "Origin": f"http://{name}"}
    async with front.http.post(front.url + "/v1/realtime/client_secrets", headers=headers) as answer:
        assert answer.status == 403
    for path in ("/ws", "/v1/realtime?model=x"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await front.http.ws_connect(front.url + path, headers=headers)
        assert refused.value.status == 403


async def test_a_server_for_others_goes_by_its_name(serve: Serve) -> None:
    front = await serve(server={"host": "0.0.0.0"})
    headers = {"Host": "voice.example.org", "Origin": "https://voice.example.org"}
    async with front.http.post(front.url + "/v1/realtime/client_secrets", headers=headers) as answer:
        assert answer.status == 200


async def test_all_origins_and_none(serve: Serve) -> None:
    front = await serve(server={"origins": ["*"]})
    async with front.http.post(front.url + "/start", json={}) as answer:
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with front.http.post(front.url + "/start", json={}, headers={"Origin": AFAR}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == AFAR


def test_names_and_addresses_of_this_machine() -> None:
    assert all(
        is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST.", "a.localhost")
    )
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "xlocalhost"))
