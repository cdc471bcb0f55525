"""The pieces of work that a GPU captures: nothing in them waits for the host or copies from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox.sounding import SMALL, lively_state  # noqa: E402 - needs torch
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox.flow import flow  # noqa: E402
from voxrtc.models.chatterbox.flow_noise import normal, uniform  # noqa: E402
from voxrtc.models.chatterbox.flow_shape import Shape, random_state, shape_of  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan  # noqa: E402
from voxrtc.models.chatterbox.sound_work import FlowWork, VocoderWork  # noqa: E402
from voxrtc.models.chatterbox.vocoder import vocoder  # noqa: E402
from voxrtc.models.chatterbox.vocoder_source import HOP, RATE, phases_of  # noqa: E402
from voxrtc.models.gpu.graphs import Pieces  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _elsewhere(thing: Any) -> Any:
    """``thing`` with its tensors on the device "meta": there are no numbers there that a host could read, and nothing
    of the host's can be mixed with them."""
    if isinstance(thing, torch.Tensor):
        return thing.to("meta")
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return type(thing)(**{one.name: _elsewhere(getattr(thing, one.name)) for one in dataclasses.fields(thing)})
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*map(_elsewhere, thing))
    return type(thing)(map(_elsewhere, thing)) if isinstance(thing, list | tuple) else thing


def _moved(work: Any) -> Any:
    for name, value in vars(work).items():
        setattr(work, name, _elsewhere(value))
    work._numbers.here = work._numbers.here.to("meta")
    return work


@torch.inference_mode()
def test_a_pass_of_the_flow_waits_for_nothing() -> None:
    made = flow(lively_state(), SMALL, CPU, torch.float32, 64)
    work = _moved(FlowWork(made, Pieces(CPU, captures=False), 3, 32, CPU))
    assert work._work().shape == (3, 64, 80)


@torch.inference_mode()
def test_a_window_of_the_vocoder_waits_for_nothing() -> None:
    work = _moved(VocoderWork(vocoder(lively_state(), CPU), Pieces(CPU, captures=False), 3, 32, CPU))
    samples, pitch, phases = work._work()
    assert samples.shape == (3, 32 * HOP)
    assert pitch.shape == (3, 32)
    assert phases.shape == (3, 33)


@torch.inference_mode()
def test_what_is_compiled_is_compiled_once_for_all_blocks_steps_and_lengths() -> None:
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(len(module.graph.nodes))
        return module.forward

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, backend=backend, dynamic=True, fullgraph=True)

    made = flow(lively_state(), SMALL, CPU, torch.float32, 64, compiled)
    for rows, size in ((2, 16), (2, 24), (4, 32)):
        FlowWork(made, Pieces(CPU, captures=False), rows, size, CPU)._piece()
    assert len(graphs) == 2
    torch.compiler.reset()


def test_the_full_shape_is_that_of_the_model_card() -> None:
    names = Shape().names()

    def parameters(prefix: str) -> int:
        return sum(torch.Size(size).numel() for name, size in names.items() if name.startswith(prefix))

    assert parameters("flow.decoder.estimator.") == pytest.approx(71e6, rel=0.02)
    assert parameters("mel2wav.") == pytest.approx(20.8e6, rel=0.02)
    assert len(names) > 1_000


@pytest.mark.parametrize("meanflow", [False, True])
def test_sizes_are_read_of_a_checkpoint(meanflow: bool) -> None:
    shape = dataclasses.replace(SMALL, meanflow=meanflow)
    assert shape_of(random_state(shape)) == shape


def test_a_checkpoint_of_something_else_is_told_apart() -> None:
    with pytest.raises(ModelsError, match="not a checkpoint of S3Gen: it has no tensor"):
        shape_of({"model.weight": torch.zeros(1)})
    state = random_state(SMALL)
    del state["mel2wav.ups.1.bias"]
    with pytest.raises(ModelsError, match=r"1 tensors lack or have another shape \(mel2wav.ups.1.bias"):
        shape_of(state)


def test_noise_is_normal_and_a_function_of_its_place() -> None:
    seeds, places = torch.tensor([5, 6]), torch.arange(-50, 450).expand(2, -1)
    noise = normal(seeds, places, 80)
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert (noise.abs() > 3).float().mean() == pytest.approx(0.0027, abs=0.001)
    assert torch.equal(normal(seeds[:1], places[:1, 100:200], 80)[0], noise[0, 100:200])
    for a, b in ((noise[0], noise[1]), (noise[0, 1:], noise[0, :-1]), (noise[0, :, 1:], noise[0, :, :-1])):
        assert (a * b).mean().abs() < 0.02  # rows, neighbours in time and in frequency do not go together
    shares = uniform(seeds, places, 80)
    assert shares.min() > 0
    assert shares.max() < 1


def test_phases_go_on_over_windows() -> None:
    pitch = torch.rand(1, 40) * 300 + 80
    one = phases_of(pitch, torch.tensor([0.3], dtype=torch.float64))
    then = phases_of(pitch[:, 17:], one[:, 17])
    assert (torch.exp(2j * torch.pi * one[:, 17:]) - torch.exp(2j * torch.pi * then)).abs().max() < 1e-9
    assert float(one[0, 1]) == pytest.approx((0.3 + float(pitch[0, 0]) * HOP / RATE) % 1.0)


def test_sizes_hold_the_chunks_of_the_loop() -> None:
    plan = SoundPlan()
    assert plan.flow_sizes() == [96, 128, 160]
    assert plan.vocoder_sizes() == [32, 72, 104, 144]
    assert plan.limits().most >= 50
