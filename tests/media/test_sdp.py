"""Offers as others write them (tests/media/offers: recorded, but for firefox.sdp, after its manner), and bad ones."""

from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.errors import SdpError
from voxrtc.media import sdp
from voxrtc.media.peer import Peer
from voxrtc.settings import Settings

OFFERS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "offers").glob("*.sdp"))}
CHROMIUM = OFFERS["chromium-audio"]
FIREFOX = OFFERS["firefox"]
VIDEO_FIRST = OFFERS["chromium-video-first"]


def without(text: str, *beginnings: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(beginnings)) + "\n"


def sections(text: str) -> list[list[str]]:
    """The m= sections of a description, each as its lines."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("m="):
            found.append([])
        if found:
            found[-1].append(line)
    return found


async def answered(offer: str) -> str:
    peer = await Peer.answer(offer, Settings())
    await peer.close()
    return peer.sdp


@pytest.mark.parametrize("name", OFFERS)
def test_aiortc_gets_opus_and_the_data_channel_alone(name: str) -> None:
    offer = sdp.read(OFFERS[name])
    given = SessionDescription.parse(offer.sdp)
    assert [m.kind for m in given.media] == ["audio", "application"]
    assert [c.mimeType for c in given.media[0].rtp.codecs] == ["audio/opus"]
    assert [m.rtp.muxId for m in given.media] == list(offer.bundle)
    assert all(m.dtls.fingerprints and m.ice.usernameFragment and m.ice.password for m in given.media)
    assert not any(c.ip.endswith(".local") or c.protocol != "udp" for m in given.media for c in m.ice_candidates)
    assert not any(m.ice_candidates_complete for m in given.media)


def test_candidates_of_a_refused_line_serve_the_whole_bundle() -> None:
    audio, _ = SessionDescription.parse(sdp.read(VIDEO_FIRST).sdp).media
    assert [c.ip for c in audio.ice_candidates] == ["192.0.2.2", "fd00::2"]


def test_mdns_names_are_left_out() -> None:
    audio, _ = SessionDescription.parse(sdp.read(FIREFOX).sdp).media
    assert [c.ip for c in audio.ice_candidates] == ["203.0.113.9"]


@pytest.mark.parametrize("name", OFFERS)
async def test_the_answer_has_one_fingerprint_and_opus_with_fec(name: str) -> None:
    answer = await answered(OFFERS[name])
    lines = answer.splitlines()
    assert answer.endswith("\r\n")
    prints = [line for line in lines if line.startswith("a=fingerprint")]
    assert prints
    assert all(line.startswith("a=fingerprint:sha-256 ") for line in prints)
    (audio,) = [s for s in sections(answer) if s[0].startswith("m=audio")]
    opus = audio[0].split()[-1]
    assert audio[0].split()[3:] == [opus]
    assert f"a=fmtp:{opus} minptime=10;useinbandfec=1" in audio
    assert any(line.startswith("a=candidate:") and " typ host" in line for line in audio)
    assert "a=sendrecv" in audio


@pytest.mark.parametrize("name", OFFERS)
async def test_the_answer_has_a_line_for_every_line_of_the_offer(name: str) -> None:
    theirs, ours = sections(OFFERS[name]), sections(await answered(OFFERS[name]))
    assert [s[0].split()[0] for s in ours] == [s[0].split()[0] for s in theirs]
    assert [line for s in ours for line in s if line.startswith("a=mid:")] == [
        line for s in theirs for line in s if line.startswith("a=mid:")
    ]
    for section in ours:
        assert ("a=inactive" in section) == section[0].startswith("m=video")


async def test_video_is_refused() -> None:
    video = "\n".join(sections(VIDEO_FIRST)[0]).replace("a=mid:0", "a=mid:2")
    answer = await answered(CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + video + "\n")
    assert "a=group:BUNDLE 0 1" in answer.splitlines()
    refused = sections(answer)[2]
    assert refused[0].startswith("m=video 0 ")
    assert refused[1:] == ["c=IN IP4 0.0.0.0", "a=inactive", "a=mid:2"]


async def test_video_whose_transport_carries_the_bundle_stays_but_inactive() -> None:
    answer = await answered(VIDEO_FIRST)
    assert "a=group:BUNDLE 0 1 2" in answer.splitlines()
    video, audio, _ = sections(answer)
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 96"
    assert "a=inactive" in video
    assert "a=rtpmap:96 VP8/90000" in video
    for name in ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=candidate"):
        assert [line for line in video if line.startswith(name)] == [line for line in audio if line.startswith(name)]


async def test_a_second_microphone_is_refused() -> None:
    extra = "\n".join(sections(CHROMIUM)[0]).replace("a=mid:0", "a=mid:2")
    kinds = [s[0].split()[:2] for s in sections(await answered(CHROMIUM + extra + "\n"))]
    assert [kind for kind, _ in kinds] == ["m=audio", "m=application", "m=audio"]
    assert kinds[2][1] == "0"


async def test_an_offer_without_bundle_is_answered_without() -> None:
    assert "BUNDLE" not in await answered(without(CHROMIUM, "a=group:"))


async def test_an_offer_without_candidates_or_data_channel_is_answered() -> None:
    audio_only = CHROMIUM[: CHROMIUM.index("m=application")].replace("BUNDLE 0 1", "BUNDLE 0")
    answer = await answered(without(audio_only, "a=candidate"))
    assert [s[0].split()[0] for s in sections(answer)] == ["m=audio"]


@pytest.mark.parametrize(("theirs", "ours"), [("sendonly", "recvonly"), ("recvonly", "sendonly")])
async def test_one_way_calls_are_answered_the_other_way(theirs: str, ours: str) -> None:
    assert f"a={ours}" in sections(await answered(CHROMIUM.replace("a=sendrecv", f"a={theirs}")))[0]


BAD = {
    "": "does not begin with v=0",
    "hello": "does not begin with v=0",
    "v=0\r\nnonsense\r\n": "Line 2 .* not of the form",
    "v=0\r\ns=-\r\n": "no audio line",
    "v=0\r\nm=audio\r\n": "not a valid m= line",
    "v=0\n" + "a=x\n" * 300_000: "at most 65536",
    CHROMIUM[: CHROMIUM.index("m=audio")] + "\n".join(sections(CHROMIUM)[1]): "no audio line",
    CHROMIUM.replace("opus/48000/2", "speex/16000"): "no Opus",
    CHROMIUM.replace(" 111 63", " 63"): "no Opus",
    CHROMIUM.replace("m=audio 57776", "m=audio 0"): "switched off",
    CHROMIUM.replace("a=sendrecv", "a=inactive"): "switched off",
    without(CHROMIUM, "a=ice-ufrag"): r"ICE user name",
    without(CHROMIUM, "a=ice-pwd"): r"ICE password",
    without(CHROMIUM, "a=fingerprint"): "certificate fingerprint",
    CHROMIUM.replace("sha-256", "sha-1"): "certificate fingerprint",
    without(CHROMIUM, "a=setup"): "DTLS role",
    CHROMIUM.replace("actpass", "holdconn"): "DTLS role",
    without(CHROMIUM, "a=mid"): "no a=mid",
    CHROMIUM.replace("a=mid:1", "a=mid:0"): "the same a=mid",
    without(CHROMIUM, "a=rtcp-mux"): "rtcp-mux",
    CHROMIUM + "m=video 9 UDP/TLS/RTP/SAVPF 96\n" * 40: "media lines",
}


@pytest.mark.parametrize(("offer", "sentence"), BAD.items(), ids=range(len(BAD)))
async def test_what_cannot_be_answered_says_why(offer: str, sentence: str) -> None:
    with pytest.raises(SdpError, match=sentence):
        await Peer.answer(offer, Settings())


@given(st.data())
def test_mangled_offers_are_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(list(OFFERS.values()))).splitlines()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "cut", "swap", "noise"]))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        elif change == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = lines[at][:12] + data.draw(st.text(max_size=20))
    try:
        offer = sdp.read("\n".join(lines))
    except SdpError:
        return
    SessionDescription.parse(offer.sdp)


def test_candidates_are_led_to_the_transport_that_carries_them() -> None:
    offer = sdp.read(VIDEO_FIRST)
    assert offer.bundle == ("1", "2")
    assert offer.transport_mid("0", 0) == "1"  # the refused video line
    assert offer.transport_mid("2", None) == "1"
    assert offer.transport_mid(None, 1) == "1"
    apart = sdp.read(without(CHROMIUM, "a=group:"))
    assert apart.transport_mid("1", None) == "1"
    assert apart.transport_mid(None, 0) == "0"
    assert apart.transport_mid("9", 7) is None
