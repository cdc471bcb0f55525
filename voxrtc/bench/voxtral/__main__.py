"""``python -m voxrtc.bench.voxtral``: the same as ``voxrtc bench voxtral``, where nothing but torch, transformers and
rich is installed."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console

from voxrtc.bench.arguments import add_voxtral
from voxrtc.bench.voxtral import plot
from voxrtc.bench.voxtral.capacity import page
from voxrtc.bench.voxtral.options import Options, check
from voxrtc.bench.voxtral.show import show
from voxrtc.errors import VoxrtcError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m voxrtc.bench.voxtral", description=__doc__)
    add_voxtral(parser)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)-7s %(name)s: %(message)s")
    try:
        _bench(given)
    except VoxrtcError as error:
        print(f"voxrtc: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(given: argparse.Namespace) -> None:
    if given.capacity:
        sys.stdout.write(page())
        return
    options = Options.given(given)
    check(options)
    if given.plot is not None:
        plot.check()
    from voxrtc.bench.voxtral.bench import bench

    began = perf_counter()

    def told(what: str, part: float) -> None:
        print(f"{perf_counter() - began:6.1f} s  {what}, {100 * part:.0f} %", file=sys.stderr, flush=True)

    command = shlex.join(["python", "-m", "voxrtc.bench.voxtral", *sys.argv[1:]])
    document = bench(options, command=command, progress=told)
    if given.json is not None:
        Path(given.json).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(document, Console(highlight=False, width=110))
    if given.plot is not None:
        plot.plot(document, given.plot)


if __name__ == "__main__":
    sys.exit(main())
