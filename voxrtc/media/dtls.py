"""DTLS with callers of every kind: RSA certificates, and a first word that comes too early or is lost.

Like seam.py this reaches behind aiortc's public face: ``RTCCertificate._create_ssl_context`` on the certificate of one
connection, ``RTCDtlsTransport._do_handshake`` with ``_role`` and ``__rx_packets`` on one transport.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiortc import RTCDtlsTransport, RTCPeerConnection
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from OpenSSL import SSL

REPEAT_S = (0.1, 0.2, 0.4)
"""Waits before each repetition of an unanswered ClientHello; 0.3 s after the last OpenSSL's own timer begins."""

SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
)
"""aiortc's own, and after each the same with RSA; all with forward secrecy."""


def accept_rsa(connection: RTCPeerConnection) -> None:
    """Let ``connection`` talk to callers with RSA certificates (GStreamer's webrtcbin) too. Before it is negotiated.

    aiortc offers cipher suites for ECDSA certificates only. Where we are the DTLS client, as in every answer to
    ``a=setup:actpass``, the other side's certificate chooses: one with an RSA key finds no suite and refuses the
    handshake (RFC 8827, 6.5 asks for ECDSA, but forbids nobody RSA).
    """
    (certificate,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    create = certificate._create_ssl_context

    def create_with_rsa(srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context: SSL.Context = create(srtp_profiles=srtp_profiles)
        context.set_cipher_list(":".join(SUITES).encode())
        return context

    certificate._create_ssl_context = create_with_rsa


def insist(transport: RTCDtlsTransport) -> None:
    """Let ``transport``, where it is the DTLS client, repeat its ClientHello sooner than OpenSSL does (after 1 s).

    It is the first datagram after ICE, and is lost not only on the way: a caller whose own ICE is not yet done may
    drop it (werift does). The same datagram again is what a server must expect of the network (RFC 6347, 4.2.4.1).
    """
    inside: Any = transport
    handshake = inside._do_handshake

    async def shake_hands_insisting() -> None:
        if inside._role != "client":
            await handshake()
            return
        ice = inside.transport
        send = ice._send
        hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def send_and_keep(data: bytes) -> None:
            if not hello.done():
                hello.set_result(data)
            await send(data)

        async def repeat() -> None:
            said = await hello
            for wait in REPEAT_S:
                await asyncio.sleep(wait)
                if inside._RTCDtlsTransport__rx_packets:
                    return
                await send(said)

        ice._send = send_and_keep
        repeating = asyncio.create_task(repeat())
        try:
            await handshake()
        finally:
            ice._send = send
            repeating.cancel()
            # A line that breaks meanwhile is the handshake's to tell.
            await asyncio.gather(repeating, return_exceptions=True)

    inside._do_handshake = shake_hands_insisting
