"""DTLS with callers whose certificate is RSA (GStreamer's webrtcbin), beside the ECDSA that all browsers have.

aiortc offers cipher suites for ECDSA certificates only. Where we are the DTLS client, as in every answer to
``a=setup:actpass``, the other side's certificate chooses: one with an RSA key finds no suite and refuses the handshake
(RFC 8827, 6.5 asks for ECDSA, but forbids nobody RSA). Like seam.py this reaches behind aiortc's public face, at one
place: ``RTCCertificate._create_ssl_context``, on the certificate of one connection.
"""

from __future__ import annotations

from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from OpenSSL import SSL

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
    """Let ``connection`` talk to callers with RSA certificates too. Before it is negotiated."""
    (certificate,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    create = certificate._create_ssl_context

    def create_with_rsa(srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context: SSL.Context = create(srtp_profiles=srtp_profiles)
        context.set_cipher_list(":".join(SUITES).encode())
        return context

    certificate._create_ssl_context = create_with_rsa
