"""The models that the curves of false cut-offs need, loaded for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voxrtc.bench.turns.traces import Models
from voxrtc.endpointing.prosody import Prosody
from voxrtc.endpointing.vad import SileroModel
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.llm.gguf import Gguf
from voxrtc.models.threads import count
from voxrtc.settings import Settings

READER = "smollm2-135m"
"""Reads for the end of turns, also where the configuration has nothing do so: the fused rule is measured with it."""
NEEDED = ("silero-vad", "smart-turn-v3.2", "whisper-base", READER)
"""The model files of a bench."""


@contextmanager
def evidence(settings: Settings) -> Iterator[Models]:
    """Load the models, fetched if they have to be. Raises StoreError, ModelsError."""
    cache = settings.models.cache_path
    silero, smart_turn, whisper, reader = (store.ensure(name, cache, lambda what, fraction: None) for name in NEEDED)
    prosody = Prosody(next(smart_turn.glob("*.onnx")))
    mind = Gguf(next(reader.glob("*.gguf")), threads=1, slots=1, context_tokens=512)
    try:
        yield Models(
            silero=SileroModel(next(silero.glob("*.onnx"))),
            prosody=prosody,
            whisper=Whisper(whisper, count(settings.models.threads)),
            reader=mind,
        )
    finally:
        mind.close()
        prosody.close()
