"""Where this server is on the network: its addresses and ports, what callers elsewhere know it by, its relay."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket

from voxrtc.errors import CallsFull
from voxrtc.media.addresses import Addresses
from voxrtc.media.public import PublicAddress
from voxrtc.media.turn import Relay
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)


class Site:
    """One for all calls of a process. ``open`` it to have the public address learnt, and ``close`` it then."""

    def __init__(self, settings: Settings, metadata: str | None = None) -> None:
        media, turn = settings.media, settings.turn
        here = _is_loopback(settings.server.host) and not media.public_ip
        self.addresses = Addresses(media.ip_version, loopback=here)
        self.public = PublicAddress(media.public_ip, media.stun_server, metadata)
        self.relay = Relay(turn) if turn.relay else None
        self._ports = range(media.port_range[0], media.port_range[1] + 1) if media.port_range else range(1)
        self._next = 0

    def open(self) -> None:
        self.public.open()

    async def close(self) -> None:
        await self.public.close()

    def bind(self, address: str) -> socket.socket:
        """A UDP socket on ``address`` at a free port of ``media.port_range``: each in turn, so that a port rests as
        long as can be before a new call might get what is still under way to an old one.

        Raises CallsFull where no port is free, OSError where ``address`` is not (any longer) one of this machine.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            self._bind(bound, address)
        except BaseException:
            bound.close()
            raise
        return bound

    def _bind(self, bound: socket.socket, address: str) -> None:
        for _ in self._ports:
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            try:
                bound.bind((address, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return
        first, last = self._ports[0], self._ports[-1]
        logger.warning("no UDP port is free on %s from %d to %d; make media.port_range larger", address, first, last)
        raise CallsFull("all UDP ports of media.port_range are taken; try again in a moment")

    def known_as(self, addresses: list[str], public: str | None = None) -> dict[str, str]:
        """The public address, by those of ``addresses`` that a NAT (1:1, or with its ports forwarded) makes it of.

        That is the one from which this machine would reach the internet; all of its family where that is none of them.
        """
        public = self.public.value if public is None else public
        same = [address for address in addresses if (":" in address) == (":" in public)]
        if not public or public in same:
            return {}
        outer = [address for address in same if not _is_loopback(address)]
        source = _source_towards(public)
        return dict.fromkeys([source] if source in outer else outer, public)


def _source_towards(address: str) -> str | None:
    """The address that packets to ``address`` would leave from, as the routes are now. Sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
