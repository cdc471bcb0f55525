from voxrtc.media.totals import COUNTS, LinkTotals


def counted(received: int, **others: int) -> dict[str, object]:
    return dict.fromkeys(COUNTS, 0) | {"received": received, "jitter_ms": 2.0, "route": "direct"} | others


def test_a_call_counts_on_over_its_peers() -> None:
    totals = LinkTotals()
    assert totals.of(counted(100, lost=3))["received"] == 100
    assert totals.of(counted(200, lost=2))["lost"] == 2
    totals.join()
    assert totals.of(counted(0))["received"] == 200
    told = totals.of(counted(50, lost=1, late=4))
    assert (told["received"], told["lost"], told["late"]) == (250, 3, 4)
    assert (told["jitter_ms"], told["route"]) == (2.0, "direct")
    totals.join()
    totals.join()  # a peer that never told anything
    assert totals.of(counted(1))["received"] == 251
