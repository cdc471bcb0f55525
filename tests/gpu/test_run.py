"""tests/gpu/run.sh itself, on a machine that has little and no GPU: each part is tried, and the time is bounded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("transformers", reason="the gpu extra is not installed")

RUN = Path(__file__).with_name("run.sh")
MOST_S = 540
FEW = """
import sys
from importlib.machinery import PathFinder
LACKING = {"psutil", "matplotlib", "hypothesis", "pytest_asyncio", "pytest_timeout", "pydantic", "msgspec", "aiohttp"}
class Few:
    find_distributions = PathFinder.find_distributions
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in LACKING else PathFinder.find_spec(name, path, target)
sys.meta_path = [Few if finder is PathFinder else finder for finder in sys.meta_path]
"""


def test_parts_are_nine_minutes_at_the_most() -> None:
    script = RUN.read_text(encoding="utf-8")
    limits = [int(s) for s in re.findall(r"^\s*(?:part|bench) (\d+) \w+", script, re.M)]
    (grace,) = map(int, re.findall(r"^kill_after=(\d+)", script, re.M))
    assert len(limits) == 7
    assert sum(limits) + grace * len(limits) <= MOST_S


@pytest.mark.timeout(300)
def test_it_runs_where_little_is_installed(tmp_path: Path) -> None:
    """Tests are collected and the bench begins; what is missing then is a GPU."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FEW, encoding="utf-8")
    line = "--device cpu --rows 1 --context 64 --repeat 1 --mix-seconds 0.1 --no-stock"
    surroundings = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path / "site"), "BENCH": line}
    surroundings["TTS"] = "--device cpu --callers 1 --repeat 1 --seconds 0.1 --no-stock"
    surroundings["WHEELS"] = str(tmp_path)
    done = subprocess.run(
        ["sh", str(RUN), str(tmp_path / "out")], env=surroundings, capture_output=True, text=True, timeout=290
    )
    told = (tmp_path / "out" / "run.log").read_text(encoding="utf-8")
    assert re.search(r"== tests ended with status 0", told), told
    assert "errors" not in (tmp_path / "out" / "tests.log").read_text(encoding="utf-8")
    assert "none.png is not drawn, since matplotlib is not installed" in told
    assert (tmp_path / "out" / "none.json").is_file()
    assert (tmp_path / "out" / "tts.json").is_file()
    assert not (tmp_path / "out" / "none.png").exists()
    assert done.returncode in (0, 1)
