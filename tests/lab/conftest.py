"""One lab, one server and one TURN server for all tests here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.coturn import Coturn
from tests.lab import running, spaces
from tests.lab.figures import FIGURES
from tests.lab.lab import Lab

WHY_NOT = spaces.missing()
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything here where there can be no lab."""
    for item in items:
        if HERE in item.path.parents and WHY_NOT is not None:
            item.add_marker(pytest.mark.skip(reason=f"no lab: {WHY_NOT}"))


@pytest.fixture(scope="session")
def the_lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(the_lab: Lab) -> Iterator[Lab]:
    """The lab as it was made: the caller at home, every wall open, nothing counted yet."""
    the_lab.counted()
    yield the_lab
    the_lab.wall("open")
    the_lab.without_turn(False)
    the_lab.media_reached(True)
    the_lab.at_home()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def turn(the_lab: Lab) -> AsyncIterator[Coturn]:
    async with running.turn_server(the_lab) as turn:
        yield turn


@pytest.fixture(scope="session")
def server(the_lab: Lab, turn: Coturn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    with running.Server(the_lab, tmp_path_factory.mktemp("server"), turn) as server:
        server.wait_ready()
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def caller(the_lab: Lab, turn: Coturn, server: running.Server) -> AsyncIterator[running.Caller]:
    """One process of a caller, which makes one call after another."""
    async with running.Caller(the_lab, turn) as caller:
        yield caller


@pytest.fixture
def data() -> Path:
    return running.ROOT / "tests" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES.tables:
        terminalreporter.section("measured in the lab")
        terminalreporter.write_line(FIGURES.markdown())
        FIGURES.write()
