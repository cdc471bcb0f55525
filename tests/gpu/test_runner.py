"""Voxtral's runner on real hardware: CUDA graphs or none, compiled or not, in fewer bits, beside transformers."""

from __future__ import annotations

import threading
import warnings

import pytest

from tests.gpu.machine import DEVICE, OPTIONS, SEED, asked, config, needs_gpu, relative, runner, stock_model, torch
from voxrtc.bench.voxtral import correct, sound
from voxrtc.bench.voxtral.steps import Memory, encode, read
from voxrtc.errors import ModelsError
from voxrtc.models.voxtral import build, checkpoint
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Ended, Request
from voxrtc.models.voxtral.runner import VoxtralRunner
from voxrtc.models.voxtral.sequence import Pick, Row, Sampling

pytestmark = needs_gpu
CALLERS = (1, 2, 8, 32)
VOCABULARY = 8192


@pytest.fixture(scope="module")
def expected() -> correct.Expected:
    """The stock model's logits in bf16."""
    return correct.expect(stock_model(), asked())


def distances(of: VoxtralRunner, expected: correct.Expected, quantize: str = "none") -> dict:
    return correct.compare(of, asked(), expected, CALLERS, quantize, SEED)


@pytest.mark.parametrize(
    ("attention", "compiles"),
    [("auto", False), ("auto", True), ("triton", False), ("flash", False), ("sdpa", False)],
    ids=["auto", "auto, compiled", "triton", "flash", "sdpa"],
)
def test_logits_are_those_of_the_stock_modules(expected: correct.Expected, attention: str, compiles: bool) -> None:
    try:
        made = runner(attention=attention, compiles=compiles)
    except ModelsError as error:
        pytest.skip(str(error))
    found = distances(made, expected)
    assert found["passed"], found
    assert made.report()["torch.compile"] == ("yes" if compiles else "no")


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_fewer_bits_stay_near(expected: correct.Expected, bits: str) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    made = runner(quantize=bits)
    found = distances(made, expected, bits)
    assert found["passed"], found
    assert made.weight_bytes < {"int8": 0.75, "int4": 0.6}[bits] * runner().weight_bytes


def test_graphs_draw_what_plain_calls_draw() -> None:
    """In float32, where sums of another order do not change which token is the likeliest."""
    drawn = []
    for captured in (True, False):
        made = runner(dtype=torch.float32)
        if not captured:
            made = plain(made)
        drawn.append(answers(made))
    assert drawn[0] == drawn[1]
    assert len({token for tokens in drawn[0] for token in tokens}) > 10


def plain(captured: VoxtralRunner) -> VoxtralRunner:
    """The same weights and plan without CUDA graphs."""
    made = VoxtralRunner(captured._weights, captured._attention, captured._plan, captures=False)
    made.warm(lambda what, part: None)
    return made


def answers(of: VoxtralRunner, steps: int = 24) -> list[list[int]]:
    """Some sequences of ragged lengths decoded side by side, half of them at a temperature."""
    memory, rows = Memory(of, SEED), []
    for number, case in enumerate(asked(11)):
        pages = memory.take(len(case.ids) + steps + 1)
        clips = [encode(of, clip.samples) for clip in case.clips]
        pick = read(of, correct.heard_as(case, clips), pages, clips)
        rows.append(Row(pick.token, len(case.ids), pages, Sampling(0.8 * (number % 2), number)))
    told = [[row.token] for row in rows]
    for _ in range(steps):
        picks = of.decode(rows)
        rows = [
            Row(pick.token, row.position + 1, row.pages, row.sampling) for row, pick in zip(rows, picks, strict=True)
        ]
        for tokens, pick in zip(told, picks, strict=True):
            tokens.append(pick.token)
    return told


def test_the_loop_answers_as_generate_does() -> None:
    """32 greedy tokens for each of 12 sequences that join one another, in float32."""
    model, made = stock_model(torch.float32), runner(dtype=torch.float32)
    cases = [case for case in asked(16) if not case.clips]
    told: list[list[int]] = [[] for _ in cases]
    ends = [threading.Event() for _ in cases]
    loop = Loop(made)
    loop.start()
    try:
        for number, case in enumerate(cases):
            loop.submit(Request(case.ids, 32), lambda pick, n=number: told[n].append(pick.token), ended(ends[number]))
        assert all(event.wait(60) for event in ends)
    finally:
        loop.close()
    for case, tokens in zip(cases, told, strict=True):
        ids = torch.tensor([case.ids], device=DEVICE)
        how = {"do_sample": False, "max_new_tokens": 32, "eos_token_id": None, "pad_token_id": 11}
        with torch.inference_mode():
            stock = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **how)
        assert tokens == stock[0, len(case.ids) :].tolist()


def ended(event: threading.Event) -> Ended:
    def tell(end: End | ModelsError) -> None:
        event.set()

    return tell


def test_one_wait_for_the_gpu_a_step() -> None:
    made = runner()
    memory = Memory(made, SEED)
    rows = [Row(5, 300 + n, memory.take(400)) for n in range(8)]
    picks = made.decode(rows)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            again = made.decode(rows)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert tokens_of(picks) == tokens_of(again)
    told = [str(wait.message) for wait in waits if "synchroniz" in str(wait.message)]
    assert len(told) <= 1, told


def tokens_of(picks: list[Pick]) -> list[int]:
    return [pick.token for pick in picks]


def test_a_sound_is_encoded_as_the_stock_encoder_does() -> None:
    made, model = runner(), stock_model()
    clip = encode(made, sound.window(sound.speech(None, SEED)[0]))
    with torch.inference_mode():
        theirs = model.get_audio_features(made._mel(clip.samples)).pooler_output
    assert clip.embeds is not None
    assert relative(clip.embeds, theirs) <= 2e-2


def test_graphs_take_little_memory() -> None:
    """Beside weights and conversations: less than what build.py leaves for it."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    made = runner()
    pages = (made.pages + 1) * made.page_size * 2 * 8 * 2 * 128 * 2
    beside = torch.cuda.memory_reserved() - before - made.weight_bytes - pages
    assert beside < build.WORKSPACE_BYTES


def test_no_room_for_one_caller_is_told() -> None:
    with pytest.raises(ModelsError, match=r"GPU memory is too small.*models\.context_tokens"):
        runner(memory_gb=0.2)


def test_out_of_memory_says_what_to_lower() -> None:
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 64 * 2**20) / total)
    try:
        take = checkpoint.random(config(), torch.bfloat16, DEVICE, SEED)
        with pytest.raises(ModelsError, match=r"out of memory: lower models\.gpu_memory_gb"):
            build.assemble(config(), take, OPTIONS, lambda what, part: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert free > 0
