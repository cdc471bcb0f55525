"""The command line: serve, call, transcribe, models, doctor, bench. Parses and prints; the work is elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich import progress as bar
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxrtc import __version__
from voxrtc.bench import arguments
from voxrtc.config import load
from voxrtc.errors import StoreError, VoxrtcError
from voxrtc.settings import Settings

if TYPE_CHECKING:
    from voxrtc.models.store import Status
    from voxrtc.server.serve import Running

T = TypeVar("T")

MOST_BYTES, MOST_SECONDS = 2**30, 4 * 3600.0
"""Of a source that is named on the command line: its audio is held in memory, 230 MB an hour."""

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 for done, 1 for a failure told in a sentence, 2 for a wrong call."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options) or 0)
    except VoxrtcError as error:
        errors.print(f"voxrtc: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on uvloop, where there is one for this platform."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


# -- the commands ----------------------------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """Fetch what is missing, load the models, take calls until interrupted."""
    from voxrtc.endpointing import waits
    from voxrtc.server.serve import serve as serve_until_stopped

    # SIGTERM is a wish like Ctrl-C, also while files are fetched: what fetches them must not be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = _settings(options)
    waits.make(settings.endpointing)  # a strategy that there is none of is told before anything is fetched
    _log_to_stderr(settings)
    bars = _bars()

    def started(server: Running) -> None:
        bars.stop()
        _announce(server.url, server.ready, settings)

    try:
        _pull(settings, [])
        console.print(f"[bold]voxrtc {__version__}[/bold]")
        with bars:
            run(serve_until_stopped(settings, _Reporter(bars), started))
    except KeyboardInterrupt:
        errors.print("stopped before it could begin")
    return 0


def _announce(url: str, ready: Any, settings: Settings) -> None:
    console.print(f"  hears   {ready.hears}\n  thinks  {ready.thinks}\n  speaks  {ready.speaks}", markup=False)
    console.print(
        f"\n  Open [bold cyan]{escape(url)}[/bold cyan] and press the button.  (Ctrl-C stops the server)",
        soft_wrap=True,
    )
    if settings.server.host not in ("127.0.0.1", "::1", "localhost"):
        console.print("  From other machines the browser asks for HTTPS before it gives the microphone.")


def call(options: argparse.Namespace) -> int:
    """Place one real WebRTC call that plays a file; print what was understood, answered, and how fast."""
    from voxrtc import sources
    from voxrtc.bench.place import place
    from voxrtc.bench.show import Progress, show_call

    samples = sources.read(options.audio)
    with Progress(errors, f"calling {options.url}") as progress:
        report = run(place(options.url, samples, name=options.audio.name, on_event=progress.on_event))
    if options.out is not None:
        report.save(options.out)
    _write_json(options.json, report.to_json())
    show_call(report, console)
    return 0 if report.answered else 1


def transcribe(options: argparse.Namespace) -> int:
    """The words in a file of any length, a URL or a data: URI: as text, JSON or subtitles."""
    from voxrtc.sources import Guard
    from voxrtc.transcription import files, formats

    settings = _settings(options)
    source = sys.stdin.buffer.read(MOST_BYTES + 1) if options.source == "-" else options.source
    guard = Guard(allow_paths=True, max_bytes=MOST_BYTES, max_seconds=MOST_SECONDS)
    samples = run(files.read(source, guard))  # what is wrong with it is told before models are loaded
    _pull(settings, [])
    with _bars() as bars:
        transcript = run(files.hear(samples, options.language, settings, _Reporter(bars)))
    if options.json is not None:
        _write_json(options.json, formats.verbose(transcript))
    text = formats.RENDERERS[options.format](transcript)
    if options.output is not None:
        _write(options.output, text)
    else:
        console.out(text, end="", highlight=False)
    return 0


def models(options: argparse.Namespace) -> int:
    """List, fetch or verify model files."""
    from voxrtc.models import store

    settings = _settings(options)
    cache = settings.models.cache_path
    if options.action == "pull":
        _pull(settings, options.names)
        return 0
    needed = store.needed(settings)
    rows = [store.status(name, cache) for name in options.names] or store.statuses(cache, needed)
    wrong = 0
    if options.action == "verify":
        with _bars() as bars:
            rows, wrong = _verify(rows, options.names or needed, cache, bars)
    table = Table("model", "size", "licence", "state", "used", box=None, pad_edge=False)
    for row in rows:
        used = "yes" if row.model.name in needed else ""
        table.add_row(row.model.name, row.model.size, row.model.licence, row.state, used)
    console.print(table)
    console.print(f"in {cache}", style="dim")
    return 1 if wrong else 0


def _verify(rows: Sequence[Status], wanted: Sequence[str], cache: Path, bars: bar.Progress) -> tuple[list[Status], int]:
    """Hash everything that is here; what is wrong, or not here though ``wanted``, is told in red.

    Returns the rows as they are after that, and how many models there is something wrong with.
    """
    from voxrtc.models import store

    wrong = 0
    for row in rows:
        name = row.model.name
        try:
            after = store.verify(name, cache, _Reporter(bars))
            if name in wanted and after.state in ("missing", "partial"):
                raise StoreError(f"{name} is {after.state}; fetch it with: voxrtc models pull {name}")
        except StoreError as error:
            errors.print(f"voxrtc: {error}", style="red", markup=False)
            wrong += 1
    return [store.status(row.model.name, cache) for row in rows], wrong


def doctor(options: argparse.Namespace) -> int:
    """What is installed, what will run, what is missing and how to get it."""
    from voxrtc import doctor as checks

    findings = checks.examine(options.config)
    for finding in findings:
        sign = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad [/red]"}[finding.state]
        console.print(f"{sign} {escape(finding.what)}", soft_wrap=True)
        if finding.remedy:
            console.print(f"     {finding.remedy}", style="dim", markup=False, soft_wrap=True)
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def bench_call(options: argparse.Namespace) -> int:
    """Measure real calls: each clip of a folder is one turn."""
    from voxrtc.bench.call import bench
    from voxrtc.bench.show import Progress, show_bench

    if options.url is not None and options.unspeculated:
        raise VoxrtcError("--unspeculated starts a second server, so it cannot be given with --url")
    how = {"rounds": options.rounds, "words": options.words, "unspeculated": options.unspeculated}
    with Progress(errors, "measuring calls") as progress:
        document = run(bench(options.url, options.audio, options.calls, on_row=progress.on_row, **how))
    _write_json(options.json, document)
    show_bench(document, console)
    return 0 if document["answered"] and not document["failed"] else 1


def bench_turns(options: argparse.Namespace) -> int:
    """Measure how turns are taken, in virtual time: cut-offs, interruptions, echo, noise, memory."""
    from voxrtc.bench.turns import evidence, plot
    from voxrtc.bench.turns.bench import bench
    from voxrtc.bench.turns.show import show

    settings = _settings(options)
    if options.plot is not None:
        plot.check()  # before minutes of measuring, not after them
    _pull(settings, evidence.NEEDED)
    with _bars() as bars:
        how = {"seed": options.seed, "quick": options.quick, "progress": _Reporter(bars)}
        document = bench(settings, options.audio, **how)
    _write_json(options.json, document)
    if options.plot is not None:
        plot.plot(document, options.plot)
    show(document, console)
    return 0


def bench_media(options: argparse.Namespace) -> int:
    """Measure calls that are echoed through the media path, beside stock aiortc: sound, delay, CPU, memory."""
    from voxrtc.bench.impair import Impairment
    from voxrtc.bench.media import plot
    from voxrtc.bench.media.bench import bench
    from voxrtc.bench.media.measure import Plan
    from voxrtc.bench.media.show import show
    from voxrtc.bench.media.words import understood

    settings = _settings(options)  # what is wrong with them is told before anything is started
    if options.plot is not None:
        plot.check()
    try:
        network = {key: getattr(options, key) for key in ("loss", "burst", "delay_ms", "jitter_ms")}
        plan = Plan(options.calls, options.seconds, Impairment(**network), options.seed, options.config)
    except ValueError as error:
        raise VoxrtcError(str(error)) from None
    how = {"stock": not options.no_stock, "one_after_another": options.one_after_another, "relayed": options.relay}
    with _bars() as bars:
        document = run(bench(plan, **how, sweep=options.plot is not None, progress=_Reporter(bars)))
    if options.words:
        with _bars() as bars:
            document["wer"] = understood(settings, options.audio, progress=partial(_Reporter(bars), "words"))
    _write_json(options.json, document)
    if options.plot is not None:
        plot.plot(document, options.plot)
    show(document, console)
    return 0


def bench_emotion(options: argparse.Namespace) -> int:
    """Measure how long the mood of a clause takes to be read."""
    from voxrtc.bench.emotion import bench, show

    document = bench(options.seed)
    _write_json(options.json, document)
    show(document, console)
    return 0


def bench_voxtral(options: argparse.Namespace) -> int:
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

    with _bars() as bars:
        document = bench(wanted, progress=_Reporter(bars), keep=kept(options.json))
    if picture is not None:
        plot.plot(document, picture)
    show(document, console)
    return 0


def bench_tts(options: argparse.Namespace) -> int:
    """Measure a voice: first audio, speed and joints, alone and with many callers, beside its package's own."""
    from voxrtc.bench.tts import plot
    from voxrtc.bench.tts.bench import bench
    from voxrtc.bench.tts.options import Options
    from voxrtc.bench.tts.show import show
    from voxrtc.bench.voxtral.keeping import kept

    picture = plot.possible(options.plot, lambda note: errors.print(f"voxrtc: {note}", style="yellow", markup=False))
    with _bars() as bars:
        wanted, keep = Options.given(options), kept(options.json)
        document = bench(wanted, _settings(options), progress=_Reporter(bars), keep=keep)
    if picture is not None:
        plot.plot(document, picture)
    show(document, console)
    return 0


# -- what they share ---------------------------------------------------------------------------------------------


def _settings(options: argparse.Namespace) -> Settings:
    return load(options.config)


def _log_to_stderr(settings: Settings) -> None:
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=settings.server.log_level, format=form, stream=sys.stderr)
    for chatty in ("aioice", "aiortc", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def _pull(settings: Settings, names: Sequence[str]) -> None:
    """Fetch ``names``, or else what the settings need; a bar only while something is really fetched."""
    from voxrtc.models import store

    with _bars() as bars:
        for name in names or store.needed(settings):
            store.ensure(name, settings.models.cache_path, _Reporter(bars))


def _bars() -> bar.Progress:
    columns = (bar.TextColumn("{task.description:<42}"), bar.BarColumn(), bar.TextColumn("{task.percentage:>3.0f} %"))
    return bar.Progress(*columns, bar.TimeElapsedColumn(), console=errors, transient=True)


class _Reporter:
    """models.profiles.Progress on a bar a task."""

    def __init__(self, bars: bar.Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, fraction: float) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=1.0)
        self._bars.update(self._tasks[what], completed=fraction)


def _write_json(path: Path | None, document: dict[str, Any]) -> None:
    if path is not None:
        _write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise VoxrtcError(f"{path}: cannot be written: {error.strerror or error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voxrtc", description="A voice assistant server that you can call.")
    parser.add_argument("--version", action="version", version=f"voxrtc {__version__}")
    parser.add_argument("--config", type=Path, help="configuration file (default: config.toml here, if there is one)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Any, parents: Any = commands) -> argparse.ArgumentParser:
        text = does.__doc__.strip()
        made: argparse.ArgumentParser = parents.add_parser(name, help=text, description=text)
        made.set_defaults(run=does)
        return made

    command("serve", serve)
    one = command("call", call)
    one.add_argument("audio", type=Path, help="the audio file to play into the call")
    one.add_argument("--url", default="http://127.0.0.1:8000", help="the server to call (default %(default)s)")
    one.add_argument("--out", type=arguments.new_file, help="write the reply here as a WAV file")
    one.add_argument("--json", type=arguments.new_file, help="write transcript, reply and timings here")
    words = command("transcribe", transcribe)
    words.add_argument("source", help="a path, an http(s) URL, a data: URI, or - for standard input")
    words.add_argument("--language", type=arguments.language, help="ISO 639-1 code (default: detected)")
    words.add_argument(
        "--format",
        choices=["text", "json", "verbose_json", "srt", "vtt"],
        default="text",
        help="of the output (default %(default)s)",
    )
    words.add_argument("--output", type=arguments.new_file, metavar="FILE", help="write there, not to standard output")
    words.add_argument("--json", type=arguments.new_file, help="also write text, language, confidence, segments here")
    files = command("models", models)
    files.add_argument("action", choices=["list", "pull", "verify"])
    files.add_argument("names", nargs="*", help="of which models (default: all; pull: what the configuration needs)")
    command("doctor", doctor)
    bench = commands.add_parser("bench", help="Measure; every published figure comes from here.")
    benches = bench.add_subparsers(required=True, metavar="WHAT")
    arguments.add_calls(command("call", bench_call, benches))
    arguments.add_turns(command("turns", bench_turns, benches))
    arguments.add_media(command("media", bench_media, benches))
    arguments.add_voxtral(command("voxtral", bench_voxtral, benches))
    arguments.add_emotion(command("emotion", bench_emotion, benches))
    arguments.add_tts(command("tts", bench_tts, benches))
    return parser


if __name__ == "__main__":
    sys.exit(main())
