"""The document of the clients, and what is read out of their reports and recordings for it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.interop import judging, matrix, sound
from tests.interop.clients import CLIENTS, NODE, PROGRAMS
from voxrtc.audio import HEARD_RATE, level_dbfs

OFFERS = Path(__file__).parents[1] / "media" / "offers"


def row(client: str, **fields: object) -> judging.Row:
    known = {
        "version": "1.2",
        "runs_on": "Node 18",
        "date": "2026-01-02",
        "answer_ms": 10,
        "connected_ms": 90,
        "wer_in": 0.0,
        "wer_out": 0.125,
        "reply_s": 3.0,
        "frame_ms": 2.5,
        "dtx": True,
        "events": 30,
        "command": "export_memory answered",
        "dtls": "client",
        "bundle": "0 1",
        "fingerprints": "sha-256 in each line",
        "payloads": "opus alone",
        "opus": "useinbandfec=1",
        "extensions": 4,
        "candidates": "0 in the offer, 2 by PATCH",
    }
    return judging.Row(client=client, **(known | fields))


def test_the_document_names_exactly_the_clients_of_the_suite() -> None:
    assert matrix.names(matrix.DOCUMENT.read_text()) == [client.name for client in CLIENTS]


def test_the_document_is_made_of_the_rows() -> None:
    rows = {client.name: row(client.name) for client in CLIENTS} | {"werift": row("werift", date="2026-02-03")}
    text = matrix.document(rows)
    assert matrix.names(text) == [client.name for client in CLIENTS]
    assert "last on 2026-02-03" in text
    assert "| werift | 1.2 | 10 | 90 | 0% | 12% | 30 events down, export_memory answered | 2.5 | yes |" in text
    for client in CLIENTS:
        assert f"- **{client.name}** (Node 18): {client.note}" in text


def test_a_client_without_a_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "ROWS", tmp_path)
    with pytest.raises(SystemExit, match="No call of Chromium, Firefox ESR"):
        matrix.rows()


def test_the_packages_of_node_are_pinned_exactly() -> None:
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    locked = json.loads((NODE / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    scripts = {path.stem for path in NODE.glob("*.mjs")} - {"common", "rtp", "mobile", "native"}
    assert scripts == {"roamhq", "werift", "node-datachannel"}
    assert {path.stem for path in PROGRAMS.glob("*_caller.py")} == {"gstreamer_caller", "wrtc_caller"}


@pytest.mark.parametrize(
    ("name", "bundle", "prints", "payloads"),
    [
        ("firefox-esr", "0 1", "sha-256 in the session part", "opus, G722, PCMU, PCMA, telephone-event"),
        ("node-datachannel", "audio 0", "sha-256 in the session part", "opus alone"),
        ("gstreamer", "audio0 application1", "sha-256 in each line", "OPUS alone"),
    ],
)
def test_what_is_read_in_an_offer(name: str, bundle: str, prints: str, payloads: str) -> None:
    trickled = [
        "candidate:0 1 UDP 2122187007 0123.local 40000 typ host",
        "candidate:1 1 TCP 2105458943 fd00::2 9 typ host tcptype active",
    ]
    report = {"offer": (OFFERS / f"{name}.sdp").read_text(), "answer": "a=setup:active", "trickled": trickled}
    told = judging.offered(report)
    assert (told["bundle"], told["fingerprints"], told["payloads"]) == (bundle, prints, payloads)
    assert told["dtls"] == "client"
    assert told["candidates"] == "0 in the offer, 2 by PATCH, mDNS, IPv6, TCP"


@pytest.mark.parametrize("frame_ms", [10, 20, 60])
@pytest.mark.parametrize("pauses", [False, True])
def test_the_length_of_packets_is_read_off_what_the_server_counts(frame_ms: float, pauses: bool) -> None:
    each = 2000 / frame_ms
    counts = [each, 2 * each, 2 * each + 5 if pauses else 3 * each]
    stats = [{"type": "media_stats", "time": 102.0 + 2 * i, "received": int(n)} for i, n in enumerate(counts)]
    report = {"events": [{"type": "call_started", "time": 100.0}, *stats]}
    assert judging.sending(report) == (frame_ms, pauses)


@pytest.mark.parametrize(("frame_ms", "dtx"), [(2.5, False), (10, True), (20, False), (60, True)])
def test_packets_made_for_a_client_sound_like_the_clip(tmp_path: Path, data: Path, frame_ms: float, dtx: bool) -> None:
    samples = sound.prepare(tmp_path, data / "austen-0930.wav")
    sound.prepare_packets(tmp_path, samples, frame_ms, dtx=dtx)
    packets = json.loads((tmp_path / "packets.json").read_text())["packets"]
    assert (None in packets) == dtx
    rtp = [
        {"seq": n, "timestamp": int(n * frame_ms * 48 + 2**32 - 1000) % 2**32, "payload": packet}
        for n, packet in enumerate(packets)
        if packet
    ]
    (tmp_path / "heard.json").write_text(json.dumps(rtp))
    heard = sound.voiced(sound.heard(tmp_path))
    assert 2.5 < heard.size / HEARD_RATE < 3.6
    assert level_dbfs(heard) > -35


def test_silence_is_not_taken_for_speech() -> None:
    assert sound.voiced(np.zeros(HEARD_RATE, dtype=np.float32)).size == 0
