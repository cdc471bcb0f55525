"""The address that callers elsewhere know this server by, where a NAT stands between: given, or asked for.

Asked for means: of the EC2 instance metadata (IMDSv2) or of a STUN server, in the background. No answer waits for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import urllib.error
import urllib.request
from typing import cast

from aioice import stun

from voxrtc.errors import VoxrtcError

logger = logging.getLogger(__name__)

METADATA = "http://169.254.169.254"
"""Amazon's instance metadata; AWS_EC2_METADATA_SERVICE_ENDPOINT names another, as in Amazon's own tools."""

TIMEOUT_S = 2.0
"""For each request to the metadata service, which is on the same host."""

AGAIN_S = 300.0
"""Seconds until what is known is asked again: an address may be moved to another machine."""

RETRY_S = 5.0
"""Seconds until what could not be learnt is asked again; doubled each time up to AGAIN_S."""


class NotLearnt(VoxrtcError):
    """The public address could not be learnt; says why and what to do."""


class PublicAddress:
    """``media.public_ip``: what it says, or what is learnt by it. ``value`` is empty as long as nothing is known."""

    def __init__(self, setting: str, stun_server: str, metadata: str | None = None) -> None:
        self._setting = setting
        self._stun_server = stun_server
        self._metadata = metadata or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or METADATA
        self._task: asyncio.Task[None] | None = None
        asked = setting in ("ec2", "stun")
        self.value = "" if asked or not setting else str(ipaddress.ip_address(setting))
        self.problem = ""
        """Why it is not known, a sentence; empty while there is no reason to complain."""

    async def ask(self) -> str:
        """Learn it now, where it has to be learnt. Raises NotLearnt."""
        if self._setting == "ec2":
            return await asyncio.to_thread(from_metadata, self._metadata)
        if self._setting == "stun":
            return await from_stun(self._stun_server)
        return self.value

    def open(self) -> None:
        """Begin to ask, where it has to be learnt, and go on in the background."""
        if self._setting in ("ec2", "stun") and self._task is None:
            self._task = asyncio.create_task(self._keep(), name="public address")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _keep(self) -> None:
        wait = RETRY_S
        while True:
            try:
                value = await self.ask()
            except NotLearnt as error:
                if not self.problem:
                    known = f"; {self.value} is told to callers as before" if self.value else ""
                    logger.warning("media.public_ip = %r: %s%s", self._setting, error, known)
                self.problem = str(error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, AGAIN_S)
                continue
            if value != self.value:
                logger.info("media.public_ip = %r: callers are told of %s", self._setting, value)
            self.value, self.problem, wait = value, "", RETRY_S
            await asyncio.sleep(AGAIN_S)


def from_metadata(base: str) -> str:
    """This EC2 instance's public IPv4 address (IMDSv2: a token first). Blocks; raises NotLearnt."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this host, behind no proxy

    def ask(method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(base + path, method=method, headers=headers)
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return str(answer.read(1_024).decode("ascii", "replace")).strip()

    try:
        token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        text = ask("GET", "/latest/meta-data/public-ipv4", {"X-aws-ec2-metadata-token": token})
        return str(ipaddress.IPv4Address(text))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                raise NotLearnt(
                    "this instance has no public IPv4 address; give it an Elastic IP, or set media.public_ip to the "
                    "address that callers reach it at"
                ) from None
            raise NotLearnt(f"the instance metadata at {base} answers {error.code}; set media.public_ip") from None
    except ipaddress.AddressValueError:
        raise NotLearnt(f"the instance metadata at {base} tells of no IPv4 address; set media.public_ip") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise NotLearnt(
            f"the instance metadata at {base} cannot be asked ({reason}); outside of EC2 set media.public_ip to the "
            "address itself, and in a container on EC2 raise the metadata's hop limit to 2"
        ) from None


async def from_stun(server: str) -> str:
    """The address that the STUN server ``server`` (host:port) sees this machine at (RFC 8489). Raises NotLearnt."""
    host, _, port = server.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        address, at = found[0][4][:2]
        transport, asker = await loop.create_datagram_endpoint(_Asker, remote_addr=(str(address), int(at)))
    except OSError as error:
        raise NotLearnt(f"the STUN server {server} cannot be asked ({error}); set another media.stun_server") from None
    try:
        response = await asker.ask()
        seen, port_seen = response.attributes["XOR-MAPPED-ADDRESS"]
    except (stun.TransactionError, KeyError):
        raise NotLearnt(
            f"the STUN server {server} does not answer; let UDP out to it, set another media.stun_server, or set "
            "media.public_ip to the address itself"
        ) from None
    finally:
        ours = transport.get_extra_info("sockname")
        transport.close()
    if port_seen != ours[1]:
        logger.warning(
            "the NAT before this server changes port numbers: forward the UDP ports of media.port_range to it, each to "
            "the same number, or callers will need turn.urls and turn.relay"
        )
    return str(ipaddress.ip_address(seen))


class _Asker(asyncio.DatagramProtocol):
    """One STUN request to the server that the socket is connected to."""

    def __init__(self) -> None:
        self._request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        self._transaction = stun.Transaction(self._request, ("", 0), self, retransmissions=3)
        self._transport: asyncio.DatagramTransport | None = None

    async def ask(self) -> stun.Message:
        response, _ = await self._transaction.run()
        return response

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(bytes(message))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            message = stun.parse_message(data)
        except ValueError:
            return
        if message.transaction_id == self._request.transaction_id and message.message_class != stun.Class.REQUEST:
            self._transaction.response_received(message, ("", 0))
