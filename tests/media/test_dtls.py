"""A caller whose certificate is RSA, as GStreamer's is, gets through the handshake whoever begins it."""

import asyncio
import datetime
import inspect

import pytest
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.media.callers import Caller
from voxrtc.config import Settings
from voxrtc.media import dtls
from voxrtc.media.peer import Peer


def rsa_certificate() -> RTCCertificate:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "caller")])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    return RTCCertificate(key, builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))


def test_aiortc_still_has_what_is_wrapped() -> None:
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]


def test_all_of_aiortcs_own_suites_are_still_offered() -> None:
    source = inspect.getsource(RTCCertificate._create_ssl_context)
    own = source[source.index('b"') + 2 : source.rindex('"\n')].split(":")
    assert [suite for suite in dtls.SUITES if "ECDSA" in suite] == own
    SSL.Context(SSL.DTLS_METHOD).set_cipher_list(":".join(dtls.SUITES).encode())


@pytest.mark.parametrize("ours", ["active", "passive"])
async def test_a_caller_with_an_rsa_certificate_is_connected(ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RTCCertificate, "generateCertificate", rsa_certificate)
        caller = Caller()
    dtls.accept_rsa(caller.pc)
    theirs = {"active": "passive", "passive": "active"}[ours]
    peer = await Peer.answer((await caller.offer()).replace("a=setup:actpass", f"a=setup:{theirs}"), Settings())
    assert f"a=setup:{ours}" in peer.sdp
    await caller.take(peer.sdp)
    async with asyncio.timeout(10):
        await peer.connected()
        await caller.opened.wait()
    await peer.close()
    await caller.close()
