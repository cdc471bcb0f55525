"""Products with weights of eight bits: torchao's numbers, our kernel."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("torchao", reason="torchao is not installed")

from tests.models.gpu.interpreted import kernels  # noqa: E402 - needs triton
from voxrtc.models.gpu.llama import linear  # noqa: E402
from voxrtc.models.gpu.products import operand, product  # noqa: E402
from voxrtc.models.voxtral.quantize import placer  # noqa: E402


def quantised(out: int, width: int):
    weight = torch.randn(out, width, generator=torch.Generator().manual_seed(out + width)) / width**0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return weight, placer("int8", torch.device("cpu"))(linear(weight))


@pytest.mark.parametrize(("out", "width"), [(16, 128), (40, 256), (130, 384)])
def test_numbers_and_scales_are_those_of_torchao(out: int, width: int) -> None:
    weight, module = quantised(out, width)
    numbers, scale = operand(module)
    assert numbers.dtype == torch.int8
    assert scale.shape == (out, 1)
    torch.testing.assert_close(numbers * scale, weight, atol=weight.abs().max().item() / 100, rtol=0)
    x = torch.randn(5, width, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(product(x, (numbers, scale)), module(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 16, 17, 64])
@pytest.mark.parametrize(("out", "width"), [(16, 128), (40, 256), (130, 384)])
def test_the_kernel_multiplies_as_torch_does(rows: int, out: int, width: int) -> None:
    _, module = quantised(out, width)
    numbers, scale = operand(module)
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))
    got = kernels.int8_product(x, numbers, scale)
    torch.testing.assert_close(got, product(x, (numbers, scale)), atol=1e-5, rtol=1e-5)


def test_weights_as_they_are_pass_through() -> None:
    module = linear(torch.randn(4, 8))
    assert operand(module) is module.weight
    x = torch.randn(3, 8)
    assert torch.equal(product(x, module.weight), module(x))
