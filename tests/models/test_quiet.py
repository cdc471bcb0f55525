"""What torchao warns of, which transformers imports, is not shown where nothing is in fewer bits."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
logging.basicConfig(level="INFO", stream=sys.stderr)
from voxrtc.models import quiet
from voxrtc.settings import Models
quiet.hush(Models(quantize=sys.argv[1]))
from transformers import VoxtralForConditionalGeneration
logging.getLogger("torchao").warning("a kernel is missing")
"""


@pytest.mark.parametrize(("bits", "shown"), [("none", False), ("int8", True)])
def test_torchao_is_heard_where_it_is_used(bits: str, shown: bool) -> None:
    pytest.importorskip("torchao", reason="the gpu extra is not installed")
    pytest.importorskip("transformers", reason="the gpu extra is not installed")
    done = subprocess.run([sys.executable, "-c", SCRIPT, bits], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert ("a kernel is missing" in done.stderr) == shown
    assert ("Failed to load" in done.stderr) <= shown
    assert "_pytree" not in done.stderr
