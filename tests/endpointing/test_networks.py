"""Only what the strategy asks for is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxrtc.endpointing.networks import Networks
from voxrtc.errors import ConfigError
from voxrtc.models import store
from voxrtc.settings import Settings


def settings(strategy: str, cache: Path | None = None) -> Settings:
    sections: dict[str, object] = {"endpointing": {"strategy": strategy}}
    return Settings.model_validate(sections if cache is None else sections | {"models": {"cache_dir": str(cache)}})


@pytest.mark.models
@pytest.mark.parametrize(("strategy", "voice"), [("vad", False), ("smart_turn", True), ("fused", True)])
def test_prosody_only_where_the_voice_counts(strategy: str, voice: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ensure = store.ensure
    monkeypatch.setattr(store, "ensure", lambda name, *args: asked.append(name) or ensure(name, *args))
    networks = Networks.load(settings(strategy))
    assert (networks.prosody is not None) == voice
    assert asked == ["silero-vad", "smart-turn-v3.2"][: 1 + voice]
    networks.close()


def test_an_unknown_strategy_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*args: object) -> Path:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(store, "ensure", fetch)
    with pytest.raises(ConfigError, match="'oracle' is not a strategy; there are fused, smart_turn, vad"):
        Networks.load(settings("oracle", tmp_path))
    assert list(tmp_path.iterdir()) == []
