"""The layers of Voxtral's encoder as plain functions of their weights; those of its language model are gpu/llama.py's.

The arithmetic is that of transformers' modules (Whisper's encoder), with q, k, v joined into one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from voxrtc.models.gpu.llama import fixed


@dataclass(frozen=True, slots=True)
class AudioShape:
    """Sizes of the encoder: ``bands`` by 2 * ``positions`` of mel frames in, ``stacked`` positions to a token out."""

    hidden: int
    layers: int
    heads: int
    bands: int
    positions: int
    stacked: int


class AudioLayer(nn.Module):
    """The weights of one layer of the encoder."""

    def __init__(
        self, norm: nn.LayerNorm, qkv: nn.Linear, out: nn.Linear, mlp: tuple[nn.LayerNorm, nn.Linear, nn.Linear]
    ) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = norm, qkv, out
        self.mlp_norm, self.up, self.down = mlp

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Weight and bias of each map, in the order of its work."""
        maps = (self.norm, self.qkv, self.out, self.mlp_norm, self.up, self.down)
        return tuple(tensor for one in maps for tensor in (one.weight, one.bias))


def layer_norm(weight: Tensor, bias: Tensor) -> nn.LayerNorm:
    """A layer norm of these weights (hidden,)."""
    made = nn.LayerNorm(weight.shape[0], device="meta", dtype=weight.dtype)
    made.weight, made.bias = fixed(weight), fixed(bias)
    return made


def encoder_layer(x: Tensor, weights: tuple[Tensor, ...], heads: int) -> Tensor:
    """One layer of Whisper's encoder: (positions, hidden) to the same; every position attends to all.

    ``weights``: those of AudioLayer.tensors."""
    norm, norm_bias, qkv, qkv_bias, out, out_bias, mlp_norm, mlp_norm_bias, up, up_bias, down, down_bias = weights
    count, hidden = x.shape
    joined = functional.linear(functional.layer_norm(x, (hidden,), norm, norm_bias), qkv, qkv_bias)
    queries, keys, values = joined.view(count, 3, heads, hidden // heads).permute(1, 2, 0, 3)
    attended = functional.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
    x = x + functional.linear(attended.transpose(0, 1).reshape(count, hidden), out, out_bias)
    wide = functional.gelu(functional.linear(functional.layer_norm(x, (hidden,), mlp_norm, mlp_norm_bias), up, up_bias))
    return x + functional.linear(wide, down, down_bias)
