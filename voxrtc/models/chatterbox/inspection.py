"""For `voxrtc doctor`: whether Chatterbox can work here, without loading it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from voxrtc.errors import ModelsError
from voxrtc.models import hub
from voxrtc.models.catalogue import chatterbox
from voxrtc.models.chatterbox import build, checkpoint, clips, sizing, voices
from voxrtc.settings import Settings


def inspect(settings: Settings) -> Iterator[str]:
    """Sentences on what was found. Raises ModelsError for the first thing that cannot work."""
    if settings.models.profile != "voxtral":  # whose own inspection tells of the device and its memory
        device = build.device_of(settings)
        if device.type == "cuda":
            calls, at_once = settings.server.max_calls, settings.tts.clauses_at_once
            turbo, rows = checkpoint.is_turbo(settings.tts.chatterbox), sizing.rows(calls, at_once)
            sizing.check(turbo, rows, calls, torch.cuda.mem_get_info(device)[0])
        yield f"Chatterbox speaks on {'the GPU' if device.type == 'cuda' else 'the CPU, slower than anybody listens'}"
    name = settings.tts.chatterbox
    repository = chatterbox(name).repository
    assert repository is not None
    folder = hub.local(name) or hub.find(repository)
    if folder is not None:  # else it is among the models that are not fetched yet
        files = checkpoint.find(folder)
        yield f"{'Chatterbox Turbo (English)' if files.turbo else 'Chatterbox, multilingual'}: {files.t3.name}"
    found = voices.clips_in(voices.folder_of(settings.tts))
    for path in found.values():
        clips.read(path)
    if found:
        yield f"voices of clips: {', '.join(found)}"
    wanted = settings.tts.voice
    if wanted not in ("auto", voices.BUILT_IN, *found):
        raise ModelsError(f"tts.voice is '{wanted}', and {settings.tts.voices_dir} has no clip of that name")
