import pytest

from voxrtc.errors import SdpError
from voxrtc.media import ice

HOST = "842163049 1 udp 1677729535 198.51.100.7 51472 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag aXyZ"


def test_no_server_is_asked_unasked() -> None:
    assert ice.configuration().iceServers == []


def test_a_candidate_is_cut_down_to_what_is_needed() -> None:
    assert ice.usable(HOST) == "842163049 1 udp 1677729535 198.51.100.7 51472 typ srflx"
    assert ice.usable("1 1 UDP 1 2001:DB8::1 9000 typ host") == "1 1 udp 1 2001:db8::1 9000 typ host"


@pytest.mark.parametrize(
    "line",
    [
        "1 1 udp 1 0b5a6a1c-6a0a-4ef4-b3cb-1d6f2b0a7d11.local 9000 typ host",
        "1 1 udp 1 example.org 9000 typ host",
        "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "1 2 udp 1 192.0.2.1 9000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 1 0.0.0.0 9000 typ host",
        "1 1 udp 1 224.0.0.1 9000 typ host",
        "1 1 udp 1 fe80::1%eth0 9000 typ host",
        "1 1 udp 1 192.0.2.1 9000 typ prflx",
    ],
)
def test_candidates_of_no_use_are_passed_over(line: str) -> None:
    assert ice.usable(line) is None
    assert ice.parse(f"candidate:{line}") is None


@pytest.mark.parametrize("prefix", ["candidate:", "a=candidate:", ""])
def test_a_trickled_candidate_is_read(prefix: str) -> None:
    candidate = ice.parse(prefix + HOST)
    assert candidate is not None
    assert (candidate.ip, candidate.port, candidate.type) == ("198.51.100.7", 51472, "srflx")


@pytest.mark.parametrize(
    "text", ["nonsense", "candidate:", "candidate:1 1 udp x 1.2.3.4 5 typ host", "candidate:" + "9" * 2_000]
)
def test_what_is_no_candidate_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(SdpError, match="not an ICE candidate"):
        ice.parse(text)
