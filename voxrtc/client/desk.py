"""The server's HTTP side as a caller uses it (docs/protocol.md): ICE servers, offers, late candidates, hanging up."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from voxrtc.client.failed import CallFailed

logger = logging.getLogger(__name__)

OFFER_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 3.0


class Desk:
    """The server at ``url``; ``bearer``: what stands in ``Authorization: Bearer`` of each request."""

    def __init__(self, url: str, bearer: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=OFFER_TIMEOUT_S)
            self._http = aiohttp.ClientSession(timeout=timeout, headers=self._headers, trust_env=False)
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def ice_servers(self) -> list[dict[str, Any]]:
        """Those that GET /ice names; none where the server has no such address. Raises CallFailed."""
        status, text, _ = await self._ask("GET", "/ice")
        if status != 200:
            logger.info("GET /ice: the server answered %s", status)
            return []
        return [one for one in self._object(text, "/ice").get("ice_servers", []) if isinstance(one, dict)]

    async def offer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to an offer: ``sdp``, and what else the server tells. Raises CallFailed."""
        status, text, headers = await self._ask("POST", "/offer", body)
        if status != 200:
            raise _refusal(status, text, headers.get("Retry-After", ""))
        answer = self._object(text, "/offer")
        if not isinstance(answer.get("sdp"), str):
            raise CallFailed(f"{self._url}/offer: answered without an SDP answer: {text[:200]!r}")
        return answer

    async def late_candidates(self, session: str) -> list[dict[str, Any]]:
        """Say that all of ours were in the offer; those that the server has found since its answer."""
        end = {"candidates": [{"candidate": "", "sdp_mid": "0"}]}
        status, text, _ = await self._ask("PATCH", f"/offer/{session}", end)
        return list(self._object(text, "/offer").get("candidates", [])) if status == 200 else []

    async def hang_up(self, session: str) -> None:
        """Tell the server; where it cannot be told, it misses its caller by itself."""
        try:
            status, _, _ = await self._ask("DELETE", f"/offer/{session}")
        except CallFailed as error:
            logger.warning("hanging up: %s", error)
            return
        if status >= 400 and status != 404:
            logger.warning("hanging up: the server answered %s", status)

    async def probe(self) -> None:
        """Return if anybody answers at all. Raises CallFailed."""
        await self._ask("GET", "/health", timeout_s=PROBE_TIMEOUT_S)

    async def _ask(
        self, method: str, path: str, body: Any = None, timeout_s: float = OFFER_TIMEOUT_S
    ) -> tuple[int, str, Any]:
        if not _is_url(self._url):
            raise CallFailed(f"{self._url!r} is no URL of a server: it begins with http:// or https:// and a host")
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self.http.request(method, self._url + path, json=body, timeout=timeout) as response:
                return response.status, await response.text(), response.headers
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise CallFailed(f"{self._url}{path}: no answer: {error or type(error).__name__}") from None
        except ValueError as error:  # yarl
            raise CallFailed(f"{self._url}{path}: this is no address: {error}") from None

    def _object(self, text: str, path: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CallFailed(f"{self._url}{path}: the answer is no JSON object: {text[:200]!r}")
        return found


def _is_url(url: str) -> bool:
    """Whether a request can be made to it; a host is not looked up."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _refusal(status: int, body: str, after: str) -> CallFailed:
    """What the server said, as a sentence."""
    try:
        told = json.loads(body)
        error = told.get("error", told) if isinstance(told, dict) else told
        message = error.get("message", body) if isinstance(error, dict) else str(error)
    except ValueError:
        message = body
    wait = int(after) if after.isdigit() else None
    hint = f"; try again in {wait} s" if wait is not None else ""
    return CallFailed(f"refused ({status}): {str(message).strip()[:300]}{hint}", status, wait)
