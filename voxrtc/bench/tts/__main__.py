"""``python -m voxrtc.bench.tts``: the same as ``voxrtc bench tts``; for Chatterbox also where nothing but torch,
transformers and rich is installed."""

from __future__ import annotations

import sys
from functools import partial

from voxrtc.bench.arguments import add_tts
from voxrtc.bench.module import Given, measure, run
from voxrtc.bench.tts import plot
from voxrtc.bench.tts.bench import bench
from voxrtc.bench.tts.options import Options
from voxrtc.bench.tts.show import show


def _bench(given: Given) -> None:
    measure("tts", given, partial(bench, Options.given(given)), show, plot)


if __name__ == "__main__":
    sys.exit(run("tts", __doc__, add_tts, _bench))
