"""Client secrets: short-lived keys that a page may have, each with the session that it is for."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

MOST = 1_000
"""Secrets that may be valid at once."""
PREFIX = "ek_"


@dataclass(frozen=True, slots=True)
class Secret:
    """``expires_at``: Unix seconds. ``session``: as its maker wrote it."""

    value: str
    expires_at: int
    session: dict[str, Any]


class Secrets:
    """Those of one server, in memory: they end with it. One may begin any number of calls until it expires."""

    def __init__(self) -> None:
        self._secrets: dict[str, Secret] = {}

    def make(self, session: dict[str, Any], seconds: int) -> Secret | None:
        """A new one; None where there are too many."""
        now = time.time()
        self._secrets = {value: secret for value, secret in self._secrets.items() if secret.expires_at > now}
        if len(self._secrets) >= MOST:
            return None
        secret = Secret(PREFIX + secrets.token_urlsafe(24), int(now) + seconds, session)
        self._secrets[secret.value] = secret
        return secret

    def find(self, value: str) -> Secret | None:
        """The secret ``value``, while it is valid."""
        secret = self._secrets.get(value)
        return secret if secret is not None and secret.expires_at > time.time() else None
