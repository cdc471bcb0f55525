"""Transcripts by the server: /audio/transcriptions, in the fullest form that it gives."""

from __future__ import annotations

import time

from voxrtc.models.remote import transcripts
from voxrtc.models.remote.bound import Bound
from voxrtc.models.remote.client import Client
from voxrtc.models.remote.complaints import Refused
from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import Heard

WAV_BYTES_PER_S = 32_000
TOKENS_PER_S, TOKENS_MORE = 9, 32
"""What fast speech may have in a transcript: vLLM's would go on to the end of its context where a model loops."""


class ServerEars:
    """``configured``: the language of a transcript of which neither the caller of ``hear`` nor the server knows it."""

    def __init__(self, client: Client, bound: Bound, configured: str) -> None:
        self._client = client
        self._bound = bound
        self._configured = configured
        self._format = "verbose_json"
        """Has the language and probabilities. Whisper's give it; Voxtral's are refused it by vLLM."""
        self._unknown: set[str] = set()
        """Languages that the server does not take as a hint."""

    async def hear(self, wav: bytes, language: str | None, urgency: Urgency) -> Heard:
        """The words in a WAV file; ``language`` None or "auto" to detect it. Raises ModelsError, GaveWay."""
        known = "" if language in (None, "auto") else language or ""
        began = time.perf_counter()
        async with self._bound.place(urgency):
            body = await self._ask(wav, known)
        told = known or self._configured
        return transcripts.heard(body, told, (time.perf_counter() - began) * 1e3)

    async def _ask(self, wav: bytes, language: str) -> bytes:
        """Ask with less, where the server refuses some of it."""
        while True:
            hint = language if language not in self._unknown else ""
            try:
                return await self._client.transcription(wav, self._fields(wav, hint))
            except Refused as error:
                if error.status not in (400, 422):
                    raise
                if hint and "language" in error.said.lower():
                    self._unknown.add(hint)
                elif self._format == "verbose_json":
                    self._format = "json"
                else:
                    raise

    def takes(self, language: str) -> bool:
        """Whether the server took ``language`` as a hint, as far as it was asked."""
        return language not in self._unknown

    def _fields(self, wav: bytes, language: str) -> dict[str, str]:
        fields = {"response_format": self._format, "temperature": "0"}
        if language:
            fields["language"] = language
        if self._client.vllm:
            fields["max_completion_tokens"] = str(TOKENS_MORE + TOKENS_PER_S * len(wav) // WAV_BYTES_PER_S)
        return fields
