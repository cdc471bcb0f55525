"""Clips on their way to being read: each is encoded once, for all that wait for it, and forgotten when none does."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from voxrtc.models.voxtral.sequence import Clip, Runner

_ENDED = object()


class Encodings:
    """For one thread. One clip is encoded at a time, so that the runner needs memory for one."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._users: dict[Clip, int] = {}
        self._open: tuple[Clip, Generator[None, None, None]] | None = None
        self.encoded = 0
        """Clips, since the start."""

    def join(self, clips: Iterable[Clip]) -> None:
        """One more waits for each of ``clips``."""
        for clip in clips:
            self._users[clip] = self._users.get(clip, 0) + 1

    def leave(self, clips: Iterable[Clip]) -> None:
        """One less waits for each of ``clips``. What nobody waits for any more is given up, or its memory freed."""
        for clip in clips:
            self._users[clip] -= 1
            if not self._users[clip]:
                del self._users[clip]
                self._forget(clip)

    def under_way(self, clip: Clip) -> Clip:
        """Which clip comes next where ``clip`` is wanted: the one that was begun, else itself."""
        return self._open[0] if self._open is not None else clip

    def stage(self, clip: Clip) -> None:
        """The next stage of under_way(clip). Raises what the runner raises; that encoding is over then."""
        if self._open is None:
            self._open = clip, self._runner.encode(clip)
        clip, stages = self._open
        try:
            ended = next(stages, _ENDED) is _ENDED
        except Exception:
            self._open = None
            raise
        if ended and clip.embeds is None:
            self._open = None
            raise RuntimeError("the encoder ended without embeddings")
        if clip.embeds is not None:
            self._open = None
            stages.close()
            self.encoded += 1

    def _forget(self, clip: Clip) -> None:
        clip.embeds = None
        if self._open is not None and self._open[0] is clip:
            stages = self._open[1]
            self._open = None
            stages.close()
