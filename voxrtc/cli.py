"""The command line: serve, call, transcribe, models, doctor, bench. Parses and prints; the work is elsewhere."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import progress as bar
from rich.markup import escape
from rich.table import Table

from voxrtc import __version__
from voxrtc.bench import arguments
from voxrtc.errors import StoreError, VoxrtcError
from voxrtc.settings import Settings
from voxrtc.verbs import bench as benches
from voxrtc.verbs.terminal import Reporter, bars, console, errors, pull, run, settings_of, write, write_json

if TYPE_CHECKING:
    from voxrtc.models.store import Status
    from voxrtc.server.serve import Running

MOST_BYTES, MOST_SECONDS = 2**30, 4 * 3600.0
"""Of a source that is named on the command line: its audio is held in memory, 230 MB an hour."""


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


# -- the commands ----------------------------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """Fetch what is missing, load the models, take calls until interrupted."""
    from voxrtc.endpointing import waits
    from voxrtc.server.serve import serve as serve_until_stopped

    # SIGTERM is a wish like Ctrl-C, also while files are fetched: what fetches them must not be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = settings_of(options)
    waits.make(settings.endpointing)  # a strategy that there is none of is told before anything is fetched
    _log_to_stderr(settings)
    shown = bars()

    def started(server: Running) -> None:
        shown.stop()
        _announce(server.url, server.ready, settings)

    try:
        pull(settings, [])
        console.print(f"[bold]voxrtc {__version__}[/bold]")
        with shown:
            run(serve_until_stopped(settings, Reporter(shown), started))
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
    write_json(options.json, report.to_json())
    show_call(report, console)
    return 0 if report.answered else 1


def transcribe(options: argparse.Namespace) -> int:
    """The words in a file of any length, a URL or a data: URI: as text, JSON or subtitles."""
    from voxrtc.sources import Guard
    from voxrtc.transcription import files, formats

    settings = settings_of(options)
    source = sys.stdin.buffer.read(MOST_BYTES + 1) if options.source == "-" else options.source
    guard = Guard(allow_paths=True, max_bytes=MOST_BYTES, max_seconds=MOST_SECONDS)
    samples = run(files.read(source, guard))  # what is wrong with it is told before models are loaded
    pull(settings, [])
    with bars() as shown:
        transcript = run(files.hear(samples, options.language, settings, Reporter(shown)))
    if options.json is not None:
        write_json(options.json, formats.verbose(transcript))
    text = formats.RENDERERS[options.format](transcript)
    if options.output is not None:
        write(options.output, text)
    else:
        console.out(text, end="", highlight=False)
    return 0


def models(options: argparse.Namespace) -> int:
    """List, fetch or verify model files."""
    from voxrtc.models import store

    settings = settings_of(options)
    cache = settings.models.cache_path
    if options.action == "pull":
        pull(settings, options.names)
        return 0
    needed = store.needed(settings)
    rows = [store.status(name, cache) for name in options.names] or store.statuses(cache, needed)
    wrong = 0
    if options.action == "verify":
        with bars() as shown:
            rows, wrong = _verify(rows, options.names or needed, cache, shown)
    table = Table("model", "size", "licence", "state", "used", box=None, pad_edge=False)
    for row in rows:
        used = "yes" if row.model.name in needed else ""
        table.add_row(row.model.name, row.model.size, row.model.licence, row.state, used)
    console.print(table)
    console.print(f"in {cache}", style="dim")
    return 1 if wrong else 0


def _verify(
    rows: Sequence[Status], wanted: Sequence[str], cache: Path, shown: bar.Progress
) -> tuple[list[Status], int]:
    """Hash everything that is here; what is wrong, or not here though ``wanted``, is told in red.

    Returns the rows as they are after that, and how many models there is something wrong with.
    """
    from voxrtc.models import store

    wrong = 0
    for row in rows:
        name = row.model.name
        try:
            after = store.verify(name, cache, Reporter(shown))
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


def _log_to_stderr(settings: Settings) -> None:
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=settings.server.log_level, format=form, stream=sys.stderr)
    for chatty in ("aioice", "aiortc", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


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
    what = bench.add_subparsers(required=True, metavar="WHAT")
    arguments.add_calls(command("call", benches.call, what))
    arguments.add_turns(command("turns", benches.turns, what))
    arguments.add_media(command("media", benches.media, what))
    arguments.add_voxtral(command("voxtral", benches.voxtral, what))
    arguments.add_emotion(command("emotion", benches.emotion, what))
    arguments.add_tts(command("tts", benches.tts, what))
    return parser


if __name__ == "__main__":
    sys.exit(main())
