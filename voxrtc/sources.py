"""Audio from outside: a path, an http(s) URL, a data: URL or base64, as 16 kHz mono; guarded, since callers name it.

A server that fetches what it is told to can be turned against its own network. So: http and https only, no address
that is not public (checked on the addresses actually connected to, for the first URL and for every redirect) unless
allowed, bounds on size, time and length, files only where the operator said so, and a decoder that opens nothing else
(playlists and concat scripts name further files: FFmpeg's protocols are switched off).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import ipaddress
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import aiohttp
import av
import numpy as np
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.errors import AudioError
from voxrtc.inline import from_base64, from_data_url, size

REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 65_536
MINUTE = 60 * HEARD_RATE
NOTHING_ELSE = {"protocol_whitelist": "none"}
"""FFmpeg options: the container at hand may open no other file and no address."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
EMBEDDING = tuple(ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
"""IPv6 ranges that carry an IPv4 address inside (NAT64, 6to4, Teredo; RFC 6052, 3056, 4380): never let through."""
NOT_PUBLIC = tuple(ipaddress.ip_network(n) for n in ("192.88.99.0/24", "3fff::/20", "fec0::/10"))
"""What Python's tables may call global: relays of 6to4, examples, addresses of a site (RFC 7526, 9637, 3879)."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a source may be. ``allow``: host names, addresses or networks that may be reached although not public."""

    allow_paths: bool = False
    allow: tuple[str, ...] = ()
    max_bytes: int = 64 * 1024 * 1024
    max_seconds: float = 3_600.0
    timeout_s: float = 30.0
    max_redirects: int = 5


async def process_audio_from_url(source: str, *, guard: Guard | None = None) -> Samples:
    """The audio of a URL, a data: URL, base64 or a path: mono float32 (samples,) at 16 kHz. For programs, which may
    name their own files; without a ``guard`` of theirs only public addresses are read from. Raises AudioError."""
    return await load(source, guard or Guard(allow_paths=True))


async def load(source: str, guard: Guard | None = None) -> Samples:
    """The audio that ``source`` names: mono float32 (n,) at 16 kHz, n > 0.

    ``source`` is an http(s) URL, a ``data:`` URL, plain base64, or, with ``guard.allow_paths``, a path or file: URL.
    Raises AudioError, whose message says what to change.
    """
    guard = guard or Guard()
    scheme = source[:16].partition(":")[0].lower()
    if scheme in ("http", "https"):
        data = await fetch(source, guard)
        return await asyncio.to_thread(decode, data, guard)
    return await asyncio.to_thread(_at_hand, source, scheme, guard)


def _at_hand(source: str, scheme: str, guard: Guard) -> Samples:
    """What no network is needed for; of some size, so that it is not for the event loop's thread."""
    if not source:
        raise AudioError("there is no audio: the source is empty")
    if scheme == "data":
        return decode(from_data_url(source, guard.max_bytes), guard)
    if (path := _path(source, guard)) is not None:
        return read(path, guard)
    return decode(from_base64(source, guard.max_bytes), guard)


def read(path: Path, guard: Guard | None = None) -> Samples:
    """The audio of the file ``path``: mono float32 (n,) at 16 kHz. Raises AudioError."""
    guard = guard or Guard()
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    try:
        if path.stat().st_size > guard.max_bytes:
            raise AudioError(f"{path}: larger than {size(guard.max_bytes)}")
        with path.open("rb") as file:
            return _decode(file, guard, str(path))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None


def decode(data: bytes, guard: Guard | None = None) -> Samples:
    """The audio in ``data``, in any form FFmpeg knows: mono float32 (n,) at 16 kHz. Raises AudioError."""
    guard = guard or Guard()
    if len(data) > guard.max_bytes:
        raise AudioError(f"the audio: larger than {size(guard.max_bytes)}")
    return _decode(io.BytesIO(data), guard, "the audio")


# -- what the text names ------------------------------------------------------------------------------------


def _path(source: str, guard: Guard) -> Path | None:
    if source[:5].lower() == "file:":
        if not guard.allow_paths:
            raise AudioError("files of the server may not be named here; send a URL, a data: URL or base64")
        return Path(unquote(URL(source).path))
    if "://" in source[:64]:
        raise AudioError(f"{source.partition(':')[0]!r} cannot be fetched; use http, https, data: or base64")
    if not guard.allow_paths:
        return None
    looks_like_data = len(source) > 4_096 or "\n" in source
    return None if looks_like_data or (not Path(source).exists() and _is_base64(source)) else Path(source)


def _is_base64(text: str) -> bool:
    """Long enough to hold the smallest container, and nothing but base64: then no path was meant."""
    if len(text) < 128 or len(text) % 4:
        return False
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


# -- the network --------------------------------------------------------------------------------------------


async def fetch(url: str, guard: Guard | None = None) -> bytes:
    """The body behind ``url``, followed through redirects. Raises AudioError."""
    guard = guard or Guard()
    try:
        async with asyncio.timeout(guard.timeout_s):
            return await _fetch(url, guard)
    except TimeoutError:
        raise AudioError(f"{_shown(url)}: no complete answer within {guard.timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise AudioError(f"{_shown(url)}: cannot be fetched ({_reason(error)})") from None
    except ValueError:  # yarl, aiohttp.InvalidURL
        raise AudioError(f"{_shown(url)}: not a valid URL") from None


def _reason(error: Exception) -> str:
    """Not aiohttp's sentences: they have the address that a name leads to, and it may be one of this network."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name leads nowhere"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not to be trusted"
    if isinstance(error, (aiohttp.ClientConnectorError, ConnectionRefusedError)):
        return "nobody answers there"
    return "the connection broke, or what came is not HTTP"


async def _fetch(url: str, guard: Guard) -> bytes:
    connector = aiohttp.TCPConnector(resolver=_PublicOnly(guard), use_dns_cache=False)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        target = URL(url)
        for _ in range(guard.max_redirects + 1):
            _check_url(target, guard)
            headers = {"Accept-Encoding": "identity", "User-Agent": "voxrtc"}
            async with session.get(target, allow_redirects=False, headers=headers) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    target = target.join(URL(response.headers["Location"]))
                    continue
                if response.status != 200:
                    raise AudioError(f"{_shown(url)}: answered {response.status} {response.reason or ''}".rstrip())
                return await _body(response, url, guard)
    raise AudioError(f"{_shown(url)}: more than {guard.max_redirects} redirects")


async def _body(response: aiohttp.ClientResponse, url: str, guard: Guard) -> bytes:
    if (response.content_length or 0) > guard.max_bytes:
        raise AudioError(f"{_shown(url)}: larger than {size(guard.max_bytes)}")
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > guard.max_bytes:
            raise AudioError(f"{_shown(url)}: larger than {size(guard.max_bytes)}")
    return bytes(body)


def _check_url(url: URL, guard: Guard) -> None:
    """Scheme, and the address where the URL has one in place of a name (which no resolver ever sees)."""
    if url.scheme not in ("http", "https") or not url.host:
        raise AudioError(f"{_shown(str(url))}: only http and https URLs are fetched")
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return
    if not _may_reach(url.host, address, guard):
        raise AudioError(f"{url.host} is not a public address, and those are not read from")


class _PublicOnly(AbstractResolver):
    """Resolves names, and hands on none that leads to an address which may not be reached.

    The connection is made to the addresses given here, so a name cannot change its mind in between (DNS rebinding).
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for one in found:
            if not _may_reach(host, ipaddress.ip_address(one["host"].partition("%")[0]), self._guard):
                # Not where it leads to: that may be the map of a network that the caller has no view of.
                raise AudioError(f"{host} leads to what is not a public address, and those are not read from")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _may_reach(host: str, address: Address, guard: Guard) -> bool:
    plain = address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
    if any(_allows(rule, host, plain) for rule in guard.allow):
        return True
    if any(plain in network for network in EMBEDDING + NOT_PUBLIC):
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved


def _allows(rule: str, host: str, address: Address) -> bool:
    try:
        return address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return rule.lower().rstrip(".") == host.lower().rstrip(".")


# -- decoding -----------------------------------------------------------------------------------------------


def _decode(file: BinaryIO, guard: Guard, name: str) -> Samples:
    try:
        # av's face for reading is typed for paths; it takes any file object with read() and seek().
        with av.open(file, mode="r", options=NOTHING_ELSE, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: holds no audio")
            samples = _gather(container, guard, name)
    except (av.FFmpegError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name}: not audio that can be read ({reason})") from None
    if not samples.size:
        raise AudioError(f"{name}: holds no audio")
    return samples


def _gather(container: av.container.InputContainer, guard: Guard, name: str) -> Samples:
    """All samples of the first audio stream. A damaged packet is skipped, as players do."""
    deadline = time.monotonic() + max(guard.timeout_s, guard.max_seconds / 10.0)
    resampler: av.AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    pieces: list[Samples] = []
    have = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            found = (frame.format.name, frame.layout.name, frame.sample_rate)
            if found != shape:
                pieces += _flush(resampler)
                resampler, shape = av.AudioResampler(format="flt", layout="mono", rate=HEARD_RATE), found
            assert resampler is not None
            new = [f.to_ndarray()[0] for f in resampler.resample(frame)]
            pieces += new
            have += sum(piece.size for piece in new)
        if have > guard.max_seconds * HEARD_RATE:
            raise AudioError(f"{name}: longer than {guard.max_seconds:g} s")
        if time.monotonic() > deadline:
            raise AudioError(f"{name}: takes too long to decode")
    pieces += _flush(resampler)
    if not pieces:
        return np.empty(0, np.float32)
    whole = np.concatenate(pieces).astype(np.float32, copy=False)
    pieces.clear()
    for at in range(0, whole.size, MINUTE):  # in place and in parts: an hour is 230 MB
        part = whole[at : at + MINUTE]
        np.nan_to_num(part, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
        np.clip(part, -1.0, 1.0, out=part)
    return whole


def _flush(resampler: av.AudioResampler | None) -> list[Samples]:
    return [f.to_ndarray()[0] for f in resampler.resample(None)] if resampler is not None else []


def _shown(url: str) -> str:
    """The URL as a message may show it: no user, no password, no query, not endless."""
    try:
        parts = URL(url)
        return str(parts.with_user(None).with_query(None).with_fragment(None))[:200]
    except ValueError:
        return url[:80]
