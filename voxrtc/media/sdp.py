"""Session descriptions (RFC 8866, RFC 9429): the caller's offer, checked before aiortc sees it, and our answer.

aiortc is given only what it needs: one audio line with Opus alone, one data channel line, and attributes whose form
was checked. All other lines of the offer (video, a second microphone) are refused in the answer, but for one that is
first in the bundle: its transport carries all, and libwebrtc loses the transport with the line. It stays, inactive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from voxrtc.errors import SdpError
from voxrtc.media import ice

MAX_SDP = 65_536
"""Characters of an offer; Chromium's longest, with video and many candidates, has about 12 000."""

MAX_CANDIDATES = 64
MAX_SECTIONS = 32
OPUS_FMTP = "minptime=10;useinbandfec=1"

_MEDIA = re.compile(r"(?P<kind>[a-z]+) (?P<port>\d{1,5})(?:/\d+)? (?P<protocol>[A-Z/]+) (?P<formats>\S+(?: \S+)*)")
_OPUS = re.compile(r"(?P<type>\d{1,3}) opus/48000(?:/2)?", re.IGNORECASE)
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_FLAGS = (*_DIRECTIONS, "bundle-only", "ice-lite", "rtcp-mux")
_MID_EXTENSION = re.compile(r"([1-9]|1[0-4])(?:/[a-z]+)? urn:ietf:params:rtp-hdrext:sdes:mid")
_FORMS = {
    "mid": re.compile(r"[^\s,]{1,64}"),
    "ice-ufrag": re.compile(r"\S{4,256}"),
    "ice-pwd": re.compile(r"\S{22,256}"),
    "fingerprint": re.compile(r"(?i:sha-(?:256|384|512)) (?:[0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2}"),
    "setup": re.compile(r"actpass|active|passive"),
    "extmap": _MID_EXTENSION,
    "msid": re.compile(r"\S{1,256}(?: \S{1,256})?"),
    "ssrc": re.compile(r"\d{1,10} cname:\S{1,256}"),
    "sctp-port": re.compile(r"[1-9]\d{0,4}"),
    "max-message-size": re.compile(r"\d{1,10}"),
    "rtpmap": _OPUS,
}
"""The attributes that are passed on, and the form each must have; others are left out.

``end-of-candidates`` is one of those: aioice would give up at once on a caller whose only candidates are mDNS names,
although that caller's own checks are about to arrive.
"""

_TRANSPORT = ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
_NAMES = {
    "ice-ufrag": "ICE user name (a=ice-ufrag)",
    "ice-pwd": "ICE password (a=ice-pwd)",
    "fingerprint": "certificate fingerprint (a=fingerprint, sha-256)",
    "setup": "DTLS role (a=setup)",
}


@dataclass(slots=True)
class Section:
    """One m= section of an offer, or its session part (``kind`` empty): known attributes, by name."""

    kind: str = ""
    port: int = 0
    protocol: str = ""
    formats: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)
    candidates: list[str] = field(default_factory=list)
    first_codec: list[str] = field(default_factory=list)
    """The a= lines about the first of ``formats``, as they came."""
    kept: bool = False
    """Given to aiortc."""
    held: bool = False
    """Not given to aiortc, but not refused either: it is the first in the bundle."""

    @property
    def mid(self) -> str:
        return self.attributes.get("mid", [""])[0]

    @property
    def direction(self) -> str:
        return next((d for d in _DIRECTIONS if d in self.attributes), "sendrecv")

    @property
    def offered(self) -> bool:
        """Whether the caller wants this section at all (a zero port refuses it, RFC 9143 7.2.1 excepted)."""
        return self.port != 0 or "bundle-only" in self.attributes


@dataclass(frozen=True, slots=True)
class Offer:
    """A caller's offer that can be answered."""

    sdp: str
    """What aiortc is given."""
    sections: tuple[Section, ...]
    bundle: tuple[str, ...]
    """mids of the lines kept that share one transport, the one that carries it first; empty if none do."""
    direction: str
    """Of the audio line, as the caller sees it: ``sendrecv``, ``sendonly`` or ``recvonly``."""

    @property
    def transport(self) -> tuple[str, int]:
        """mid and number of the line whose transport carries the audio."""
        audio = next(s.mid for s in self.sections if s.kept and s.kind == "audio")
        mid = self.bundle[0] if audio in self.bundle else audio
        return mid, next(n for n, s in enumerate(self.sections) if s.mid == mid)

    def transport_mid(self, mid: str | None, index: int | None) -> str | None:
        """mid of the line whose transport a candidate for line ``mid`` or number ``index`` belongs to."""
        section = next((s for s in self.sections if mid and s.mid == mid), None)
        if section is None and index is not None and 0 <= index < len(self.sections):
            section = self.sections[index]
        if self.bundle and (section is None or section.mid in self.bundle or not section.kept):
            return self.bundle[0]
        return section.mid if section is not None and section.kept else None


def read(text: str) -> Offer:
    """Check the offer ``text``. Raises SdpError with a sentence on one that cannot be answered."""
    session, sections = _parse(text)
    audio = _choose_audio(sections)
    audio.kept = True
    data = next((s for s in sections if s.kind == "application" and s.offered and "SCTP" in s.protocol), None)
    if data is not None:
        data.kept = True
    kept = [s for s in sections if s.kept]
    group = _bundle(session, sections)
    tagged = next((s for s in sections if group and s.mid == group[0]), None)
    for section in kept:
        _complete(section, session, tagged if section.mid in group else None)
    bundle = tuple(mid for mid in group if any(s.mid == mid for s in kept))
    if bundle and tagged is not None:
        tagged.held = not tagged.kept
        primary = next(s for s in kept if s.mid == bundle[0])
        shared = (s.candidates for s in (tagged, *sections) if s.mid in group and s.candidates)
        primary.candidates = next(shared, [])
    return Offer("".join(_write(session, kept, bundle)), tuple(sections), bundle, audio.direction)


def answer(text: str, offer: Offer, whole: bool = True) -> str:
    """aiortc's answer ``text`` to ``offer`` as the caller gets it.

    ``whole``: no candidates of ours will come later, which the answer then says (RFC 8840, 4.1.3).
    One sha-256 fingerprint (libdatachannel fails on several), Opus with in-band FEC, and a refusal for every line that
    was not kept.
    """
    head, *parts = re.split(r"^(?=m=)", text, flags=re.MULTILINE)
    kept = (s.mid for s in offer.sections if s.kept)
    ours = {mid: list(_ours(part.splitlines())) for mid, part in zip(kept, parts, strict=True)}
    lines = [line for line in head.splitlines() if not line.startswith("a=group:")]
    if offer.bundle:
        group = [*(s.mid for s in offer.sections if s.held), *offer.bundle]
        at = next((i + 1 for i, line in enumerate(lines) if line.startswith("t=")), len(lines))
        lines.insert(at, f"a=group:BUNDLE {' '.join(group)}")
    if not whole:
        ours = {mid: [line for line in part if line != "a=end-of-candidates"] for mid, part in ours.items()}
    for section in offer.sections:
        if section.kept:
            lines += ours[section.mid]
        elif section.held:
            lines += _inactive(section, ours[offer.bundle[0]])
        else:
            lines += _refusal(section)
    return "\r\n".join(lines) + "\r\n"


# -- reading ----------------------------------------------------------------------------------------------


def _parse(text: str) -> tuple[Section, list[Section]]:
    if len(text) > MAX_SDP:
        raise SdpError(f"The offer has {len(text)} characters; at most {MAX_SDP} are read.")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "v=0":
        raise SdpError("This is no SDP offer: it does not begin with v=0.")
    session = Section()
    sections: list[Section] = []
    for number, line in enumerate(lines, 1):
        if not re.match(r"[a-z]=", line):
            raise SdpError(f"Line {number} of the offer is not of the form x=value.")
        if line.startswith("m="):
            sections.append(_media(line, number))
        elif line.startswith("a="):
            _attribute(line[2:], sections[-1] if sections else session)
    if len(sections) > MAX_SECTIONS:
        raise SdpError(f"The offer has {len(sections)} media lines; at most {MAX_SECTIONS} are read.")
    mids = [s.mid for s in sections if s.mid]
    if len(set(mids)) < len(mids):
        raise SdpError("Two media lines of the offer have the same a=mid.")
    return session, sections


def _media(line: str, number: int) -> Section:
    match = _MEDIA.fullmatch(line[2:])
    if match is None:
        raise SdpError(f"Line {number} of the offer is not a valid m= line.")
    return Section(match["kind"], int(match["port"]), match["protocol"], match["formats"])


def _attribute(text: str, section: Section) -> None:
    """Keep ``text`` (``name:value``) in ``section`` if it is one we know, in the form it must have."""
    name, _, value = text.partition(":")
    if name == "candidate":
        needed = ice.usable(value)
        if needed and len(section.candidates) < MAX_CANDIDATES:
            section.candidates.append(needed)
    elif name in ("rtpmap", "fmtp") and value.split(" ")[0] == section.formats.split(" ")[0]:
        section.first_codec.append(f"a={text}")
    if _known(name, value):
        section.attributes.setdefault(name, []).append(value)


def _known(name: str, value: str) -> bool:
    if name == "group":
        return value.startswith("BUNDLE")
    if name in _FLAGS:
        return True
    return name in _FORMS and _FORMS[name].fullmatch(value) is not None


def _choose_audio(sections: list[Section]) -> Section:
    audio = [s for s in sections if s.kind == "audio"]
    if not audio:
        raise SdpError("The offer has no audio line: a call needs a microphone or a loudspeaker.")
    usable = [s for s in audio if s.offered and s.direction != "inactive"]
    if not usable:
        raise SdpError("The offer's audio line is switched off (port 0 or a=inactive).")
    for section in usable:
        if _opus(section):
            if "rtcp-mux" not in section.attributes:
                raise SdpError("The offer's audio line has no a=rtcp-mux; a second port for RTCP is not opened.")
            return section
    raise SdpError("The offer's audio has no Opus (opus/48000, payload type 96 to 127), the only codec spoken here.")


def _opus(section: Section) -> str | None:
    """The payload type of Opus in ``section``, the caller's favourite first."""
    types = {value.split()[0] for value in section.attributes.get("rtpmap", [])}
    return next((t for t in section.formats.split() if t in types and 96 <= int(t) <= 127), None)


def _bundle(session: Section, sections: list[Section]) -> list[str]:
    known = {s.mid for s in sections if s.mid and s.offered}
    group = next(iter(session.attributes.get("group", [])), "").split()[1:]
    return [mid for mid in group if mid in known]


def _complete(section: Section, session: Section, tagged: Section | None) -> None:
    """Give ``section`` the transport attributes it takes from the session part or the bundle's first line."""
    if not section.mid:
        raise SdpError(f"The offer's {section.kind} line has no a=mid.")
    for name in _TRANSPORT:
        sources = (tagged or section, section, session)
        found = next((s.attributes[name] for s in sources if name in s.attributes), None)
        if found is None:
            raise SdpError(f"The offer's {section.kind} line has no valid {_NAMES[name]}.")
        section.attributes[name] = found


# -- writing ----------------------------------------------------------------------------------------------


def _write(session: Section, kept: list[Section], bundle: tuple[str, ...]) -> Iterator[str]:
    lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=msid-semantic:WMS *"]
    if bundle:
        lines.append(f"a=group:BUNDLE {' '.join(bundle)}")
    if "ice-lite" in session.attributes:
        lines.append("a=ice-lite")
    for section in kept:
        lines += _section(section)
    return (line + "\r\n" for line in lines)


def _section(section: Section) -> Iterator[str]:
    attributes = section.attributes
    if section.kind == "audio":
        opus = _opus(section)
        yield f"m=audio 9 UDP/TLS/RTP/SAVPF {opus}"
        yield f"a={section.direction}"
        yield f"a=rtpmap:{opus} opus/48000/2"
        yield "a=rtcp-mux"
        names: tuple[str, ...] = ("mid", "extmap", "msid", "ssrc")
    else:
        legacy = section.protocol == "DTLS/SCTP"
        yield f"m=application 9 {section.protocol} {section.formats if legacy else 'webrtc-datachannel'}"
        attributes.setdefault("sctp-port", ["5000"])
        attributes.setdefault("max-message-size", [str(MAX_SDP)])
        names = ("mid", "sctp-port", "max-message-size")
    for name in (*names, *_TRANSPORT):
        for value in attributes.get(name, []):
            yield f"a={name}:{value}"
    for candidate in section.candidates:
        yield f"a=candidate:{candidate}"


def _ours(lines: list[str]) -> Iterator[str]:
    """One section of our answer."""
    for line in lines:
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "fmtp" or (name == "fingerprint" and not value.startswith("sha-256 ")):
            continue
        yield line
        if name == "rtpmap" and (match := _OPUS.fullmatch(value)):
            yield f"a=fmtp:{match['type']} {OPUS_FMTP}"


def _inactive(section: Section, primary: list[str]) -> Iterator[str]:
    """The answer to a line that only lends its transport, which is described as in the ``primary`` section."""
    yield f"m={section.kind} 9 {section.protocol} {section.formats.split()[0]}"
    yield "c=IN IP4 0.0.0.0"
    yield "a=inactive"
    yield f"a=mid:{section.mid}"
    yield "a=rtcp-mux"
    yield from section.first_codec
    for line in primary:
        if line.removeprefix("a=").partition(":")[0] in (*_TRANSPORT, "candidate"):
            yield line


def _refusal(section: Section) -> Iterator[str]:
    """The answer to a line that is not taken up (RFC 3264, 6): port zero."""
    yield f"m={section.kind} 0 {section.protocol} {section.formats}"
    yield "c=IN IP4 0.0.0.0"
    yield "a=inactive"
    if section.mid:
        yield f"a=mid:{section.mid}"
