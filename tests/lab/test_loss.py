"""Calls over bad networks: they stay up, what is said is understood, and the server's figures are the proxy's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.lab.figures import FIGURES
from tests.lab.lab import Lab
from tests.lab.running import Caller, Impaired

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="session")]

NEAR = 12
"""Packets by which two counts may differ that are not taken at the same instant (20 ms each), or before DTLS is up."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network(the_lab: Lab) -> AsyncIterator[Impaired]:
    async with Impaired(the_lab) as network:
        yield network


async def call(
    network: Impaired, caller: Caller, clip: Path, **impairment: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call on a network that does this both ways: what was heard and told, and what the proxy counted upwards."""
    await network.be(up=impairment, down=impairment)
    await caller.do("connect")
    told = await caller.do("speak", clip=str(clip))
    told["stats"] = await caller.do("stats")
    counted = await network.be()
    assert await caller.do("hang_up") is None, "it was up to the end"
    return told, counted["up"]


def delivered(stats: dict[str, Any]) -> float:
    """The part of what was sent that was heard as it was sent: in time, or from the redundancy in its successor."""
    sent = stats["received"] + stats["lost"]
    return 1 - stats["concealed"] / sent


def note(label: str, told: dict[str, Any], counted: dict[str, Any]) -> None:
    stats = told["stats"]
    share = {"WER %": told["wer"], "delivered %": delivered(stats), "lost %": counted["lost"] / counted["rtp"]}
    shown = ("received", "lost", "recovered", "concealed", "late", "jitter_ms", "buffer_ms")
    FIGURES.note(
        "calls over bad networks", label,
        **{name: 100.0 * value for name, value in share.items()}, **{name: stats[name] for name in shown},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("impairment", "errors"),
    [
        pytest.param({"loss": 0.05}, 0.2, id="5 % loss"),
        pytest.param({"loss": 0.10}, 0.3, id="10 % loss"),
        pytest.param({"loss": 0.20}, 0.5, id="20 % loss"),
        pytest.param({"loss": 0.05, "burst": 3.0}, 0.4, id="5 % in bursts of 3"),
        pytest.param({"loss": 0.05, "delay_ms": 60.0, "jitter_ms": 30.0}, 0.3, id="5 % loss, 60 ± 30 ms"),
        pytest.param({"delay_ms": 40.0, "reorder": 0.1, "duplicate": 0.1}, 0.2, id="10 % reordered, 10 % twice"),
        pytest.param({"rate_kbps": 64.0}, 0.2, id="64 kb/s"),
    ],
)
async def test_a_call_over_a_bad_network(
    lab: Lab, network: Impaired, caller: Caller, data: Path, request: pytest.FixtureRequest,
    impairment: dict[str, float], errors: float,
) -> None:  # fmt: skip
    """``errors``: word errors at the most; what they are is among the figures."""
    told, counted = await call(network, caller, data / "austen-0890.wav", **impairment)
    stats = told["stats"]
    note(request.node.callspec.id, told, counted)
    assert told["wer"] <= errors, told["transcript"]
    assert told["heard_s"] >= 0.5
    assert abs(stats["received"] - (counted["rtp"] - counted["lost"])) <= NEAR, (stats, counted)
    assert abs(stats["lost"] - counted["lost"]) <= NEAR, (stats, counted)
    assert stats["concealed"] <= stats["lost"] + stats["late"] + NEAR, stats
    if impairment.get("loss", 0.0) <= 0.05 and "burst" not in impairment:
        assert delivered(stats) >= 0.99, stats
