"""The one error of a caller."""

from __future__ import annotations

from voxrtc.errors import VoxrtcError


class CallFailed(VoxrtcError):
    """The call could not be placed, or broke. ``status``: what HTTP answered, ``retry_after``: seconds; each if there
    was one."""

    def __init__(self, message: str, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
