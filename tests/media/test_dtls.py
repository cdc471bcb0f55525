"""A caller whose certificate is RSA, as GStreamer's is, gets through the handshake whoever begins it."""

import asyncio
import datetime
import inspect

import pytest
from aiortc import RTCDtlsTransport
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.calling import idle
from tests.media.callers import Caller
from voxrtc.media import dtls
from voxrtc.media.peer import Peer
from voxrtc.settings import Settings


def rsa_certificate() -> RTCCertificate:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "caller")])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    return RTCCertificate(key, builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))


def test_aiortc_still_has_what_is_wrapped() -> None:
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]
    assert "await self._do_handshake()" in inspect.getsource(RTCDtlsTransport.start)
    assert "await self.transport._send(data)" in inspect.getsource(RTCDtlsTransport._write_ssl)
    assert "self.__rx_packets += 1" in inspect.getsource(RTCDtlsTransport._recv_next)


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


class Deaf:
    """A caller's DTLS that misses the first datagrams which come, as one does that is not ready yet."""

    def __init__(self, caller: Caller, misses: int) -> None:
        self.missed: list[bytes] = []
        self._misses = misses
        self._ice = caller.pc.getReceivers()[0].transport.transport
        self._ice._recv = self._recv

    async def _recv(self) -> bytes:
        while len(self.missed) < self._misses:
            self.missed.append(await self._ice._connection.recv())
        return await self._ice._connection.recv()


@pytest.mark.parametrize("misses", [1, 3])
async def test_a_lost_client_hello_is_said_again_at_once(misses: int) -> None:
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), Settings())
    assert "a=setup:active" in peer.sdp
    deaf = Deaf(caller, misses)
    dtls_of_ours = peer._pc.getReceivers()[0].transport
    await caller.take(peer.sdp)
    async with asyncio.timeout(10):
        await peer.connected()
        await caller.opened.wait()
    assert len(deaf.missed) == misses
    assert len(set(deaf.missed)) == 1, "OpenSSL's own retransmission, after a second, is a new record"
    assert deaf.missed[0][0] == 22, "a handshake record"
    assert dtls_of_ours.transport._send == dtls_of_ours.transport._connection.send, "all is as it was"
    await peer.close()
    await caller.close()


async def test_a_line_that_is_cut_before_the_handshake_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), Settings())
    deaf = Deaf(caller, 10)
    await caller.take(peer.sdp)
    async with asyncio.timeout(10):
        while len(deaf.missed) < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    await peer.close()
    await caller.pc.close()
    assert caller.listening is not None
    caller.listening.cancel()  # nothing ever came that could end
    assert await idle(before) == set()
