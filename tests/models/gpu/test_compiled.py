"""torch.compile for several models that share their layers."""

from __future__ import annotations

import functools

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from voxrtc.models.gpu.compiled import Compiled  # noqa: E402 - needs torch
from voxrtc.models.gpu.llama import TextShape, attention_inputs  # noqa: E402


def asked(shape: TextShape, rows: int):
    qkv = torch.randn((shape.heads + 2 * shape.kv_heads) * shape.head_dim, shape.hidden)
    cos, sin = (torch.randn(rows, shape.head_dim) for _ in range(2))
    return torch.randn(rows, shape.hidden), torch.ones(shape.hidden), qkv, cos, sin, shape


@pytest.fixture
def symbols(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many numbers that are no constants each graph that is compiled has."""
    found: list[int] = []

    def backend(graph, inputs):
        found.append(sum(isinstance(one, torch.SymInt) for one in inputs))
        return graph

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    return found


def test_one_models_sizes_are_no_variables_in_anothers(symbols: list[int]) -> None:
    speaking = TextShape(64, 2, 4, 4, 16, 100, 1e4, 1e-5)
    thinking = TextShape(96, 2, 8, 2, 12, 100, 1e6, 1e-6)
    for shape in (speaking, thinking):
        compiled = Compiled(True)(attention_inputs)
        for rows in (8, 4, 3, 1):
            arguments = asked(shape, rows)
            for got, wanted in zip(compiled(*arguments), attention_inputs(*arguments), strict=True):
                torch.testing.assert_close(got, wanted)
    assert len(symbols) == 2 * 3, "the first number of rows, any number, one"
    assert max(symbols) <= 1, "nothing but the rows varies"


def test_what_is_no_function_is_compiled_as_it_is(symbols: list[int]) -> None:
    doubled = Compiled(True)(functools.partial(torch.mul, 2))
    assert doubled(torch.ones(3)).tolist() == [2, 2, 2]
