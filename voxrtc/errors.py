"""The errors that cross the seams of voxrtc. Every message is a sentence a user can act on."""

import traceback


class VoxrtcError(Exception):
    """Base of everything that voxrtc raises on purpose; ``str()`` of it may be shown to a user."""


class ConfigError(VoxrtcError):
    """A setting is wrong: names the file or variable, the key, what was found and what is allowed."""


class StoreError(VoxrtcError):
    """A model file is missing, cannot be fetched, or is not what it should be."""


class ModelsError(VoxrtcError):
    """A model refused or failed one request; the host lives on."""


class HostLost(ModelsError):
    """The host process died, or cannot be reached, while a request was under way."""


class GaveWay(ModelsError):
    """A guess was given up for what a caller waited for; it may be asked again once somebody waits for it, too."""


class BadClip(ModelsError):
    """A clip that no voice can be made of; says why."""


class Unloadable(ModelsError):
    """A model cannot be loaded: files are missing or broken, or there is no memory. Asking again at once is no use."""


class SdpError(VoxrtcError):
    """The caller's session description cannot be answered; says which part and why."""


class CallsFull(VoxrtcError):
    """No room for another call now. ``retry_after``: seconds until it is worth another try.

    ``code`` says why: ``full`` (as many calls as allowed), ``loading`` (the models are not warm), ``closing``.
    """

    def __init__(self, message: str, retry_after: int = 5, code: str = "full") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.code = code


class BadMemory(VoxrtcError):
    """What a caller brings along is no exported memory."""


class UnknownCall(VoxrtcError):
    """No call of that name lives here."""


class AudioError(VoxrtcError):
    """Audio that cannot be read, or is not audio."""


def frames(error: BaseException) -> str:
    """What was raised and where, for the log: without the message, which may hold what a caller said."""
    if isinstance(error, BaseExceptionGroup):
        return "".join(frames(inner) for inner in error.exceptions)
    return f"{type(error).__name__} at\n{''.join(traceback.format_tb(error.__traceback__))}"
