"""``voxrtc bench``: measure something, write it down, show it. What of voxrtc.bench is asked for is imported then."""

from __future__ import annotations

import argparse
from functools import partial

from voxrtc.errors import VoxrtcError
from voxrtc.verbs.terminal import Reporter, bars, console, errors, pull, run, settings_of, write_json


def call(options: argparse.Namespace) -> int:
    """Measure real calls: each clip of a folder is one turn."""
    from voxrtc.bench.call import bench
    from voxrtc.bench.show import Progress, show_bench

    if options.url is not None and options.unspeculated:
        raise VoxrtcError("--unspeculated starts a second server, so it cannot be given with --url")
    how = {"rounds": options.rounds, "words": options.words, "unspeculated": options.unspeculated}
    with Progress(errors, "measuring calls") as progress:
        document = run(bench(options.url, options.audio, options.calls, on_row=progress.on_row, **how))
    write_json(options.json, document)
    show_bench(document, console)
    return 0 if document["answered"] and not document["failed"] else 1


def turns(options: argparse.Namespace) -> int:
    """Measure how turns are taken, in virtual time: cut-offs, interruptions, echo, noise, memory."""
    from voxrtc.bench.turns import evidence, plot
    from voxrtc.bench.turns.bench import bench
    from voxrtc.bench.turns.show import show

    settings = settings_of(options)
    if options.plot is not None:
        plot.check()  # before minutes of measuring, not after them
    pull(settings, evidence.NEEDED)
    with bars() as shown:
        how = {"seed": options.seed, "quick": options.quick, "progress": Reporter(shown)}
        document = bench(settings, options.audio, **how)
    write_json(options.json, document)
    if options.plot is not None:
        plot.plot(document, options.plot)
    show(document, console)
    return 0


def media(options: argparse.Namespace) -> int:
    """Measure calls that are echoed through the media path, beside stock aiortc: sound, delay, CPU, memory."""
    from voxrtc.bench.impair import Impairment
    from voxrtc.bench.media import plot
    from voxrtc.bench.media.bench import bench
    from voxrtc.bench.media.measure import Plan
    from voxrtc.bench.media.show import show
    from voxrtc.bench.media.words import understood

    settings = settings_of(options)  # what is wrong with them is told before anything is started
    if options.plot is not None:
        plot.check()
    try:
        network = {key: getattr(options, key) for key in ("loss", "burst", "delay_ms", "jitter_ms")}
        plan = Plan(options.calls, options.seconds, Impairment(**network), options.seed, options.config)
    except ValueError as error:
        raise VoxrtcError(str(error)) from None
    how = {"stock": not options.no_stock, "one_after_another": options.one_after_another, "relayed": options.relay}
    with bars() as shown:
        document = run(bench(plan, **how, sweep=options.plot is not None, progress=Reporter(shown)))
    if options.words:
        with bars() as shown:
            document["wer"] = understood(settings, options.audio, progress=partial(Reporter(shown), "words"))
    write_json(options.json, document)
    if options.plot is not None:
        plot.plot(document, options.plot)
    show(document, console)
    return 0


def emotion(options: argparse.Namespace) -> int:
    """Measure how long the mood of a clause takes to be read."""
    from voxrtc.bench.emotion import bench, show

    document = bench(options.seed)
    write_json(options.json, document)
    show(document, console)
    return 0


def voxtral(options: argparse.Namespace) -> int:
    """Measure Voxtral's steps on a GPU, with random weights, beside transformers' generate and the memory's floor."""
    from voxrtc.bench.voxtral import capacity, plot
    from voxrtc.bench.voxtral.keeping import kept
    from voxrtc.bench.voxtral.options import Options, check
    from voxrtc.bench.voxtral.show import show

    if options.capacity:
        console.out(capacity.page(), end="", highlight=False)
        return 0
    wanted = Options.given(options)
    check(wanted)
    picture = plot.possible(options.plot, lambda note: errors.print(f"voxrtc: {note}", style="yellow", markup=False))
    from voxrtc.bench.voxtral.bench import bench

    with bars() as shown:
        document = bench(wanted, progress=Reporter(shown), keep=kept(options.json))
    if picture is not None:
        plot.plot(document, picture)
    show(document, console)
    return 0


def tts(options: argparse.Namespace) -> int:
    """Measure a voice: first audio, speed and joints, alone and with many callers, beside its package's own."""
    from voxrtc.bench.tts import plot
    from voxrtc.bench.tts.bench import bench
    from voxrtc.bench.tts.options import Options
    from voxrtc.bench.tts.show import show
    from voxrtc.bench.voxtral.keeping import kept

    picture = plot.possible(options.plot, lambda note: errors.print(f"voxrtc: {note}", style="yellow", markup=False))
    with bars() as shown:
        wanted, keep = Options.given(options), kept(options.json)
        document = bench(wanted, settings_of(options), progress=Reporter(shown), keep=keep)
    if picture is not None:
        plot.plot(document, picture)
    show(document, console)
    return 0
