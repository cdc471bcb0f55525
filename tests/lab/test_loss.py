"""Calls over bad networks: they stay up, what is said is understood, and the server's figures are the proxy's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import ceil
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_asyncio

from tests.lab.figures import FIGURES
from tests.lab.lab import Lab
from tests.lab.running import Caller, Impaired
from voxrtc.audio import HEARD_RATE

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="session")]

BLOCK = HEARD_RATE // 50
NEAR = 12
"""Packets (20 ms each) that may be on their way where two count, or came before DTLS was up."""
LAG = NEAR + 10
"""Packets that the buffer may hold (media.jitter_max_ms), besides."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network(the_lab: Lab) -> AsyncIterator[Impaired]:
    async with Impaired(the_lab) as network:
        yield network


async def call(
    network: Impaired, caller: Caller, clip: Path, impairment: dict[str, float]
) -> tuple[dict[str, Any], dict[str, int]]:
    """A call on a network that does this both ways: what was heard and told, and what the proxy counted upwards.

    It connects on a good one: what is lost of SCTP's handshake stock aiortc only sends again after 3 s, and then 6 s.
    """
    await network.be()
    began = time()
    await caller.do("connect")
    await network.be(**impairment)
    told = await caller.do("speak", clip=str(clip), loss_percent=ceil(100 * impairment.get("loss", 0.0)))
    await network.be()
    assert await caller.do("hang_up") is None, "it was up to the end"
    return told, await network.counted(began, told["stats"]["time"])


def genuine(stats: dict[str, Any]) -> float:
    """The part that was heard as it was sent, or restored from the FEC in its successor."""
    return 1 - stats["concealed"] / (stats["received"] + stats["lost"])


def note(label: str, told: dict[str, Any], counted: dict[str, int]) -> None:
    stats = told["stats"]
    share = {
        "lost %": counted["lost"] / counted["rtp"],
        "genuine %": genuine(stats),
        "WER %": told["wer"],
    }
    shown = ("received", "lost", "recovered", "concealed", "late", "jitter_ms", "buffer_ms")
    percent = {name: 100.0 * value for name, value in share.items()}
    FIGURES.note("calls over bad networks", label, **percent, **{name: stats[name] for name in shown})


@pytest.mark.parametrize(
    ("clip", "impairment", "errors"),
    [
        pytest.param("austen-0890", {"loss": 0.05}, 0.2, id="5 % loss"),
        pytest.param("austen-0930", {"loss": 0.10}, 0.3, id="10 % loss"),
        pytest.param("austen-0890", {"loss": 0.20}, 0.5, id="20 % loss"),
        pytest.param("austen-0930", {"loss": 0.05, "burst": 3.0}, 0.4, id="5 % in bursts of 3"),
        pytest.param(
            "austen-0930", {"loss": 0.05, "delay_ms": 60.0, "jitter_ms": 30.0}, 0.3, id="5 % loss, 60 ± 30 ms"
        ),
        pytest.param(
            "austen-0930", {"delay_ms": 40.0, "reorder": 0.1, "duplicate": 0.1}, 0.2, id="10 % reordered, 10 % twice"
        ),
        pytest.param("austen-0930", {"rate_kbps": 64.0}, 0.2, id="64 kb/s"),
    ],
)
async def test_a_call_over_a_bad_network(
    lab: Lab, network: Impaired, caller: Caller, data: Path, request: pytest.FixtureRequest,
    clip: str, impairment: dict[str, float], errors: float,
) -> None:  # fmt: skip
    """``errors``: word errors at the most; what they are is among the figures."""
    told, counted = await call(network, caller, data / f"{clip}.wav", impairment)
    stats = told["stats"]
    note(request.node.callspec.id, told, counted)
    assert told["wer"] <= errors, told["transcript"]
    assert told["heard_s"] >= 0.5
    assert abs(stats["received"] - (counted["rtp"] - counted["lost"])) <= NEAR, (stats, counted)
    assert abs(stats["lost"] - counted["lost"]) <= NEAR, (stats, counted)
    assert stats["concealed"] <= stats["lost"] + stats["late"] + NEAR, stats
    assert not stats["dropped"], stats
    waiting = stats["received"] + stats["lost"] - stats["at"] / BLOCK
    assert -NEAR <= waiting <= LAG, f"all the time that was sent was heard, but for what still waits: {stats}"
    if impairment.get("loss", 0.0) <= 0.05 and "burst" not in impairment:
        assert genuine(stats) >= 0.93, stats
