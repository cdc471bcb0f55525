"""The whole of ``voxrtc bench tts``: one voice, ours beside its package's own, as one document.

Chatterbox is measured with random weights on its two models and the loop over them, the other voices in the room that
a call hears them in. The parts are measured one after the other; one that fails is told in ``failed``.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import Any

from voxrtc.bench.machine import machine, today
from voxrtc.bench.tts.options import CHATTERBOX, Options, check
from voxrtc.bench.tts.parts import Parts, Progress
from voxrtc.bench.voxtral.keeping import Keep


def bench(
    options: Options,
    settings: Any = None,
    *,
    command: str | None = None,
    progress: Progress = lambda what, part: None,
    keep: Keep = lambda document: None,
) -> dict[str, Any]:
    """Measure; the keys of the document are in docs/benchmarks.md. ``settings``: voxrtc.settings.Settings, for voices
    other than Chatterbox; None for the defaults. ``keep`` is given the document after every part, with what there is by
    then. Raises VoxrtcError."""
    check(options)
    options = options.settled()
    parts = Parts()
    document: dict[str, Any] = {
        "voice": options.voice,
        "callers": options.callers,
        "date": today(),
        "command": command or shlex.join(["voxrtc", *sys.argv[1:]]),
        "machine": machine(),
        "complete": False,
        "failed": parts.failed,
    }
    for found in _measured(options, settings, parts, progress):
        document |= found
        keep(document)
    document["complete"] = True
    keep(document)
    return document


def _measured(options: Options, settings: Any, parts: Parts, progress: Progress) -> Iterator[dict[str, Any]]:
    """Part after part; what a voice needs is imported where it is measured."""
    if options.voice == CHATTERBOX:
        from voxrtc.bench.tts import chatterbox

        return chatterbox.measure(options, parts, progress)
    from voxrtc.bench.tts import embedded
    from voxrtc.settings import Settings

    return embedded.measure(settings or Settings(), options, parts, progress)
