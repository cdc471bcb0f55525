"""What chatterbox-tts 0.1.7 and resemble-perth 1.0.1 give, in ``golden/*.npz``: tests hold our modules to it without
these packages, which cannot be installed beside our torch (docs/dependencies.md).

Every figure is of random weights and inputs of fixed seeds, in float32 on the CPU: of the thin shapes in t3_stock,
turbo_stock, stock, voices_stock and whole_stock, and of 3 s of speech in tests/data. Neither weights nor inputs are
kept, but sums by which a test sees that they are still the same. Made anew where shapes, seeds or our noise change::

    pip install --no-deps --target SCRATCH chatterbox-tts==0.1.7 s3tokenizer==0.3.0 resemble-perth==1.0.1 \\
        diffusers==0.29.0 conformer==0.3.2 einops==0.8.1 omegaconf==2.3.0 antlr4-python3-runtime==4.9.3 \\
        librosa==0.11.0 torchaudio==2.11.0 onnx scipy scikit-learn numba llvmlite joblib cloudpickle narwhals \\
        threadpoolctl lazy_loader audioread decorator msgpack pooch platformdirs ml_dtypes importlib_metadata zipp
    find SCRATCH/torchaudio -name '*.so' -delete    # which our torch does not load; its Python does without
    PYTHONPATH=SCRATCH python -m tests.models.chatterbox.golden

Those that are kept are of torch 2.13.0 and transformers 5.23.0 on x86-64; transformers 5.2.0, which the package asks
for, gives the same.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import alignment_stock, stock, t3_stock, turbo_stock, voices_stock, whole_stock  # noqa: E402
from tests.models.chatterbox.stock import THIN  # noqa: E402
from tests.models.chatterbox.t3_stock import ENGLISH, MANNERS, MULTILINGUAL, Stock, utterance  # noqa: E402
from voxrtc.models.chatterbox.flow_shape import random_state  # noqa: E402
from voxrtc.models.chatterbox.parts import Manner, Utterance  # noqa: E402

FOLDER = Path(__file__).parent / "golden"
Figures = dict[str, np.ndarray]
WEIGHTS = (0.0, 0.5, 1.0)
"""Of the guidance whose logits are kept."""
MOODS = (0.5, 1.3)
EVERY = 101
"""So many logits of a vocabulary, one is kept; and the logarithm of the sum of all."""
EVERY_FRAME = {"sound mel": 4, "code mel": 16, "speaker mel": 8, "bank": 8}
"""So many frames of a spectrum, one is kept."""
EVERY_SAMPLE = 4
"""So many of the mark's samples, which holds nothing above 2 kHz, one is kept."""


# -- for tests ----------------------------------------------------------------------------------------------------


@functools.cache
def kept(name: str) -> Figures:
    """All of ``golden/NAME.npz``."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def sums(tensors: Mapping[str, Any]) -> np.ndarray:
    """(2,) float64 by which weights or inputs are known: of what they hold, and of its size."""
    flat = [tensor.double().flatten() for _, tensor in sorted(tensors.items())]
    signs = sum(float((one * torch.linspace(1.0, 2.0, one.numel(), dtype=torch.float64)).sum()) for one in flat)
    return np.array([signs, sum(float(one.abs().sum()) for one in flat)])


def same_weights(figures: Figures, tensors: Mapping[str, Any], name: str = "weights") -> None:
    """Fails where what the figures are of is not what ``tensors`` are."""
    wanted, found = figures[name], sums(tensors)
    message = (
        f"other random {name} than those the figures were made with: make them anew (tests/models/chatterbox/golden.py)"
    )
    assert np.abs(found - wanted).max() <= 1e-6 * wanted[1], message


def few(logits: Any) -> Any:
    """Of ``logits`` (n, vocabulary) each EVERYth, and the logarithm of the sum of all: (n, few)."""
    return torch.cat((logits[:, ::EVERY], logits.logsumexp(-1, keepdim=True)), dim=-1)


# -- made by the package --------------------------------------------------------------------------------------------


def t3() -> dict[str, Any]:
    """The multilingual T3, and the English one."""
    theirs = Stock(MULTILINGUAL)
    made: dict[str, Any] = {"weights": sums(t3_stock.state(MULTILINGUAL))}
    made |= {f"tokens {name}": theirs.said(utterance(1, manner)) for name, manner in MANNERS.items()}
    made |= {f"tokens many {n}": theirs.said(what) for n, what in enumerate(t3_stock.many())}
    made["attention"] = theirs.attention(utterance(1))
    for mood in MOODS:
        what = utterance(1, Manner(exaggeration=mood))
        made[f"conditioning {mood}"] = _conditioning(theirs, what)
    for weight in WEIGHTS:
        made[f"guided {weight}"] = theirs.said(t3_stock.guided(weight))
        cond, uncond = torch.stack(theirs.logits[: len(made[f"guided {weight}"])]).unbind(1)
        made[f"logits {weight}"] = few(cond + weight * (cond - uncond))
    theirs.model.load_state_dict(t3_stock.eager(), strict=False)
    made |= {f"hasty {seed}": theirs.said(t3_stock.hasty(seed)) for seed in range(6)}
    english = Stock(ENGLISH)
    made["weights of the english one"] = sums(t3_stock.state(ENGLISH))
    for name in ("greedy", "usual"):
        made[f"english {name}"] = english.said(utterance(2, MANNERS[name], count=6))
    return made | {"names": json.dumps(_released())}


def _conditioning(theirs: Any, what: Utterance) -> Any:
    with torch.inference_mode():
        return theirs.model.prepare_conditioning(theirs.condition(what))[0]


def _released() -> dict[str, list[int]]:
    """Names and sizes of the released multilingual T3."""
    with t3_stock.package(), torch.device("meta"):
        config = importlib.import_module("chatterbox.models.t3.modules.t3_config").T3Config.multilingual()
        state = importlib.import_module("chatterbox.models.t3.t3").T3(config).state_dict()
    unused = ("text_head.", "tfmr.embed_tokens.")
    return {name: list(weight.shape) for name, weight in state.items() if not name.startswith(unused)}


def turbo() -> dict[str, Any]:
    theirs = turbo_stock.Turbo()
    made: dict[str, Any] = {"weights": sums(turbo_stock.state())}
    made |= {f"tokens {seed}": theirs.said(turbo_stock.asked(seed)) for seed in range(5)}
    return made | {"conditioning": _conditioning(theirs, turbo_stock.asked(1))[::16]}


def alignment() -> dict[str, Any]:
    """(frames, 2) of each: whether an end is held back, and whether it is made."""
    made: dict[str, Any] = {}
    for strength in alignment_stock.STRENGTHS:
        rows = alignment_stock.rows(strength)
        made[f"attention {strength}"] = sums({str(n): row for n, row in enumerate(rows)})
        for n, (row, text) in enumerate(zip(rows, alignment_stock.TEXTS, strict=True)):
            made[f"decided {strength} {n}"] = np.array(alignment_stock.theirs(row, text))
    return made


@torch.inference_mode()
def sound() -> dict[str, Any]:
    """The flow, plain and of mean flow, and the vocoder."""
    made: dict[str, Any] = {}
    for meanflow in (False, True):
        shape = dataclasses.replace(THIN, meanflow=meanflow)
        state = random_state(shape)
        theirs = stock.stock(state, shape)
        encoded: list[Any] = []
        theirs.flow.encoder_proj.register_forward_hook(lambda module, args, out, to=encoded: to.append(out[0]))
        mel = stock.stock_mel(theirs, stock.speech(), stock.reference(), stock.speech_noise(), meanflow)[0].T
        kind = "meanflow" if meanflow else "flow"
        made |= {f"{kind} weights": sums(state), f"{kind} encoded": encoded[0], f"{kind} mel": mel}
    state = random_state(THIN)
    theirs = stock.stock(state, THIN)
    pitch: list[Any] = []
    theirs.mel2wav.f0_predictor.register_forward_hook(lambda module, args, out: pitch.append(out[0]))
    drawn = stock.spectrogram_noise()
    samples = stock.stock_sound(theirs, stock.spectrogram(), drawn.phases, drawn.noise)[0]
    return made | {"pitch": pitch[0], "samples": samples}


def voices() -> dict[str, Any]:
    encoder, s3gen = voices_stock.states()
    made = voices_stock.made()
    thinned = {name: one[:: EVERY_FRAME.get(name, 1)] for name, one in made.items()}
    of_perth = {"perth weights": sums(voices_stock.perth_state()), "mark": voices_stock.perth_mark()[::EVERY_SAMPLE]}
    return {"encoder weights": sums(encoder), "s3gen weights": sums(s3gen), **thinned, **of_perth}


def whole() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        made = whole_stock.said(Path(folder))
    weights = {"t3 weights": sums(whole_stock.t3_state()), "sound weights": sums(whole_stock.sound_state())}
    return made | weights


MADE: dict[str, Callable[[], dict[str, Any]]] = {
    "t3": t3,
    "turbo": turbo,
    "alignment": alignment,
    "sound": sound,
    "voices": voices,
    "whole": whole,
}


def figures(name: str) -> Figures:
    """Made by the packages; skips where they are not installed."""
    return {key: _small(np.asarray(one)) for key, one in MADE[name]().items()}


def _small(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int16) if array.dtype == np.int64 else array


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in MADE:
        np.savez_compressed(FOLDER / f"{name}.npz", **figures(name))
        print(name, (FOLDER / f"{name}.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
