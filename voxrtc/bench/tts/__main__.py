"""``python -m voxrtc.bench.tts``: the same as ``voxrtc bench tts``; for Chatterbox also where nothing but torch,
transformers and rich is installed."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from time import perf_counter

from rich.console import Console

from voxrtc.bench.arguments import add_tts
from voxrtc.bench.tts import plot
from voxrtc.bench.tts.bench import bench
from voxrtc.bench.tts.options import Options
from voxrtc.bench.tts.show import show
from voxrtc.bench.voxtral.keeping import kept
from voxrtc.errors import VoxrtcError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m voxrtc.bench.tts", description=__doc__)
    add_tts(parser)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)-7s %(name)s: %(message)s")
    try:
        _bench(given)
    except VoxrtcError as error:
        print(f"voxrtc: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(given: argparse.Namespace) -> None:
    picture = plot.possible(given.plot, lambda note: print(f"voxrtc: {note}", file=sys.stderr, flush=True))
    began = perf_counter()

    def told(what: str, part: float) -> None:
        print(f"{perf_counter() - began:6.1f} s  {what}, {100 * part:.0f} %", file=sys.stderr, flush=True)

    command = shlex.join(["python", "-m", "voxrtc.bench.tts", *sys.argv[1:]])
    document = bench(Options.given(given), command=command, progress=told, keep=kept(given.json))
    show(document, Console(highlight=False, width=110))
    if picture is not None:
        plot.plot(document, picture)


if __name__ == "__main__":
    sys.exit(main())
