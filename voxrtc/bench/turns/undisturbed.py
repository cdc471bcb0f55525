"""What must not stop a reply: small words that show attention, the reply's own echo, noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrtc.bench.report import spread
from voxrtc.bench.turns.noises import BURSTS
from voxrtc.bench.turns.replies import LONG, SHORTER
from voxrtc.bench.turns.scene import Echo, Part, Scene
from voxrtc.bench.turns.sounds import Sounds
from voxrtc.bench.turns.stage import Take
from voxrtc.events import ReplyEnded, ReplyStarted

AFTER_S = 4.0
"""So long a scene goes on after the reply would have ended, if nothing stopped it."""
GOAL_DB = -15.0
"""Echo at most this loud must not interrupt; what is louder is told apart."""

BACKCHANNELS = ("Mhm.", "Yeah.", "Okay.", "Right.")
BACKCHANNEL_LEVELS = (-24.0, -30.0)
MOMENTS = 3

ECHO_LEVELS = (-10.0, -15.0, -20.0, -30.0)
ECHO_DELAYS = (50.0, 120.0, 200.0, 300.0)

NOISES: tuple[tuple[str, float], ...] = (
    ("door", -18.0),
    ("door", -26.0),
    ("knocks", -22.0),
    ("knocks", -30.0),
    ("cough", -22.0),
    ("cough", -28.0),
    ("keys", -30.0),
    ("white", -35.0),
    ("white", -45.0),
    ("babble", -42.0),
    ("babble", -50.0),
    ("door", -22.0),
)
"""Names and levels in dBFS. Voices are about -26."""


# -- backchannels ------------------------------------------------------------------------------------------------


def backchannel_scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """One small word over a reply, at several moments and levels; every third time with the reply's echo."""
    random = np.random.default_rng([seed, 2])
    count = len(BACKCHANNELS) * (1 if quick else len(BACKCHANNEL_LEVELS) * MOMENTS)
    made = []
    for n in range(count):
        word = BACKCHANNELS[n % len(BACKCHANNELS)]
        dbfs = BACKCHANNEL_LEVELS[n // len(BACKCHANNELS) % len(BACKCHANNEL_LEVELS)]
        reply = SHORTER[n % len(SHORTER)]
        long = sounds.seconds(reply)
        at = float(random.uniform(0.6, long - 1.5))
        echo = Echo(-20.0, 120.0, room=True) if n % 3 == 2 else None
        name = f"{n}: {word} at {dbfs:g} dBFS {at:.2f} s into the reply{', echo -20 dB' if echo else ''}"
        opening = Part(f"utterance:{n % len(sounds.utterances)}", 0.0, dbfs, 3.0) if n % 2 else None
        part = Part(f"word:{word}", at, dbfs)
        made.append(Scene(name, long + AFTER_S, reply, opening=opening, parts=(part,), echo=echo, seed=seed + n))
    return made


def score_backchannels(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``lost``: the reply did not go on to its end. ``stopped``: it was silent for ``silent_ms``, and went on."""
    silent = [ms for take in takes if whole(take) for ms in silences_ms(take)]
    lost = [scene.name for scene, take in zip(scenes, takes, strict=True) if not whole(take)]
    return {
        "scenes": len(scenes),
        "lost": len(lost),
        "stopped": sum(bool(take.stops) for take in takes),
        "ducked": sum(bool(take.ducks) for take in takes),
        "silent_ms": spread(silent),
        "faults": lost,
    }


# -- echo --------------------------------------------------------------------------------------------------------


def echo_scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """Nobody speaks: each level and delay, with a room's reverberation and without."""
    made: list[Scene] = []
    for db in ECHO_LEVELS:
        for delay in ECHO_DELAYS[1:2] if quick else ECHO_DELAYS:
            for room in (True,) if quick else (True, False):
                n = len(made)
                reply = SHORTER[n % len(SHORTER)] if quick else LONG[n % len(LONG)]
                name = f"{n}: echo {db:g} dB, {delay:g} ms, {'in a room' if room else 'dry'}"
                echo = Echo(db, delay, room)
                made.append(Scene(name, sounds.seconds(reply) + AFTER_S, reply, echo=echo, seed=seed + n))
    return made


def score_echo(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``false_interruptions``: times that an echo at GOAL_DB or below stopped the sound, whether it went on or not, by
    itself or because a turn was made of it. ``by_level``: the same for each level. ``ducked``: times it made the sound
    softer. ``replies``: replies that were given to an echo."""
    by_level = {f"{db:g}": 0 for db in ECHO_LEVELS}
    faults = []
    false = replies = 0
    for scene, take in zip(scenes, takes, strict=True):
        assert scene.echo is not None
        stops = len(take.stops)
        by_level[f"{scene.echo.db:g}"] += stops
        answered = sum(h.at > (take.cue or 0.0) for h in take.of(ReplyStarted))
        if scene.echo.db <= GOAL_DB:
            false += stops
            replies += answered
        if stops or answered or not whole(take):
            faults.append(scene.name)
    return {
        "scenes": len(scenes),
        "false_interruptions": false,
        "by_level": by_level,
        "replies": replies,
        "ducked": sum(len(take.ducks) for take in takes),
        "faults": faults,
    }


# -- noise -------------------------------------------------------------------------------------------------------


def noise_scenes(sounds: Sounds, seed: int, quick: bool) -> list[Scene]:
    """Over a reply: doors, knocks, coughs and typing again and again, or hiss and babble all through."""
    random = np.random.default_rng([seed, 4])
    made = []
    for n, (noise, dbfs) in enumerate(NOISES[::3] if quick else NOISES * 2):
        reply = (SHORTER if quick else LONG)[n % 3]
        long = sounds.seconds(reply)
        if noise in BURSTS:
            times = np.arange(0.5, long - 0.5, 2.0) + random.uniform(0, 1.2)
            parts = tuple(Part(noise, float(at), dbfs, seed=seed + 100 * n + k) for k, at in enumerate(times))
        else:
            parts = (Part(noise, float(random.uniform(0.3, 2.0)), dbfs, long, seed=seed + n),)
        opening = Part(f"utterance:{n % len(sounds.utterances)}", 0.0, -26.0, 3.0) if n % 2 else None
        name = f"{n}: {noise} at {dbfs:g} dBFS"
        made.append(Scene(name, long + AFTER_S, reply, opening=opening, parts=parts, seed=seed + n))
    return made


def score_noise(scenes: Sequence[Scene], takes: Sequence[Take]) -> dict[str, Any]:
    """``false_interruptions``: times that a noise stopped the sound, whether it went on or not, and which. ``lost``:
    replies that were not heard to their end."""
    stops = [sum(stop >= (take.cue or 0.0) for stop in take.stops) for take in takes]
    lost = [not whole(take) for take in takes]
    by_sound = dict.fromkeys((name for name, _ in NOISES), 0)
    for scene, n in zip(scenes, stops, strict=True):
        by_sound[scene.parts[0].sound] += n
    return {
        "scenes": len(scenes),
        "false_interruptions": sum(stops),
        "by_sound": by_sound,
        "lost": sum(lost),
        "ducked": sum(len(take.ducks) for take in takes),
        "faults": [scene.name for scene, n, gone in zip(scenes, stops, lost, strict=True) if n or gone],
    }


def silences_ms(take: Take) -> list[float]:
    """From each stop until sound was heard again."""
    nexts = (next((at for at in take.packets if at > stop), None) for stop in take.stops)
    return [(at - stop) * 1000 for at, stop in zip(nexts, take.stops, strict=True) if at is not None]


def whole(take: Take) -> bool:
    """Whether the scene's reply was heard to its end."""
    ends = [h.event for h in take.of(ReplyEnded) if isinstance(h.event, ReplyEnded) and h.event.reply == take.reply]
    return bool(ends) and ends[0].ended == "finished" and all(left.heard == left.size for left in take.left)
