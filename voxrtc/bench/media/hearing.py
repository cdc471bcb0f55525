"""What came back of what a caller said: which 20 ms, when, and what was made up in their place.

The packets that came back are decoded into one stream, in the order of their numbers. Each 20 ms that were sent are
looked for in it with a matched filter. What is found there beyond doubt is an anchor; between two anchors what was
restored from FEC sounds like the original, only less so, and stands where it has to; where something else sounds in
a lost stretch's place, it was concealed; where nothing does, or no place is left for it, it was not delivered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import Samples
from voxrtc.bench.media.tones import LOOP, RATE, STRETCH, Decoder, Signal

ANCHOR = 0.6
"""Correlation (0..1) above which a stretch was found beyond doubt; what is found by chance stays below it."""

RESTORED = 0.3
"""The same within SLACK of where a stretch must be, by its neighbours."""

SLACK = RATE * 2 // 1000
NEAR = RATE * 60 // 1000
"""Samples around the place of the stretch before in which the next one is looked for first."""

LONGEST_S = 2.5
"""Longest delay that is looked for; half a round of the signal."""

SOUNDING_DB = -20.0
"""Level against that of the signal from which something counts as sound."""

BACKWARDS_S = 0.005

Place: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Recording:
    """One caller's raw observations; times are ``time.monotonic()``."""

    first: int = 0
    """Which packet of the signal was the first to be sent."""
    sent: list[float | None] = field(default_factory=list)
    """When each packet left; None for one that the caller itself was too late for."""
    heard: list[tuple[float, int, bytes]] = field(default_factory=list)
    """Arrival, RTP sequence number and payload of each packet."""


@dataclass(slots=True)
class Heard:
    """What came back of the ``stretches`` (20 ms each) that were sent in the time looked at."""

    stretches: int = 0
    delivered: int = 0
    """Those for which sound came back, the concealed included."""
    concealed: int = 0
    latency_ms: list[float] = field(default_factory=list)
    """Of each that was recognised: the packet left the caller until that sound could be heard."""
    longest_gap_ms: float = 0.0
    """Longest time between two packets with sound that arrived after each other; 20 is ideal."""


def hear(recording: Recording, signal: Signal, begin: float, end: float) -> Heard:
    """What came back of the packets sent from ``begin`` until ``end``.

    The recording should go on for a while on both sides: a stretch counts by those around it.
    """
    stream = _Stream(recording, signal)
    places = stream.places(recording)
    heard = Heard()
    chosen = {k: at for k, at in enumerate(recording.sent) if at is not None and begin <= at < end}
    heard.stretches = len(chosen)
    heard.latency_ms = [(stream.heard_at(places[k]) - at) * 1e3 for k, at in chosen.items() if k in places]
    concealed = _concealed(recording, places, stream)
    heard.concealed = sum(k in concealed for k in chosen)
    heard.delivered = len(heard.latency_ms) + heard.concealed
    heard.longest_gap_ms = stream.longest_gap_ms(begin, end)
    return heard


def _concealed(recording: Recording, places: dict[int, int], stream: _Stream) -> set[int]:
    """The stretches that were not recognised and in whose place something else sounds."""
    found: set[int] = set()
    for before, after in pairwise(sorted(places)):
        missing = [k for k in range(before + 1, after) if recording.sent[k] is not None]
        if not missing:
            continue
        room = stream.sounding(places[before] + STRETCH, places[after])
        found.update(missing[: min(len(missing), room)])
    return found


class _Stream:
    """All that came back, as one stream of samples at RATE, with the arrival of each packet."""

    def __init__(self, recording: Recording, signal: Signal) -> None:
        self._signal = signal
        packets = _in_order(recording.heard)
        decoder = Decoder()
        pieces = [decoder.decode(payload) for _, payload in packets]
        sizes = [piece.size for piece in pieces]
        self._arrivals: list[float] = [at for at, _ in packets]
        self._starts: list[int] = [0, *np.cumsum(sizes).tolist()]
        self._samples: Samples = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
        self._energy = np.concatenate([[0.0], np.cumsum(np.square(self._samples, dtype=np.float64))])
        self._threshold = (signal.level * 10 ** (SOUNDING_DB / 20)) ** 2

    def heard_at(self, place: int) -> float:
        """When sample number ``place`` could be heard: its packet's arrival, and its place in the packet."""
        packet = min(bisect_left(self._starts, place + 1) - 1, len(self._arrivals) - 1)
        return float(self._arrivals[packet]) + (place - self._starts[packet]) / RATE

    def sounding(self, begin: int, end: int) -> int:
        """How many 20 ms with sound in their middle there are from sample ``begin`` to ``end``; half of 20 ms count.

        In the middle, because a codec smears what was before and after a silence into its ends.
        """
        count = int((end - begin) / STRETCH + 0.5)
        middles = (begin + i * STRETCH + STRETCH // 4 for i in range(count))
        return sum(self._loud(middle, middle + STRETCH // 2) for middle in middles)

    def _loud(self, begin: int, end: int) -> bool:
        end = min(end, self._samples.size)
        return end > begin and bool(self._energy[end] - self._energy[begin] > self._threshold * (end - begin))

    def longest_gap_ms(self, begin: float, end: float) -> float:
        """Longest time between arrivals of packets with sound from ``begin`` to ``end``, both counting as such."""
        loud = [
            at
            for at, start, stop in zip(self._arrivals, self._starts, self._starts[1:], strict=False)
            if begin <= at <= end and self._loud(start, stop)
        ]
        marks = [begin, *loud, end]
        return max(b - a for a, b in pairwise(marks)) * 1e3

    # -- recognising ------------------------------------------------------------------------------------------

    def places(self, recording: Recording) -> dict[int, int]:
        """Where in the stream each stretch begins that came back: number of the packet sent to number of the sample."""
        anchors: dict[int, int] = {}
        shift: int | None = None
        for k, sent in enumerate(recording.sent):
            if sent is None:
                continue
            earliest, latest = self._window(sent)
            found = None
            if shift is not None:
                near = k * STRETCH + shift
                found = self._find(recording, k, max(earliest, near - NEAR), min(latest, near + NEAR), ANCHOR)
            if found is None:
                found = self._find(recording, k, earliest, latest, ANCHOR)
            if found is not None:
                anchors[k] = found
                shift = found - k * STRETCH
        anchors = _rising(anchors)
        return anchors | self._restored(recording, anchors)

    def _restored(self, recording: Recording, anchors: dict[int, int]) -> dict[int, int]:
        """The stretches between anchors that sound as they should where they should."""
        found: dict[int, int] = {}
        for before, after in pairwise(sorted(anchors)):
            free = anchors[before] + STRETCH - SLACK
            until = anchors[after] - STRETCH + SLACK
            for k in (k for k in range(before + 1, after) if recording.sent[k] is not None):
                for near in {anchors[after] - (after - k) * STRETCH, anchors[before] + (k - before) * STRETCH}:
                    place = self._find(recording, k, max(free, near - SLACK), min(until, near + SLACK), RESTORED)
                    if place is not None:
                        found[k] = place
                        free = place + STRETCH - SLACK
                        break
        return found

    def _window(self, sent: float) -> Place:
        """The samples that arrived from ``sent`` on, LONGEST_S long."""
        first = bisect_left(self._arrivals, sent - BACKWARDS_S)
        last = bisect_left(self._arrivals, sent + LONGEST_S)
        return self._starts[first], self._starts[last]

    def _find(self, recording: Recording, k: int, earliest: int, latest: int, least: float) -> int | None:
        """Where packet ``k`` of the recording begins, between two samples; None where it correlates too little."""
        earliest = max(0, earliest)
        window = self._samples[earliest : max(earliest - 1, latest) + STRETCH]
        if window.size < STRETCH:
            return None
        wanted = self._signal.sound[(recording.first + k) % LOOP]
        energy = self._energy[earliest : earliest + window.size + 1]
        power = (energy[STRETCH:] - energy[:-STRETCH]) * float(wanted @ wanted)
        floor = self._threshold * STRETCH * float(wanted @ wanted)
        match: NDArray[np.float64] = np.correlate(window, wanted, "valid") / np.sqrt(np.maximum(power, floor))
        best = int(np.argmax(match))
        return earliest + best if match[best] >= least else None


def _rising(anchors: dict[int, int]) -> dict[int, int]:
    """``anchors`` without those that lie before their predecessor: sound is not turned round."""
    kept: dict[int, int] = {}
    last = -STRETCH
    for k, place in anchors.items():
        if place >= last + STRETCH // 2:
            kept[k] = place
            last = place
    return kept


def _in_order(heard: Sequence[tuple[float, int, bytes]]) -> list[tuple[float, bytes]]:
    """Arrival and payload, by RTP sequence number over its wraps, each number once (RFC 3550, A.1)."""
    extended: dict[int, tuple[float, bytes]] = {}
    highest = heard[0][1] if heard else 0
    for at, sequence, payload in heard:
        number = highest + ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        highest = max(highest, number)
        extended.setdefault(number, (at, payload))
    return [extended[number] for number in sorted(extended)]
