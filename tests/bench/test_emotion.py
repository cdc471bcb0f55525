"""The bench of moods: its clauses, its figures, and that these are what is promised, with room for a busy machine."""

from __future__ import annotations

from random import Random

from rich.console import Console

from voxrtc.bench import emotion
from voxrtc.cli import main
from voxrtc.dialogue.emotion import read
from voxrtc.dialogue.lexicon import LANGUAGES


def test_figures(monkeypatch) -> None:
    monkeypatch.setattr(emotion, "CLAUSES", 40)
    document = emotion.bench()
    assert set(document["languages"]) == set(LANGUAGES)
    for row in document["languages"].values():
        assert 0.0 < row["usual_us"]["p50"] <= row["usual_us"]["p95"] <= row["usual_us"]["max"]
        assert row["usual_us"]["p50"] < 4 * emotion.GOAL_US
    console = Console(record=True, width=100)
    emotion.show(document, console)
    assert "longest p50" in console.export_text()


def test_clauses_are_what_they_are_called() -> None:
    for language in LANGUAGES:
        random = Random(1)
        usual = [emotion.usual_clause(language, random) for _ in range(200)]
        assert all(8 <= len(clause.split()) <= 17 for clause in usual)
        assert len({read(clause, language).emotion for clause in usual}) >= 4
        assert len(emotion.longest_clause(language, random)) == emotion.LONGEST


def test_on_the_command_line(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(emotion, "CLAUSES", 3)
    assert main(["bench", "emotion", "--json", str(tmp_path / "figures.json")]) == 0
    assert '"goal_us": 50.0' in (tmp_path / "figures.json").read_text()
