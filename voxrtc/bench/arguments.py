"""Arguments of the command line: what a number or a file has to be, and what each bench takes."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from voxrtc.languages import NAMES, primary


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


MOST_CALLS = 1_000
"""At once, of one bench: far more than one core of callers can place."""


def calls(text: str) -> int:
    """A number of calls at once."""
    if positive(text) > MOST_CALLS:
        raise argparse.ArgumentTypeError(
            f"{text} calls at once are more than one machine can place; try up to {MOST_CALLS}"
        )
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def new_file(text: str) -> Path:
    """A file that can be made: told before a call or a measuring, not after it."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: no file can be made there")
    return path


def amount(text: str) -> float:
    """A number from 0 on."""
    number = _number(text)
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return number


def percent(text: str) -> float:
    """A percentage as a fraction; between 0 and 1 it is not clear what is meant."""
    number = _number(text.strip().removesuffix("%"))
    if 0.0 < number < 1.0 and not text.strip().endswith("%"):
        raise argparse.ArgumentTypeError(f"{text!r}: give it in percent, 5 for 5 % (write {text}% if you mean that)")
    if not 0.0 <= number < 100.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to less than 100")
    return number / 100.0


def duration(text: str) -> float:
    """Seconds of a measuring, 1 to 600."""
    number = _number(text)
    if not 1.0 <= number <= 600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 600")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


MOST_ROWS = 128
"""Callers that may decode at once in bench voxtral: as many as one step takes."""


def rows(text: str) -> tuple[int, ...]:
    """Numbers of callers, as 1,8,32."""
    counts = sorted({positive(part.strip()) for part in text.split(",")})
    if counts[-1] > MOST_ROWS:
        raise argparse.ArgumentTypeError(f"{counts[-1]} callers are more than one step takes; try up to {MOST_ROWS}")
    return tuple(counts)


def language(text: str) -> str:
    """A language that is heard: told before models are loaded, not after it."""
    code = primary(text)
    if code != "auto" and code not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a language that is heard; try auto, {', '.join(NAMES)}")
    return code


def context(text: str) -> int:
    """Tokens of context, of which steps of 405 and more are measured."""
    if not 64 <= positive(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of tokens from 64 to 100000")
    return int(text)


def add_calls(calls: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench call`` takes."""
    calls.add_argument("--calls", type=positive, default=1, help="conversations at the same time (default 1)")
    calls.add_argument("--rounds", type=positive, default=1, help="times the whole is done (default 1)")
    calls.add_argument("--audio", type=Path, required=True, help="folder of NAME.wav with its words in NAME.txt")
    calls.add_argument("--url", help="measure this running server (default: start one for the measuring)")
    calls.add_argument(
        "--unspeculated", action="store_true", help="then measure the same without replies prepared in pauses"
    )
    calls.add_argument("--words", action="store_true", help="keep what was said in the JSON")
    calls.add_argument("--json", type=new_file, help="write all figures here")


def add_turns(turns: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench turns`` takes."""
    turns.add_argument("--audio", type=Path, help="folder of NAME.wav with its words in NAME.txt, to be added")
    turns.add_argument("--seed", type=natural, default=0, help="of noises and moments (default 0)")
    turns.add_argument("--quick", action="store_true", help="few scenes: a look, not a measurement")
    turns.add_argument("--json", type=new_file, help="write all figures here")
    turns.add_argument("--plot", type=new_file, help="draw false cut-offs against latency here (needs matplotlib)")


def add_emotion(emotion: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench emotion`` takes."""
    emotion.add_argument("--seed", type=natural, default=0, help="of the clauses (default 0)")
    emotion.add_argument("--json", type=new_file, help="write all figures here")


def add_media(media: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench media`` takes."""
    media.add_argument("--calls", type=calls, default=4, help="calls at the same time (default 4)")
    media.add_argument("--seconds", type=duration, default=10.0, help="that are measured, 1 to 600 (default 10)")
    network = media.add_argument_group("the network, on the way to the server (the way back is as it is)")
    network.add_argument("--loss", type=percent, default=0.0, metavar="PERCENT", help="packets lost (default 0)")
    network.add_argument(
        "--burst", type=amount, default=0.0, metavar="PACKETS", help="lost in a row, in the mean (default: at random)"
    )
    network.add_argument("--delay-ms", type=amount, default=0.0, metavar="MS", help="delay (default 0)")
    network.add_argument(
        "--jitter-ms", type=amount, default=0.0, metavar="MS", help="delays are up to so much more or less (default 0)"
    )
    network.add_argument("--seed", type=natural, default=0, help="of losses and delays (default 0)")
    media.add_argument(
        "--one-after-another", type=positive, default=0, metavar="CALLS",
        help="besides, so many calls one after another: what grows with them",
    )  # fmt: skip
    media.add_argument("--relay", action="store_true", help="besides, up to 20 calls through a coturn on this machine")
    media.add_argument(
        "--words",
        action="store_true",
        help="besides, how many words the recogniser still gets right behind a bad network",
    )
    media.add_argument(
        "--audio", type=Path, help="with --words: folder of NAME.wav with its words in NAME.txt, to be added"
    )
    media.add_argument("--no-stock", action="store_true", help="leave stock aiortc out")
    media.add_argument("--json", type=new_file, help="write all figures here")
    media.add_argument(
        "--plot", type=new_file, help="measure fewer calls too; draw calls against loop lag here (needs matplotlib)"
    )


def add_voxtral(voxtral: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench voxtral`` takes."""
    voxtral.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(default cuda)")
    voxtral.add_argument(
        "--shape", default="", help="full, tiny, or a folder with a config.json (default: full on cuda, tiny on cpu)"
    )
    voxtral.add_argument(
        "--quantize", choices=["none", "int8", "int4"], default="none", help="weights in fewer bits (default none)"
    )
    voxtral.add_argument(
        "--attention", choices=["auto", "flash", "triton", "sdpa"], default="auto", help="(default auto)"
    )
    voxtral.add_argument("--compile", choices=["on", "off"], default="on", help="torch.compile (default on)")
    voxtral.add_argument(
        "--rows", type=rows, default=(1, 8, 32), metavar="N,N", help="callers that decode at once (default 1,8,32)"
    )
    voxtral.add_argument(
        "--context", type=context, default=1_000, help="tokens of context each, in the mean (default 1000)"
    )
    voxtral.add_argument(
        "--repeat", type=natural, default=0, help="times of each step (default: what suits the device)"
    )
    voxtral.add_argument(
        "--mix-seconds",
        type=amount,
        default=0.0,
        metavar="S",
        help="in which turns of the mix begin (default: likewise)",
    )
    voxtral.add_argument("--audio", type=Path, help="a WAV of 16 kHz, mono, 16 bit to be heard (default: noise)")
    voxtral.add_argument("--seed", type=natural, default=0, help="of weights, words and times (default 0)")
    voxtral.add_argument("--no-stock", action="store_true", help="leave transformers' generate out")
    voxtral.add_argument("--json", type=new_file, help="write all figures here")
    voxtral.add_argument(
        "--capacity", action="store_true", help="measure nothing; print what an A10G can carry, calculated"
    )
    voxtral.add_argument(
        "--plot", type=new_file, help="draw steps by callers against the floor here (needs matplotlib)"
    )


MOST_SPOKEN_TO = 64
"""Callers that a voice may speak to at once in bench tts."""


def spoken_to(text: str) -> int:
    """A number of callers who are spoken to at once."""
    if positive(text) > MOST_SPOKEN_TO:
        raise argparse.ArgumentTypeError(f"{text} callers are more than are measured; try up to {MOST_SPOKEN_TO}")
    return int(text)


def add_tts(tts: argparse.ArgumentParser) -> None:
    """What ``voxrtc bench tts`` takes."""
    tts.add_argument("--voice", default="chatterbox", help="chatterbox, hibari, espeak or kokoro (default %(default)s)")
    tts.add_argument("--callers", type=spoken_to, default=1, help="who are spoken to at once (default 1)")
    tts.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="of chatterbox (default cuda)")
    tts.add_argument("--shape", default="", help="of chatterbox: full or tiny (default: full on cuda, tiny on cpu)")
    tts.add_argument("--language", type=primary, default="en", help="that the other voices speak (default en)")
    tts.add_argument("--repeat", type=natural, default=0, help="times of each step (default: what suits the device)")
    tts.add_argument(
        "--seconds", type=amount, default=0.0, metavar="S", help="in which replies begin (default: likewise)"
    )
    tts.add_argument("--seed", type=natural, default=0, help="of weights, words and times (default 0)")
    tts.add_argument("--no-stock", action="store_true", help="leave the package's own generate out")
    tts.add_argument("--no-words", action="store_true", help="do not let whisper hear what the other voices say")
    tts.add_argument("--json", type=new_file, help="write all figures here")
    tts.add_argument("--plot", type=new_file, help="draw first audio and steps here (needs matplotlib)")
