"""T3 against what chatterbox's own gave (golden.py), on the CPU and in float32: the same tokens, whatever is said
beside it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import random

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor  # noqa: E402

from tests.models.chatterbox import golden, t3_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.t3_stock import CPU, ENGLISH, MANNERS, MULTILINGUAL, said, utterance, voice  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox import t3 as t3_module  # noqa: E402
from voxrtc.models.chatterbox import t3_alignment, t3_conditioning, t3_picking, t3_weights  # noqa: E402
from voxrtc.models.chatterbox.parts import STOP, Manner, Utterance  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_memory import T3Plan  # noqa: E402
from voxrtc.models.chatterbox.t3_weights import T3Weights, assemble  # noqa: E402
from voxrtc.models.gpu.attention import Triton  # noqa: E402
from voxrtc.models.gpu.graphs import Pieces  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights() -> T3Weights:
    return t3_stock.weights(MULTILINGUAL)


@pytest.fixture(scope="module")
def model(weights: T3Weights) -> T3:
    return t3_stock.t3(weights)


@pytest.fixture(scope="module")
def theirs() -> golden.Figures:
    """What the package's T3 gives."""
    figures = golden.kept("t3")
    golden.same_weights(figures, t3_stock.state(MULTILINGUAL))
    return figures


@pytest.mark.parametrize("name", MANNERS)
def test_40_tokens_are_the_packages(model: T3, theirs: golden.Figures, name: str) -> None:
    tokens = said(model, 3, utterance(1, MANNERS[name]))
    assert tokens == theirs[f"tokens {name}"].tolist()
    assert len(tokens) == 40
    assert len(set(tokens)) > 20


@pytest.mark.parametrize("weight", golden.WEIGHTS)
def test_logits_are_the_packages(model: T3, theirs: golden.Figures, weight: float) -> None:
    tokens, logits = theirs[f"guided {weight}"].tolist(), torch.from_numpy(theirs[f"logits {weight}"])
    model.begin(1, t3_stock.guided(weight))
    for token, wanted in zip(tokens, logits, strict=True):
        assert model.step([1]) == [token]
        torch.testing.assert_close(golden.few(model.logits())[0], wanted, atol=2e-5, rtol=1e-5)


def test_attention_to_the_text_is_the_packages(
    model: T3, theirs: golden.Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the heads that tell where it is spoken."""
    seen: list[torch.Tensor] = []
    update = t3_alignment.Places.update

    def watched(self, rows, attended, frame, text):
        seen.append(attended[0, : int(text)])
        return update(self, rows, attended, frame, text)

    monkeypatch.setattr(t3_alignment.Places, "update", watched)
    said(model, 2, utterance(1))
    torch.testing.assert_close(torch.stack(seen), torch.from_numpy(theirs["attention"]), atol=2e-5, rtol=1e-4)


def test_the_penalty_is_that_of_transformers() -> None:
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(2, 8_194, generator=generator)
    ids = torch.randint(0, 8_194, (2, 300), generator=generator)
    said = torch.zeros(2, 8_194, dtype=torch.bool).scatter(1, ids, True)
    wanted = RepetitionPenaltyLogitsProcessor(1.3)(ids, logits)
    assert torch.equal(t3_picking.penalised(logits, said, torch.full((2,), 1.3)), wanted)


@pytest.mark.parametrize("mood", golden.MOODS)
def test_the_conditioning_is_the_packages(weights: T3Weights, theirs: golden.Figures, mood: float) -> None:
    made = t3_conditioning.Conditioning(weights)(voice(1), mood)
    torch.testing.assert_close(made, torch.from_numpy(theirs[f"conditioning {mood}"]), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["greedy", "usual"])
def test_the_english_one_has_no_analyzer(theirs: golden.Figures, name: str) -> None:
    golden.same_weights(theirs, t3_stock.state(ENGLISH), "weights of the english one")
    english = t3_stock.t3(t3_stock.weights(ENGLISH))
    assert said(english, 0, utterance(2, MANNERS[name], count=6)) == theirs[f"english {name}"].tolist()


def test_an_end_is_held_back_until_the_text_is_read(theirs: golden.Figures) -> None:
    eager = t3_stock.eager()
    model = t3_stock.t3(assemble(eager, CPU, torch.float32))
    words = eager["text_emb.weight"][: t3_weights.ENGLISH]
    unwatched = t3_stock.t3(assemble({**eager, "text_emb.weight": words}, CPU, torch.float32))
    sooner = 0
    for seed in range(6):
        what = t3_stock.hasty(seed)
        tokens = said(model, 0, what)
        assert tokens == theirs[f"hasty {seed}"].tolist()
        sooner += len(said(unwatched, 0, what)) < len(tokens)
    assert sooner


def _together(model: T3, whats: list[Utterance], seed: int) -> list[list[int]]:
    """What is said when these begin, go on and end at any time, in any row, in any order."""
    chance = random.Random(seed)
    told: dict[int, list[int]] = {}
    waiting, free, rows = list(range(len(whats))), list(range(model.rows)), dict[int, int]()
    while waiting or rows:
        if waiting and free and (not rows or chance.random() < 0.3):
            one, row = waiting.pop(0), free.pop(chance.randrange(len(free)))
            model.begin(row, whats[one])
            rows[row], told[one] = one, []
        asked = chance.sample(sorted(rows), chance.randint(1, len(rows)))
        for row, token in zip(asked, model.step(asked), strict=True):
            told[rows[row]].append(token)
            if token == STOP or len(told[rows[row]]) == whats[rows[row]].most:
                free.append(row)
                del rows[row]
    return [told[n] for n in range(len(whats))]


@pytest.fixture(scope="module")
def whats() -> list[Utterance]:
    return t3_stock.many()


@pytest.fixture(scope="module")
def alone(model: T3, whats: list[Utterance]) -> list[list[int]]:
    return [said(model, n % model.rows, what) for n, what in enumerate(whats)]


def test_each_alone_is_the_packages(theirs: golden.Figures, whats: list[Utterance], alone: list[list[int]]) -> None:
    assert alone == [theirs[f"tokens many {n}"].tolist() for n in range(len(whats))]
    assert len({tuple(tokens) for tokens in alone}) == len(whats)


@pytest.mark.parametrize("seed", range(4))
def test_nobody_hears_of_anybody_else(model: T3, whats: list[Utterance], alone: list[list[int]], seed: int) -> None:
    assert _together(model, whats, seed) == alone


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> T3Weights:
    """Of few layers, whose attention is watched: Triton's interpreter takes a second for each."""
    monkeypatch.setattr(t3_alignment, "HEADS", ((1, 15), (1, 11), (0, 2)))
    return t3_stock.weights(dataclasses.replace(MULTILINGUAL, layers=2))


@pytest.fixture
def padded(small: T3Weights, monkeypatch: pytest.MonkeyPatch) -> T3:
    """A T3 that works as on a GPU: in the sizes that are captured there, padded, by the Triton kernels, which run in
    Triton's interpreter. Only the capture itself is missing."""
    importlib.import_module("tests.models.gpu.interpreted")
    monkeypatch.setattr(t3_module, "PROMPT_SIZES", (48,))
    monkeypatch.setattr(Pieces, "captures", property(lambda self: True))
    make = Pieces.make

    def warmed(self, work):
        work()  # as before a capture: with whatever its inputs hold by then
        return make(self, work)

    monkeypatch.setattr(Pieces, "make", warmed)
    return t3_stock.t3(small, Triton(), T3Plan(rows=2, text=21, speech=5, page_size=64))


def test_padding_changes_nothing(padded: T3, small: T3Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    assert padded.report()["CUDA graphs"] == "yes"
    short = [utterance(n, manner, count=7 + 7 * n, most=3) for n, manner in enumerate(list(MANNERS.values())[:3])]
    got = _together(padded, short, 1)
    monkeypatch.undo()
    monkeypatch.setattr(t3_alignment, "HEADS", ((1, 15), (1, 11), (0, 2)))
    assert got == [said(t3_stock.t3(small), 0, what) for what in short]


def test_equal_seeds_and_others(model: T3) -> None:
    first, second = (said(model, 0, utterance(4, Manner(seed=seed))) for seed in (1, 2))
    assert said(model, 5, utterance(4, Manner(seed=1))) == first != second


def test_a_mood_and_a_voice_are_heard(model: T3) -> None:
    model.begin(0, utterance(4))
    model.begin(1, utterance(4, Manner(temperature=0.0, exaggeration=1.5)))
    model.begin(2, utterance(4, of=voice(9)))
    model.step([0, 1, 2])
    logits = model.logits()
    assert logits.shape == (3, 8194)
    assert (logits[0] - logits[1]).abs().max() > 0.01 < (logits[0] - logits[2]).abs().max()


def test_conditioning_is_made_once_and_forgotten(weights: T3Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t3_conditioning, "KEPT", 2)
    conditioning = t3_conditioning.Conditioning(weights)
    one, two = voice(1), voice(2)
    first = conditioning(one, 0.5)
    assert first.shape == (34, 64)
    assert conditioning(one, 0.5) is first
    assert not torch.equal(conditioning(one, 0.7), first)
    assert not torch.equal(conditioning(two, 0.5), first)
    assert conditioning(one, 0.5) is not first
    assert len(conditioning._kept) == 2
    anew = dataclasses.replace(two, speaker=two.speaker + 1.0)  # under the same name
    assert anew.name == two.name
    assert not torch.equal(conditioning(anew, 0.5), conditioning(two, 0.5))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_short_texts(model: T3, count: int) -> None:
    """Those of five tokens or fewer make the package fail (resemble-ai/chatterbox#548)."""
    what = Utterance([255, 7, 8, 9, 10, 0][-count:], voice(1), Manner(seed=3), 60)
    assert 0 < len(said(model, 0, what)) <= 60


def test_the_longest_is_said_and_ends(model: T3) -> None:
    what = utterance(3, Manner(seed=1), count=model.longest_text, most=model.longest_speech)
    tokens = said(model, 7, what)
    assert STOP not in tokens
    assert len(tokens) == model.longest_speech == 80
    assert model.step([7]) == [STOP]


@pytest.mark.parametrize(
    ("text", "most"), [([], 10), ([255] * 41, 10), ([255, 0], 81), ([255, 0], 0)], ids=["none", "text", "most", "zero"]
)
def test_what_has_no_room_is_refused(model: T3, text: list[int], most: int) -> None:
    with pytest.raises(ModelsError):
        model.begin(0, Utterance(text, voice(1), Manner(), most))


def test_a_text_token_without_weights_is_refused(model: T3) -> None:
    for text in ([255, model.text_ids, 0], [255, -1, 0]):
        with pytest.raises(ModelsError, match="has a text token that Chatterbox has not"):
            model.begin(0, Utterance(text, voice(1), Manner(), 20))


def test_three_equal_tokens_are_the_end_and_two_are_not(weights: T3Weights) -> None:
    stuck = dict(t3_stock.state(MULTILINGUAL))
    stuck["speech_head.weight"] = torch.zeros_like(stuck["speech_head.weight"])  # all alike: the first is taken
    model = t3_stock.t3(assemble(stuck, CPU, torch.float32))
    assert said(model, 0, utterance(1)) == [0, 0, 0, STOP]


def test_what_is_not_a_t3_is_refused() -> None:
    lacking = {key: w for key, w in t3_stock.state(MULTILINGUAL).items() if "layers.3.mlp.up" not in key}
    with pytest.raises(ModelsError, match=r"layers\.3\.mlp\.up_proj"):
        assemble(lacking, CPU, torch.float32)
    with pytest.raises(ModelsError, match="no weight"):
        assemble({}, CPU, torch.float32)


def test_another_vocabulary_is_read_from_the_weights() -> None:
    sizes = t3_weights.Sizes(hidden=64, layers=14, head_dim=16, wide=96, text=2600)
    made = assemble(t3_weights.random(sizes, CPU, torch.float32), CPU, torch.float32)
    assert made.multilingual
    assert made.text.shape[0] == 2600
    assert said(t3_stock.t3(made), 0, Utterance([255, 2599, 2500, 9, 8, 7, 0], voice(1), Manner(), 5))


def test_random_weights_have_the_names_and_sizes_of_the_released_ones(theirs: golden.Figures) -> None:
    released = {name: tuple(size) for name, size in json.loads(str(theirs["names"])).items()}
    assert t3_weights.sizes_of(t3_weights.Sizes()) == released


def test_nothing_of_a_step_waits_for_the_gpu(model: T3) -> None:
    """But reading its tokens, which step() does once."""

    class Watch(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    for row, manner in enumerate(list(MANNERS.values())[:3]):
        model.begin(row, utterance(row, manner))
    with Watch() as watch:
        tokens = model.step([0, 1, 2])
    assert len(tokens) == 3
    assert "index_fill_" in watch.seen  # it is watched
    assert not {"_local_scalar_dense", "nonzero", "equal", "masked_select", "unique"} & set(watch.seen)


@pytest.mark.parametrize("name", ["picked", "picked_turbo", "text_attention"])
def test_what_is_compiled_is_one_graph(name: str) -> None:
    n, vocabulary = 3, 8194
    said = torch.zeros(n, vocabulary, dtype=torch.bool)
    one, zero = torch.ones(n), torch.zeros(n, dtype=torch.int64)
    wishes = t3_picking.Wishes(one, one, one * 0.05, one * 2, zero, zero, zero > 0)
    logits = torch.randn(n, 2, vocabulary, generator=torch.Generator().manual_seed(1))
    arguments = {
        "picked": (t3_picking.picked, logits, said, zero > 0, wishes),
        "picked_turbo": (t3_picking.picked_turbo, logits[:, :1], said, wishes),
        "text_attention": (
            t3_alignment.text_attention,
            logits[:, 0, :16],
            logits[:, :, :64].reshape(n, 8, 16),
            zero,
            2,
            4,
        ),
    }
    function, *given = arguments[name]
    compiled = torch.compile(function, dynamic=True, backend="eager", fullgraph=True)
    assert torch.equal(compiled(*given).nan_to_num(), function(*given).nan_to_num())
