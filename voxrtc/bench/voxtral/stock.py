"""transformers' VoxtralForConditionalGeneration as it is shipped: ``generate``, SDPA, nothing compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from voxrtc.bench.voxtral.shape import AUDIO, Shape
from voxrtc.bench.voxtral.sound import BEGIN_AUDIO, BEGIN_INST, BOS, END_INST, PROMPT_TOKENS, Words
from voxrtc.bench.voxtral.timing import Wait, median, timed
from voxrtc.models.voxtral.sequence import WINDOW_TOKENS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_TOKENS = 24
"""Of one answer: enough for a mean of steps."""


def stock_model(config: Any, take: Callable[[str], Tensor], device: str, dtype: torch.dtype) -> Any:
    """The stock model of ``config`` with the weights that ``take`` gives by name."""
    import torch
    from transformers import VoxtralForConditionalGeneration

    kind: Any = VoxtralForConditionalGeneration
    with torch.device(device):
        model = kind._from_config(config, dtype=dtype, attn_implementation="sdpa")
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            weight.copy_(take(name))
    return model.eval()


def measure(model: Any, shape: Shape, wait: Wait, context: int, repeat: int, seed: int) -> dict[str, float]:
    """``first_token_ms``: from mel features that are on the device already (its own processor's time, some 24 ms, is
    not counted) to one token. ``decode_ms``: of each token after the first, with ``context`` tokens before it."""
    import torch

    device = next(model.parameters()).device
    words = Words(shape.vocabulary, seed)
    mel = torch.randn(1, shape.mels, shape.frames, device=device, dtype=torch.float32)
    audio = [BOS, BEGIN_INST, BEGIN_AUDIO, *[AUDIO] * WINDOW_TOKENS]

    def answer(tokens: int, count: int) -> Callable[[], object]:
        ids = [*audio, *words.take(tokens - len(audio) - 1), END_INST]
        there = torch.tensor([ids], device=device)
        how: dict[str, Any] = {"do_sample": False, "max_new_tokens": count, "eos_token_id": None, "pad_token_id": 11}
        how |= {"input_ids": there, "input_features": mel, "attention_mask": torch.ones_like(there)}
        return lambda: model.generate(**how)

    with torch.inference_mode():
        first = median(timed(answer(PROMPT_TOKENS, 1), wait, repeat))
        one = median(timed(answer(context, 1), wait, repeat))
        many = median(timed(answer(context, MOST_TOKENS + 1), wait, repeat, warm=1))
    return {"first_token_ms": first, "decode_ms": round(max(0.0, many - one) / MOST_TOKENS, 3)}
