"""``python -m voxrtc.bench.voxtral``: the same as ``voxrtc bench voxtral``, where nothing but torch, transformers and
rich is installed."""

from __future__ import annotations

import sys
from functools import partial

from voxrtc.bench.arguments import add_voxtral
from voxrtc.bench.module import Given, measure, run
from voxrtc.bench.voxtral import plot
from voxrtc.bench.voxtral.capacity import page
from voxrtc.bench.voxtral.options import Options, check
from voxrtc.bench.voxtral.show import show


def _bench(given: Given) -> None:
    if given.capacity:
        sys.stdout.write(page())
        return
    options = Options.given(given)
    check(options)
    from voxrtc.bench.voxtral.bench import bench

    measure("voxtral", given, partial(bench, options), show, plot)


if __name__ == "__main__":
    sys.exit(run("voxtral", __doc__, add_voxtral, _bench))
