"""A thin T3 with random weights, ours and chatterbox-tts's own (its models/t3, without what the rest of it imports)."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox.bare import bare  # noqa: E402 - needs torch
from voxrtc.models.chatterbox import t3_weights  # noqa: E402 - needs torch
from voxrtc.models.chatterbox.parts import STOP, Manner, Utterance, Voice  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_memory import T3Plan  # noqa: E402
from voxrtc.models.chatterbox.t3_weights import Sizes, T3Weights  # noqa: E402
from voxrtc.models.gpu.attention import Attention, Sdpa  # noqa: E402

CPU = torch.device("cpu")
MULTILINGUAL = Sizes(hidden=64, layers=14, head_dim=16, wide=96)
"""The layers whose attention is watched are 9, 12 and 13, the heads up to 15."""
ENGLISH = Sizes(hidden=64, layers=3, head_dim=16, wide=96, text=704)
GREEDY = Manner(temperature=0.0)
MANNERS = {
    "greedy": GREEDY,
    "usual": Manner(seed=11),
    "other": Manner(exaggeration=1.3, cfg_weight=0.3, temperature=1.1, min_p=0.02, repetition_penalty=1.2, seed=5),
    "unguided": Manner(cfg_weight=0.0, min_p=0.0, seed=6),
}
_THIN = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16}
_PACKAGES = ("chatterbox", "chatterbox.models")


@functools.cache
def state(sizes: Sizes, seed: int = 0) -> dict[str, Any]:
    """Random weights that are large enough for everything to matter, and attention is to few tokens."""
    made = t3_weights.random(sizes, CPU, torch.float32, seed)
    return {key: weight * _scale(key) for key, weight in made.items()}


def _scale(key: str) -> float:
    if key.endswith(("q_proj.weight", "k_proj.weight")):
        return 10
    return 1 if key.endswith(("norm.weight", "bias")) else 6


def eager() -> dict[str, Any]:
    """One that wants its end much, or not at all."""
    made = dict(state(MULTILINGUAL))
    made["speech_head.weight"] = made["speech_head.weight"].clone()
    made["speech_head.weight"][STOP] *= 5
    return made


def weights(sizes: Sizes) -> T3Weights:
    return t3_weights.assemble(state(sizes), CPU, torch.float32)


PLAN = T3Plan(rows=8, text=40, speech=80, page_size=16)


def t3(of: T3Weights, attention: Attention | None = None, plan: T3Plan = PLAN) -> T3:
    made = T3(of, attention or Sdpa(), plan)
    made.warm(lambda what, fraction: None)
    return made


def voice(seed: int, prompt: int = 150) -> Voice:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 6_561, (1, prompt), generator=generator)
    nothing = torch.zeros(0)
    return Voice(f"voice {seed}", torch.randn(1, 256, generator=generator), tokens, nothing, nothing, nothing)


def text(seed: int, count: int = 17) -> list[int]:
    """Start, words, stop: ``count`` tokens."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return [255, *torch.randint(1, 250, (count - 2,), generator=generator).tolist(), 0]


def utterance(
    seed: int, manner: Manner = GREEDY, count: int = 17, of: Voice | None = None, most: int = 40
) -> Utterance:
    return Utterance(text(seed, count), of or voice(seed), manner, most)


def many() -> list[Utterance]:
    """Of two voices, in all manners, none like another."""
    manners = list(MANNERS.values())
    two = [voice(1), voice(2, prompt=90)]
    return [utterance(n, manners[n % 4], count=7 + 3 * (n % 9), of=two[n % 2], most=20 + 2 * n % 20) for n in range(12)]


def guided(weight: float) -> Utterance:
    """Guided by its text so much."""
    return utterance(6, Manner(exaggeration=0.8, cfg_weight=weight, seed=2), count=21, most=12)


def hasty(seed: int) -> Utterance:
    """For ``eager()``."""
    return utterance(seed, Manner(seed=seed), count=8 + seed)


def said(model: T3, row: int, what: Utterance) -> list[int]:
    """All of it, alone, STOP included; no more than ``most``."""
    model.begin(row, what)
    tokens: list[int] = []
    while len(tokens) < what.most and 6_562 not in tokens:
        tokens += model.step([row])
    return tokens


# -- the package --------------------------------------------------------------------------------------------------


def package() -> contextlib.AbstractContextManager[None]:
    """Within, chatterbox.models.t3 can be imported; skips where the package is not installed."""
    return bare(_PACKAGES, ("einops", "tqdm"))


class Stock:
    """chatterbox's T3 of ``state(sizes)``."""

    def __init__(self, sizes: Sizes) -> None:
        with package():
            configs = importlib.import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS
            encoder = importlib.import_module("chatterbox.models.t3.modules.cond_enc")
            config = importlib.import_module("chatterbox.models.t3.modules.t3_config").T3Config
            self._t3 = importlib.import_module("chatterbox.models.t3.t3")
            self.conditions = encoder.T3Cond
            thin = functools.partial(encoder.Perceiver, pre_attention_query_size=64, embedding_dim=64)
            layers = {"num_hidden_layers": sizes.layers, **_THIN}
            with patch.dict(configs["Llama_520M"], layers), patch.object(encoder, "Perceiver", thin):
                self.model = self._t3.T3(config(sizes.text)).eval()
        lacking = self.model.load_state_dict(state(sizes), strict=False)
        assert set(lacking.missing_keys) <= {"text_head.weight", "tfmr.embed_tokens.weight"}
        assert not lacking.unexpected_keys
        self._config = dict(self.model.tfmr.config.__dict__)
        self.logits: list[Any] = []
        """(2, vocabulary) of each token that was said last, with and without the text."""
        self.model.speech_head.register_forward_hook(lambda module, args, out: self.logits.append(out[:, -1]))

    def said(self, what: Utterance) -> list[int]:
        """What the package says, its noise replaced by ours."""
        self.begin()
        manner = what.manner
        with self.drawing(manner.seed):
            tokens = self.model.inference(
                t3_cond=self.condition(what),
                text_tokens=torch.tensor([list(what.text)] * 2),
                max_new_tokens=what.most,
                temperature=manner.temperature or 1e-6,
                min_p=manner.min_p,
                top_p=1.0,
                repetition_penalty=manner.repetition_penalty,
                cfg_weight=manner.cfg_weight,
            )
        return tokens[0].tolist()

    def attention(self, what: Utterance) -> Any:
        """(tokens, text): what the analyzer sees of each speech token of ``what``, the mean of its heads."""
        seen: list[Any] = []
        analyzer = self._t3.AlignmentStreamAnalyzer
        step = analyzer.step

        def watched(of: Any, *args: Any, **more: Any) -> Any:
            start, end = of.text_tokens_slice
            seen.append(torch.stack(of.last_aligned_attns).mean(0)[-1, start:end])
            return step(of, *args, **more)

        with patch.object(analyzer, "step", watched):
            self.said(what)
        return torch.stack(seen)

    def begin(self) -> None:
        """Undo what the call before has left."""
        self.model.tfmr.config.__dict__.update(self._config)  # which each call changes for good
        for layer in self.model.tfmr.layers:
            layer.self_attn._forward_hooks.clear()  # which each call leaves behind
        self.logits.clear()

    def condition(self, what: Utterance) -> Any:
        """Its T3Cond."""
        return self.conditions(
            speaker_emb=what.voice.speaker,
            cond_prompt_speech_tokens=what.voice.prompt,
            emotion_adv=what.manner.exaggeration * torch.ones(1, 1, 1),
        )

    @contextlib.contextmanager
    def drawing(self, seed: int) -> Iterator[None]:
        """Within, the package draws with our noise of ``seed``, and shows no progress."""
        with patch.object(torch, "multinomial", Drawing(seed)), patch.object(self._t3, "tqdm", _quiet):
            yield


class Drawing:
    """torch.multinomial with the noise of sampling.py: of this seed, and of how many were drawn before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, probabilities: Any, num_samples: int) -> Any:
        from voxrtc.models.gpu.sampling import _gumbel

        noise = _gumbel(torch.tensor([self._seed]), torch.tensor([self._drawn]), probabilities.shape[-1])
        self._drawn += 1
        return (probabilities.log() + noise).argmax(-1, keepdim=True)


def _quiet(steps: Sequence[int], **options: Any) -> Sequence[int]:
    return steps
