"""From settings, or from a bare configuration, to a warm runner: what is chosen, how memory is shared out."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from voxrtc.errors import ModelsError
from voxrtc.models.gpu import attention, memory
from voxrtc.models.gpu.attention import Choice
from voxrtc.models.voxtral import checkpoint, quantize
from voxrtc.models.voxtral.checkpoint import Take, Weights
from voxrtc.models.voxtral.quantize import Bits
from voxrtc.models.voxtral.runner import PROMPT_SIZES, Plan, VoxtralRunner
from voxrtc.models.voxtral.sequence import WINDOW_TOKENS

if TYPE_CHECKING:
    from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

OLDEST = (8, 0)
"""Compute capability that has bfloat16 in its tensor cores."""
PAGE = 256
"""Tokens of a page; what flash-attn takes must be a multiple of this."""
WORKSPACE_BYTES = 1_500_000_000
"""Of GPU memory left to what graphs, libraries and compilers take beside weights and conversations."""
TRANSCRIPT_TOKENS = WINDOW_TOKENS + 256
LONGEST_STEP = 128
"""Rows of a step at the most: beyond, more rows make all of them slower."""

VOICE = ", server.max_calls or tts.clauses_at_once"
"""What else to lower where Chatterbox speaks."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a runner is to work.

    ``callers``: at once, each with a reply and a transcript under way. ``memory_gb``: of the GPU, for weights and
    conversations; 0 for what is free, as far as it is of use. ``reserved``: bytes of the device that are left to voices
    which are loaded later. ``voice``: bytes that the voice has taken of it already, for the sentence where what is left
    does not do."""

    device: torch.device
    dtype: torch.dtype
    context: int = 4_096
    callers: int = 8
    attention: Choice = "auto"
    compiles: bool = True
    quantize: Bits = "none"
    memory_gb: float = 0.0
    page_size: int = PAGE
    reserved: int = 0
    voice: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Options:
        """Raises ModelsError where the device is not there."""
        from voxrtc.models.tts import others  # needs more than is installed where only the bench is run

        models = settings.models
        device = _device(models.device)
        return cls(
            device=device,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            context=models.context_tokens,
            callers=settings.server.max_calls,
            attention=models.attention,
            compiles=models.compile == "on",
            quantize=models.quantize,
            memory_gb=models.gpu_memory_gb,
            reserved=others.gpu_bytes(settings),
        )


def make(settings: Settings, progress: Progress) -> VoxtralRunner:
    """A warm runner of the checkpoint ``models.voxtral``. Raises ModelsError."""
    options = Options.of(settings)
    options = replace(options, voice=_held(options.device))
    progress("loading Voxtral", 0.0)
    config, take = checkpoint.read(settings.models.voxtral, options.dtype)
    return assemble(config, take, options, progress)


def assemble(config: Any, take: Take, options: Options, progress: Progress) -> VoxtralRunner:
    """A warm runner of the weights that ``take`` gives. Raises ModelsError."""
    with memory_sentence(options.voice):
        place = quantize.placer(options.quantize, options.device)
        weights = checkpoint.assemble(config, take, place, options.device, options.dtype, progress)
        chosen = attention.choose(options.attention, options.device, options.page_size, options.dtype)
        compiles = options.compiles and options.device.type == "cuda" and _can_compile()
        runner = VoxtralRunner(weights, chosen, plan(weights, options), compiles=compiles)
        runner.warm(progress)
    return runner


def plan(weights: Weights, options: Options) -> Plan:
    """Pages for what is under way at once and as much again for conversations that wait, as far as memory allows.

    Raises ModelsError where there is not enough for one caller."""
    size, shape = options.page_size, weights.text
    of_reply, of_transcript = -(-options.context // size), -(-TRANSCRIPT_TOKENS // size)
    useful = 2 * options.callers * (of_reply + of_transcript)
    page_bytes = 2 * shape.layers * size * shape.kv_heads * shape.head_dim * weights.norm.element_size()
    room = _room(weights, options)
    pages = useful if room is None else min(useful, room // page_bytes - 1)
    if pages < of_reply + of_transcript:
        needed = (of_reply + of_transcript + 1) * page_bytes
        beside = f"the weights ({weights.bytes / 1e9:.1f} GB)"
        beside += f" and the voice ({options.voice / 1e9:.1f} GB)" if options.voice else ""
        raise ModelsError(
            f"GPU memory is too small: one conversation of {options.context} tokens needs {needed / 1e9:.1f} GB beside "
            f"{beside}, and {max(0, room or 0) / 1e9:.1f} GB are left for it; lower models.context_tokens"
            f'{VOICE if options.voice else ""}, set models.quantize = "int8" or "int4", or raise models.gpu_memory_gb'
        )
    return Plan(pages, size, options.context, min(LONGEST_STEP, 2 * options.callers))


def _room(weights: Weights, options: Options) -> int | None:
    """Bytes for conversations; None where memory is not counted."""
    if options.device.type != "cuda":
        return None if not options.memory_gb else int(options.memory_gb * 1e9) - weights.bytes
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(options.device)[0] - WORKSPACE_BYTES - options.reserved
    return free if not options.memory_gb else min(free, int(options.memory_gb * 1e9) - weights.bytes)


def _held(device: torch.device) -> int:
    """Bytes of the device that torch has given to others than Voxtral, before that is loaded."""
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda is not None
        reason = "there is no CUDA device" if built else "this torch was built without CUDA"
        raise ModelsError(
            f'models.profile = "voxtral" needs a GPU, and {reason}: see docs/gpu.md, set models.profile = "embedded", '
            'or models.device = "cpu" to try it slowly'
        )
    if wanted != "cuda":
        return torch.device(wanted)
    device = torch.device(wanted, torch.cuda.current_device())
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST:
        raise ModelsError(
            f"{torch.cuda.get_device_name(device)} has compute capability {capability[0]}.{capability[1]}; Voxtral is "
            f"run in bfloat16, which needs {OLDEST[0]}.{OLDEST[1]} (Ampere: A10, A100, RTX 30) or newer"
        )
    return device


def _can_compile() -> bool:
    if importlib.util.find_spec("triton") is None:
        logger.warning("torch.compile needs triton, which is not installed; going on without it")
        return False
    return True


def memory_sentence(voice: int = 0) -> contextlib.AbstractContextManager[None]:
    """A GPU's lack of memory within is raised as a ModelsError that says what to lower. ``voice``: as in Options."""
    taken = f"; the voice has taken {voice / 1e9:.1f} GB: lower tts.clauses_at_once" if voice else ""
    return memory.sentence(
        "lower models.gpu_memory_gb, models.context_tokens or server.max_calls, set models.quantize = "
        f'"int8" or "int4", or end what else uses the GPU (nvidia-smi){taken}'
    )


__all__ = ["PROMPT_SIZES", "Options", "assemble", "make", "memory_sentence", "plan"]
