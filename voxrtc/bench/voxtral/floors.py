"""What no program can go below on this device: the bytes a step must read and the arithmetic it must do, at the speeds
that a plain copy, a plain product with a vector and a plain product of matrices reach on it in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxrtc.bench.voxtral.shape import Shape
from voxrtc.bench.voxtral.timing import Wait, median, timed, waiter

if TYPE_CHECKING:
    import torch

COPY_BYTES = {"cuda": 4 << 30, "cpu": 256 << 20}
VECTOR_ROWS = {"cuda": 131_072, "cpu": 16_384}
"""Times 8192: 2 GiB of bf16 on a GPU, 512 MiB of float32 on a CPU, several times any cache."""
MATRIX = {"cuda": 8_192, "cpu": 1_024}


@dataclass(frozen=True, slots=True)
class Speeds:
    """``copy``, ``gemv``: bytes a second, read and written. ``matmul``: operations a second on random data, in the type
    of the weights."""

    copy: float
    gemv: float
    matmul: float

    @property
    def memory(self) -> float:
        """Bytes a second: what the better of both reaches."""
        return max(self.copy, self.gemv)

    def to_json(self) -> dict[str, float]:
        return {
            "copy_gb_s": round(self.copy / 1e9, 1),
            "gemv_gb_s": round(self.gemv / 1e9, 1),
            "matmul_tflop_s": round(self.matmul / 1e12, 3),
        }


def speeds(device: str, dtype: torch.dtype, repeat: int) -> Speeds:
    """Measure them, one after the other."""
    how = (device, waiter(device), repeat)
    return Speeds(_copy(*how), _gemv(*how, dtype), _matmul(*how, dtype))


def _copy(device: str, wait: Wait, repeat: int) -> float:
    """Bytes a second of a copy within the device's memory."""
    import torch

    there, here = (torch.empty(COPY_BYTES[device], dtype=torch.uint8, device=device) for _ in range(2))
    here.random_(0, 256)
    times = timed(lambda: there.copy_(here), wait, repeat)
    return 2e3 * COPY_BYTES[device] / median(times)


def _gemv(device: str, wait: Wait, repeat: int, dtype: torch.dtype) -> float:
    """Bytes a second of a matrix times a vector: what decoding does."""
    import torch

    matrix = torch.randn(VECTOR_ROWS[device], 8_192, device=device, dtype=dtype)
    vector = torch.randn(8_192, device=device, dtype=dtype)
    times = timed(lambda: torch.mv(matrix, vector), wait, repeat)
    return 1e3 * matrix.numel() * matrix.element_size() / median(times)


def _matmul(device: str, wait: Wait, repeat: int, dtype: torch.dtype) -> float:
    """Operations a second of a product of two square matrices of random numbers."""
    import torch

    edge = MATRIX[device]
    left, right = (torch.randn(edge, edge, device=device, dtype=dtype) for _ in range(2))
    times = timed(lambda: torch.mm(left, right), wait, repeat)
    return 2e3 * edge**3 / median(times)


@dataclass(frozen=True, slots=True)
class Floor:
    """Of a ``shape`` whose text weights are stored as ``quantize`` says, all else in ``bytes_each`` bytes."""

    shape: Shape
    speeds: Speeds
    quantize: str
    bytes_each: float

    def decode_ms(self, callers: int, context: float) -> float:
        """One step: the weights once, and the memory of each caller's ``context`` tokens once."""
        memory = callers * context * self.shape.kv_bytes(self.bytes_each)
        read = self.shape.text_bytes(self.quantize, self.bytes_each) + memory
        arithmetic = 2.0 * callers * self.shape.text_linear
        return 1e3 * max(read / self.speeds.memory, arithmetic / self.speeds.matmul)

    @property
    def encode_ms(self) -> float:
        """One window."""
        read = self.shape.encoder_linear * self.bytes_each
        return 1e3 * max(read / self.speeds.memory, self.shape.encode_flops / self.speeds.matmul)

    def prefill_ms(self, tokens: int) -> float:
        read = self.shape.text_bytes(self.quantize, self.bytes_each)
        return 1e3 * max(read / self.speeds.memory, self.shape.prefill_flops(tokens) / self.speeds.matmul)

    def to_json(self, callers: Sequence[int], context: float, tokens: int) -> dict[str, Any]:
        """``decode_ms`` is that of one caller; every number of callers has its own in ``decode_ms_by_callers``."""
        encode, prefill = self.encode_ms, self.prefill_ms(tokens)
        return {
            "decode_ms": round(self.decode_ms(1, context), 3),
            "first_token_ms": round(encode + prefill, 3),
            "encode_ms": round(encode, 3),
            "prefill_ms": round(prefill, 3),
            "decode_ms_by_callers": {str(n): round(self.decode_ms(n, context), 3) for n in callers},
            **self.speeds.to_json(),
        }
