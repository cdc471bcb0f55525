"""What stands in front of a text: who speaks and in what mood, as embeddings; made once for each voice and mood.

The arithmetic is that of chatterbox's T3CondEnc and Perceiver (32 queries over the prompt's tokens, then over
themselves, by one and the same block; Jaegle et al. 2021, arXiv:2103.03206).
"""

from __future__ import annotations

import collections
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.parts import Voice
from voxrtc.models.chatterbox.t3_weights import T3Weights

KEPT = 128
"""Voices, each with one mood (in Turbo without), whose embeddings are kept: 70 KB each, 0.8 MB in Turbo."""
PERCEIVER_HEADS = 4


class Conditioning:
    """Gives embeddings (n, hidden) of a voice in a mood. n is length(); in Turbo 1 and the prompt's tokens."""

    def __init__(self, weights: T3Weights) -> None:
        self._weights = weights
        self._kept: collections.OrderedDict[tuple[Voice, float], Tensor] = collections.OrderedDict()

    def __call__(self, voice: Voice, exaggeration: float) -> Tensor:
        # By the voice itself, not its name: a voice made anew under a name is another one. Turbo knows no moods.
        key = (voice, 0.0 if self._weights.turbo else exaggeration)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._made(voice, exaggeration)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _made(self, voice: Voice, exaggeration: float) -> Tensor:
        part, device = self._weights.conditioning, self._weights.speech.device
        speaker = functional.linear(voice.speaker.to(device).float(), part["spkr_enc.weight"], part["spkr_enc.bias"])
        prompt = self._weights.speech[voice.prompt[0].to(device)].float()
        if self._weights.turbo:
            return torch.cat((speaker, prompt)).to(self._weights.speech.dtype)
        if self._weights.speech_positions is not None:
            prompt = prompt + self._weights.speech_positions[: prompt.shape[0]].float()
        mood = torch.full((1, 1), exaggeration, device=device)
        parts = [speaker, _perceived(prompt, part), functional.linear(mood, part["emotion_adv_fc.weight"])]
        return torch.cat(parts).to(self._weights.speech.dtype)


def length(weights: T3Weights) -> int:
    """How many embeddings stand in front of a text, at the most."""
    if weights.turbo:
        return 1 + 375  # speech_cond_prompt_len of tts_turbo.py
    return weights.conditioning["perceiver.pre_attention_query"].shape[1] + 2


def _perceived(prompt: Tensor, part: Mapping[str, Tensor]) -> Tensor:
    queries = part["perceiver.pre_attention_query"][0]
    before = _block(queries, prompt, part)
    return _block(before, before, part)


def _block(x: Tensor, seen: Tensor, part: Mapping[str, Tensor]) -> Tensor:
    """``x`` (n, hidden) and what it attends to in ``seen`` (m, hidden)."""

    def mapped(name: str, of: Tensor) -> Tensor:
        return functional.linear(of, part[f"perceiver.attn.{name}.weight"], part[f"perceiver.attn.{name}.bias"])

    def heads(name: str, of: Tensor) -> Tensor:
        return mapped(name, of).view(of.shape[0], PERCEIVER_HEADS, -1).transpose(0, 1)[None]

    norm = (part["perceiver.attn.norm.weight"], part["perceiver.attn.norm.bias"])
    normed = functional.layer_norm(x, x.shape[-1:], *norm)
    others = functional.layer_norm(seen, x.shape[-1:], *norm)
    attended = functional.scaled_dot_product_attention(
        heads("to_q", normed), heads("to_k", others), heads("to_v", others)
    )
    return x + mapped("proj_out", attended[0].transpose(0, 1).flatten(1))
