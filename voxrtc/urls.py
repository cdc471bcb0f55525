"""The forms of addresses, and of the URLs of STUN and TURN servers. What is none of them raises ValueError."""

from __future__ import annotations

import ipaddress
import re

HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)"
"""A name or address as URLs have it."""

STUN_URL = re.compile(rf"(?P<scheme>stuns?):{HOST}(?::(?P<port>\d{{1,5}}))?")
"""RFC 7064."""

TURN_URL = re.compile(rf"(?P<scheme>turns?):{HOST}(?::(?P<port>\d{{1,5}}))?(?:\?transport=(?P<transport>udp|tcp))?")
"""RFC 7065."""

_HOST_PORT = re.compile(rf"{HOST}:(?P<port>\d{{1,5}})")


_HTTP_URL = re.compile(rf"https?://{HOST}(?::(?P<port>\d{{1,5}}))?(?:/[^\s?#]*)?")


ORIGIN = re.compile(r"https?://[^/?#@\s]+")


def check_urls(urls: list[str], *forms: re.Pattern[str]) -> list[str]:
    """``urls``, each of which has one of ``forms``."""
    schemes = "turn: or turns:" if len(forms) == 1 else "stun:, stuns:, turn: or turns:"
    for url in urls:
        match = next((found for form in forms if (found := form.fullmatch(url))), None)
        if match is None:
            raise ValueError(
                f"{url!r}: each URL must begin with {schemes}, then host or host:port, and may end with ?transport=udp "
                "or ?transport=tcp where it is a turn one"
            )
        _check_port(match["port"])
    return urls


def check_host_port(text: str) -> str:
    """``text``, which is host:port."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError("must be host:port")
    _check_port(match["port"])
    return text


def check_http_url(text: str) -> str:
    """``text``, which is the URL of an HTTP server, without a slash at its end."""
    match = _HTTP_URL.fullmatch(text)
    if match is None:
        raise ValueError("must be a URL that begins with http:// or https://, without user, query or fragment")
    _check_port(match["port"])
    return text.rstrip("/")


def check_reachable(rules: list[str]) -> list[str]:
    """``rules``, each of which is a host name, an address, or a network (10.0.0.0/8)."""
    for rule in rules:
        try:
            ipaddress.ip_network(rule, strict=False)
        except ValueError:
            if re.fullmatch(HOST, rule) is None:
                raise ValueError(f"{rule!r}: must be a host name, an address, or a network as 10.0.0.0/8") from None
    return rules


def check_public_ip(text: str) -> str:
    """``text``, which is an address that callers may reach, says how to learn one, or is empty."""
    if text in ("", "ec2", "stun"):
        return text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError('must be an IP address, "ec2", "stun", or empty') from None
    if "%" in text or address.is_unspecified or address.is_multicast or address.is_loopback or address.is_link_local:
        raise ValueError("must be an address that callers elsewhere can reach")
    return text


def ip_version(text: str) -> str:
    """``4`` or ``6``; empty where ``text`` is no address."""
    try:
        return str(ipaddress.ip_address(text).version)
    except ValueError:
        return ""


def _check_port(text: str | None) -> None:
    if text is not None and not 0 < int(text) < 65_536:
        raise ValueError(f"there is no port {text}")


def check_origins(origins: list[str]) -> list[str]:
    """Origins as browsers send them (RFC 6454, 6.2), or "*". Raises ValueError."""
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"'{origin}' is no origin; one is written https://app.example.org, with its port if any")
    return origins
