"""The tiny checkpoint is a Voxtral to transformers, and what we give it is what its own processor does."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from transformers import AutoProcessor, VoxtralForConditionalGeneration, VoxtralProcessor  # noqa: E402

from tests.models.voxtral.tiny import make_checkpoint  # noqa: E402
from voxrtc.audio import Samples, from_pcm16  # noqa: E402
from voxrtc.models.voxtral.features import LogMel  # noqa: E402
from voxrtc.models.voxtral.prompt import transcription  # noqa: E402
from voxrtc.models.voxtral.sequence import Clip  # noqa: E402
from voxrtc.models.voxtral.tokens import Tokens  # noqa: E402

DATA = Path(__file__).parents[2] / "data"


def recorded(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def greedy(model: VoxtralForConditionalGeneration, prompt: list[int], features: torch.Tensor) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        input_features=features,
        max_new_tokens=24,
        do_sample=False,
    )
    return out[0, len(prompt) :].tolist()


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VoxtralForConditionalGeneration:
    return VoxtralForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)


def test_the_hubs_classes_load_it(checkpoint: Path, model: VoxtralForConditionalGeneration) -> None:
    assert isinstance(AutoProcessor.from_pretrained(checkpoint), VoxtralProcessor)
    assert model.config.text_config.rope_parameters["rope_theta"] == 1e8
    assert VoxtralForConditionalGeneration.from_pretrained(checkpoint).dtype == torch.bfloat16


def test_greedy_tokens_vary_and_the_sound_matters(tokens: Tokens, model: VoxtralForConditionalGeneration) -> None:
    features = LogMel("cpu")
    answers = []
    for name in ("jfk", "austen-0870"):
        sound = recorded(name)
        prompt = [tokens.audio if number < 0 else number for number in transcription(tokens, Clip(sound))]
        answers.append(greedy(model, prompt, features(sound)))
    assert answers[0] != answers[1]
    assert all(len(set(answer)) > 10 for answer in answers)


def test_our_prompt_is_answered_as_the_processors(
    tokens: Tokens, processor: VoxtralProcessor, model: VoxtralForConditionalGeneration
) -> None:
    """A minute of speech; what the processor makes of it, WAV file and all."""
    sound = torch.from_numpy(recorded("jfk")).repeat(4).numpy()
    request = processor.apply_transcription_request(
        audio=sound, model_id="tiny", language="en", sampling_rate=16_000, format=["wav"]
    )
    prompt = [tokens.audio if number < 0 else number for number in transcription(tokens, Clip(sound), "en")]
    assert prompt == request["input_ids"][0].tolist()
    with torch.inference_mode():
        ours = model(input_ids=request["input_ids"], input_features=LogMel("cpu")(sound)).logits[0, -1]
        theirs = model(**request).logits[0, -1]
    assert ours.argmax() == theirs.argmax()
    assert torch.linalg.norm(ours - theirs) < 0.02 * torch.linalg.norm(theirs)


def test_other_sizes_and_seeds(tmp_path: Path) -> None:
    sizes = {"hidden": 32, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 32, "vocabulary": 2000}
    one = make_checkpoint(tmp_path / "one", 1, **sizes)
    again = make_checkpoint(tmp_path / "again", 1, **sizes)
    two = make_checkpoint(tmp_path / "two", 2, **sizes)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (one, again, two)]
    assert weights[0] == weights[1] != weights[2]
    assert VoxtralForConditionalGeneration.from_pretrained(one).config.text_config.head_dim == 32
    assert Tokens(one).size == 2000
