"""Turn detection as OpenAI names it, as the keys of [endpointing] that a call may have its own values of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import ValidationError

from voxrtc.commands import Configure, Endpoint
from voxrtc.server.realtime.errors import Refused
from voxrtc.settings import Endpointing

WHERE = "session.audio.input.turn_detection"
EAGERNESS = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.5}
"""Times the waits that are configured."""


class ServerVad(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="server_vad"):
    """The turn is over after so much silence."""

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 300
    """Of no effect: what comes before the voice is kept by a rule of our own."""
    silence_duration_ms: Annotated[int, msgspec.Meta(ge=100, le=5_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, msgspec.Meta(ge=5_000, le=30_000)] | None = None


class SemanticVad(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="semantic_vad"):
    """The turn is over when voice and words sound finished."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


Detection = ServerVad | SemanticVad | None
"""None: each turn is made by ``input_audio_buffer.commit``, and answered when that is asked for."""


def commanded(detection: Detection, configured: Endpointing) -> Configure:
    """What ``detection`` is here. Raises Refused where that cannot be."""
    if detection is None:
        return Configure(interruptions="manual", replies="asked", idle_prompt_s=0.0)
    idle_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
    return Configure(
        interruptions="on" if detection.interrupt_response else "off",
        replies="auto" if detection.create_response else "asked",
        endpointing=_endpoint(detection, configured),
        idle_prompt_s=(idle_ms or 0) / 1000,
    )


def _endpoint(detection: ServerVad | SemanticVad, configured: Endpointing) -> Endpoint:
    if isinstance(detection, ServerVad):
        changed: dict[str, Any] = {
            "strategy": "vad",
            "speech_threshold": float(detection.threshold),
            "end_silence_ms": detection.silence_duration_ms,
        }
    else:
        times = EAGERNESS[detection.eagerness]
        changed = {
            "strategy": "fused" if configured.strategy == "vad" else configured.strategy,
            "min_silence_ms": round(max(configured.pause_ms + 20, configured.min_silence_ms * times)),
            "max_silence_ms": round(configured.max_silence_ms * times),
        }
    try:
        Endpointing.model_validate(configured.model_dump() | changed)
    except ValidationError as error:
        raise Refused(f"turn_detection cannot be so: {error.errors()[0]['msg']}.", param=WHERE) from None
    return Endpoint(**changed)
