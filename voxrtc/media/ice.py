"""Candidates: which of the caller's are of use, how both sides write them, and no server asked unasked."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from aiortc import RTCConfiguration, RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from voxrtc.errors import SdpError

MAX_CANDIDATE = 512
"""Characters of a candidate line; a real one has about 150."""

_CANDIDATE = re.compile(
    r"(?P<foundation>\S{1,64}) (?P<component>\d{1,3}) (?P<protocol>[A-Za-z]+) (?P<priority>\d{1,10}) "
    r"(?P<host>\S+) (?P<port>\d{1,5}) typ (?P<type>host|srflx|prflx|relay)(?: .*)?"
)


@dataclass(frozen=True, slots=True)
class Trickled:
    """One ICE candidate that either side found later (W3C RTCIceCandidateInit); an empty string ends them."""

    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


def configuration() -> RTCConfiguration:
    """Our side's ICE configuration, which names no server: aiortc's default would ask a public one. What this server
    asks of others is the Site's to know (site.py), and turn.ice_servers are for the callers."""
    return RTCConfiguration(iceServers=[])


def usable(line: str) -> str | None:
    """``line`` (what follows ``candidate:``) cut down to what is needed, or None if this side cannot try it.

    Of use are: UDP, component 1, a numeric address. mDNS names (``.local``) resolve only on the caller's own network,
    and asking for one can hold everything up for a second; such a caller is found by its own checks instead.
    """
    match = _match(line)
    if match is None or match["component"] != "1" or match["protocol"].lower() != "udp" or match["type"] == "prflx":
        return None
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        return None
    if "%" in match["host"] or address.is_unspecified or address.is_multicast or not 0 < int(match["port"]) < 65_536:
        return None
    return f"{match['foundation']} 1 udp {match['priority']} {address} {match['port']} typ {match['type']}"


def parse(candidate: str) -> RTCIceCandidate | None:
    """A trickled candidate as browsers write it (``candidate:...``); None for one that is of no use here.

    Raises SdpError on what is no candidate at all.
    """
    line = candidate.strip().removeprefix("a=").removeprefix("candidate:")
    if _match(line) is None:
        raise SdpError(f"This is not an ICE candidate: {candidate[:80]!r}.")
    needed = usable(line)
    return candidate_from_sdp(needed) if needed else None


def _match(line: str) -> re.Match[str] | None:
    return _CANDIDATE.fullmatch(line.strip()) if len(line) <= MAX_CANDIDATE else None
