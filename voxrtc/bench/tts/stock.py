"""The package's own classes (chatterbox-tts 0.1.7), random weights, driven as its generate() drives them.

It gives the sound of a whole text at once. For the first audio it is asked for as many tokens as our first chunk has,
which are then made into sound by themselves; for the rtf the whole clause. Left out on both sides: tokenizer and
watermark. Hooks that it leaves behind at each call are taken away, or it would grow slower with every one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.tts import spoken
from voxrtc.bench.voxtral.timing import Wait, median, timed
from voxrtc.errors import VoxrtcError
from voxrtc.models.chatterbox.flow_shape import shape_of
from voxrtc.models.chatterbox.loop import CHUNKS, LOOK_AHEAD
from voxrtc.models.chatterbox.parts import CODES, TOKENS_PER_S, Voice

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PACKAGE = "chatterbox-tts 0.1.7"
STEPS = 10
"""Of Euler's method, as S3Token2Wav.inference takes."""
CHUNK = CHUNKS[-1]


class Stock:
    """T3, flow and vocoder on ``device``, float32 as they are shipped, with the weights that ours are made of."""

    def __init__(self, t3: Mapping[str, Tensor], s3gen: Mapping[str, Tensor], device: torch.device) -> None:
        """Raises VoxrtcError where the package is not there, or does not import."""
        try:
            with _bare():
                self._t3, self._conditions = _t3(t3)
                self._flow, self._vocoder = _s3gen(s3gen)
        except ImportError as error:
            raise VoxrtcError(f"{PACKAGE} does not import here: {error}") from error
        for model in (self._t3, self._flow, self._vocoder):
            model.to(device).eval()
        self._device = device

    def tokens(self, voice: Voice, count: int) -> Tensor:
        """``count`` speech tokens (1, count) of a clause of that many."""
        import torch

        text = torch.tensor(
            [spoken.utterance(voice, count, self._t3.text_emb.num_embeddings, 0).text] * 2, device=self._device
        )
        emotion = 0.5 * torch.ones(1, 1, 1, device=self._device)
        of_voice = self._conditions(voice.speaker, None, voice.prompt, None, emotion)
        try:
            said: Tensor = self._t3.inference(t3_cond=of_voice, text_tokens=text, max_new_tokens=count, top_p=1.0,
                                              repetition_penalty=2.0, cfg_weight=0.5)  # fmt: skip
        finally:
            for module in self._t3.tfmr.modules():  # transformers has hooks of its own, which stay
                hooks = module._forward_hooks
                for key in [key for key, hook in hooks.items() if "alignment" in getattr(hook, "__module__", "")]:
                    del hooks[key]
        return said % CODES

    def sound(self, voice: Voice, tokens: Tensor) -> Any:
        """Samples (n,) of speech tokens (1, n), on the host."""
        import torch

        counts = [torch.tensor([of.shape[1]], device=self._device) for of in (tokens, voice.tokens)]
        with torch.inference_mode():  # as S3Token2Wav.inference does
            mel, _ = self._flow.inference(
                token=tokens,
                token_len=counts[0],
                prompt_token=voice.tokens,
                prompt_token_len=counts[1],
                prompt_feat=voice.mel,
                prompt_feat_len=None,
                embedding=voice.xvector,
                finalize=True,
                n_timesteps=STEPS,
            )
            sound, _ = self._vocoder.inference(speech_feat=mel, cache_source=torch.zeros(1, 1, 0, device=self._device))
        return sound.squeeze(0).cpu().numpy()


def installed() -> bool:
    """Whether the package is there; not, whether all that it needs is."""
    return importlib.util.find_spec("chatterbox") is not None


@contextlib.contextmanager
def _bare() -> Iterator[None]:
    """Within, the package's modules can be imported without what its ``__init__`` wants besides (a tokenizer of sound,
    a watermark, readers of files); after it there is no package of that name."""
    found = importlib.util.find_spec("chatterbox")
    if found is None or not found.submodule_search_locations:
        raise VoxrtcError(f"{PACKAGE} is not installed")
    root = Path(next(iter(found.submodule_search_locations)))
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "chatterbox"}
    for name in before:
        del sys.modules[name]
    for name in ("chatterbox", "chatterbox.models", "chatterbox.models.s3gen"):
        bare = types.ModuleType(name)
        bare.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = bare
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "chatterbox"]:
            del sys.modules[name]
        sys.modules.update(before)


def _module(name: str) -> Any:
    return importlib.import_module(f"chatterbox.models.{name}")


def _t3(state: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """T3 of the sizes of ``state``, and the class of its conditions."""
    whole, conditions = _module("t3.t3"), _module("t3.modules.cond_enc")
    whole.tqdm = lambda steps, **how: steps  # a bar for each text
    text, hidden = state["text_emb.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("tfmr.layers."))
    wide = state["tfmr.layers.0.mlp.up_proj.weight"].shape[0]
    head = state["tfmr.layers.0.self_attn.q_proj.weight"].shape[0] // 16
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": wide, "head_dim": head}
    _module("t3.llama_configs").LLAMA_CONFIGS["Llama_520M"].update(sizes)
    resampler = conditions.Perceiver
    conditions.Perceiver = lambda: resampler(pre_attention_query_size=hidden, embedding_dim=hidden)
    config = _module("t3.modules.t3_config").T3Config(text_tokens_dict_size=text)
    config.stop_speech_token = -1  # random weights would end a text anywhere
    made = whole.T3(config)
    made.load_state_dict({name: weight.float() for name, weight in state.items()}, strict=False)
    return made, conditions.T3Cond


def _s3gen(state: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """Flow and vocoder of the sizes of ``state``, put together as S3Token2Wav does."""
    shape = shape_of(state)
    encoder = _module("s3gen.transformer.upsample_encoder").UpsampleConformerEncoder(
        linear_units=shape.inner, num_blocks=shape.layers, pos_enc_layer_type="rel_pos_espnet"
    )
    estimator = _module("s3gen.decoder").ConditionalDecoder(
        channels=[shape.channels],
        n_blocks=shape.blocks,
        num_mid_blocks=shape.middles,
        num_heads=shape.attention // 64,
    )
    cfm = _module("s3gen.configs").CFM_PARAMS
    decoder = _module("s3gen.flow_matching").CausalConditionalCFM(spk_emb_dim=80, cfm_params=cfm, estimator=estimator)
    flow = _module("s3gen.flow").CausalMaskedDiffWithXvec(encoder=encoder, decoder=decoder)
    vocoder = _module("s3gen.hifigan").HiFTGenerator(
        sampling_rate=SPOKEN_RATE,
        base_channels=shape.vocoder,
        upsample_rates=[8, 5, 3],
        upsample_kernel_sizes=[16, 11, 7],
        source_resblock_kernel_sizes=[7, 7, 11],
        source_resblock_dilation_sizes=[[1, 3, 5]] * 3,
        f0_predictor=_module("s3gen.f0_predictor").ConvRNNF0Predictor(cond_channels=shape.pitch),
    )
    for module, name in ((flow, "flow."), (vocoder, "mel2wav.")):
        module.load_state_dict(
            {key.removeprefix(name): w for key, w in state.items() if key.startswith(name)}, strict=False
        )
    return flow, vocoder


def measure(stock: Stock, voice: Voice, clauses: Sequence[int], wait: Wait, repeat: int) -> dict[str, float]:
    """``first_audio_ms``, ``rtf``; ``t3_token_ms`` of a token after the first, ``sound_chunk_ms`` of a large chunk."""
    first = CHUNKS[0] + LOOK_AHEAD
    whole = sum(clauses)

    def said(count: int) -> Callable[[], object]:
        return lambda: stock.sound(voice, stock.tokens(voice, count))

    few = median(timed(lambda: stock.tokens(voice, first), wait, repeat, warm=1))
    many = median(timed(lambda: stock.tokens(voice, first + CHUNK), wait, repeat, warm=1))
    tokens = stock.tokens(voice, CHUNK)
    chunk = median(timed(lambda: stock.sound(voice, tokens), wait, repeat, warm=1))
    seconds = whole / TOKENS_PER_S
    took = timed(said(whole), wait, max(1, repeat // 4), warm=0)
    return {
        "first_audio_ms": median(timed(said(first), wait, repeat, warm=1)),
        "rtf": round(median(took) / 1e3 / seconds, 4),
        "t3_token_ms": round(max(0.0, many - few) / CHUNK, 3),
        "sound_chunk_ms": chunk,
    }
