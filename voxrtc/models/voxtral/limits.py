"""How long one sequence may be."""

from __future__ import annotations

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.request import Request
from voxrtc.models.voxtral.sequence import Runner


def most_tokens(runner: Runner) -> int:
    """Of one sequence, prompt and answer: as many as the context has, and the memory."""
    return min(runner.context, runner.pages * runner.page_size)


def measure(request: Request, runner: Runner) -> None:
    """Raise ModelsError where there will never be room for the prompt and one token of an answer."""
    if not request.ids:
        raise ValueError("a request without a prompt")
    need = len(request.ids) + min(1, request.max_tokens)
    if need > runner.context:
        raise ModelsError(
            f"what was said takes {need} tokens and does not fit the {runner.context} tokens of "
            "models.context_tokens; raise it"
        )
    if need > most_tokens(runner):
        raise ModelsError(
            f"what was said takes {need} tokens and there is GPU memory for {most_tokens(runner)}; "
            "raise models.gpu_memory_gb, or set models.quantize"
        )
