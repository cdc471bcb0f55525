"""``voxrtc bench turns``: what it takes, the document it writes, the table, the picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from voxrtc import cli
from voxrtc.bench.turns import plot
from voxrtc.bench.turns.bench import figures
from voxrtc.bench.turns.company import SUITES, Company, Programme, play
from voxrtc.bench.turns.plot import STYLE
from voxrtc.bench.turns.product import RULES
from voxrtc.bench.turns.show import show
from voxrtc.errors import VoxrtcError
from voxrtc.settings import Settings

CURVE_KEYS = {"false_cutoff_ratio", "latency_ms_at_5_percent", "curve", "held_out", "held_out_curve"}
SCENE_KEYS = {"barge_in", "echo_false_interruptions", "noise_turns", "memory_errors"}


def scores(**changes: Any) -> dict[str, dict[str, Any]]:
    """Made-up scores of all suites."""
    made: dict[str, dict[str, Any]] = {
        "barge_in": {
            "scenes": 9,
            "decision_ms": {"p50": 150.0, "p95": 190.0, "max": 200.0},
            "missed": 0,
            "unanswered": 0,
            "false": 0,
        },
        "backchannels": {"scenes": 4, "lost": 0},
        "echo": {"scenes": 4, "false_interruptions": 0},
        "noise": {"scenes": 4, "false_interruptions": 0},
        "silence": {"minutes": 10.0, "turns": 0},
        "memory": {"interruptions": 9, "clause_errors": 0, "word_errors": 0, "within_one_word_ratio": 1.0},
    }
    return {name: {"faults": []} | made[name] | changes.get(name, {}) for name in made}


def document(**changes: Any) -> dict[str, Any]:
    """A made-up document."""
    curve = {
        "false_cutoff_ratio": {"300": 0.08, "500": 0.05, "800": 0.0},
        "latency_ms_at_5_percent": 480.0,
        "curve": [[200.0, 0.4], [300.0, 0.08], [700.0, 0.0]],
        "held_out": {"false_cutoff_ratio": {ms: {"ratio": 0.1, "latency_ms": 300.0} for ms in ("300", "500", "800")}},
        "held_out_curve": [[250.0, 0.3], [600.0, 0.0]],
        "configured": {"everything": {"latency_ms": 400.0, "ratio": 0.06}},
    }
    rules = {rule: curve | figures(scores(**changes)) for rule in RULES}
    return {
        "rule": "fused",
        "recordings": ["a"],
        "places": {"pauses": 3, "ends": 2},
        **rules["fused"],
        "rules": rules,
    }


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are not broken."""
    for console in (cli.console, cli.errors):
        monkeypatch.setattr(console, "_width", 400)


# -- the command -----------------------------------------------------------------------------------------------


@pytest.mark.models
@pytest.mark.timeout(400)
def test_a_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole of it on the clips of tests/data: keys, a picture, a table, status 0."""
    report, picture = tmp_path / "turns.json", tmp_path / "turns.png"
    assert cli.main(["bench", "turns", "--quick", "--seed", "3", "--json", str(report), "--plot", str(picture)]) == 0
    found = json.loads(report.read_text())
    assert set(found["rules"]) == set(RULES)
    for one in (found, *found["rules"].values()):
        assert set(one) >= CURVE_KEYS | SCENE_KEYS
        assert set(one["false_cutoff_ratio"]) == {"300", "500", "800"}
        assert set(one["barge_in"]["decision_ms"]) >= {"p50", "p95"}
        assert set(one["barge_in"]) >= {"decision_ms", "missed", "false"}
        assert isinstance(one["echo_false_interruptions"], int)
        assert isinstance(one["noise_turns"], int)
        assert set(one["memory_errors"]) >= {
            "interruptions",
            "clause_errors",
            "word_errors",
            "within_one_word_ratio",
        }
    assert found["barge_in"] == found["rules"]["fused"]["barge_in"]
    assert (found["seed"], found["quick"]) == (3, True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "false cut-offs at 300 ms" in capsys.readouterr().out


def test_help_names_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", "turns", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for flag in ("--audio", "--seed", "--quick", "--json", "--plot"):
        assert flag in out


@pytest.mark.parametrize("flags", ["--seed -1", "--seed x", "--json no-such-folder/f.json", "--plot ."])
def test_flags_that_are_wrong(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", "turns", *flags.split()])
    assert stop.value.code == 2
    assert flags.split()[0] in capsys.readouterr().err


@pytest.mark.models
def test_recordings_without_words_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes((Path(__file__).parents[1] / "data" / "jfk.wav").read_bytes())
    assert cli.main(["bench", "turns", "--audio", str(tmp_path)]) == 1
    assert "a.txt: there is no such file; it has to hold the words" in capsys.readouterr().err


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["bench", "turns", "--plot", "x.png"]) == 1
    assert "pip install 'voxrtc[bench]'" in capsys.readouterr().err


# -- what is made of the scores ------------------------------------------------------------------------------------


def test_false_interruptions_add_up() -> None:
    found = figures(scores(barge_in={"false": 1}, backchannels={"lost": 2}, noise={"false_interruptions": 4}))
    assert found["barge_in"]["false"] == 7
    assert found["barge_in"]["false_by"] == {"early": 1, "backchannels_lost": 2, "noise": 4}


def test_scores_become_the_keys_of_the_document() -> None:
    found = figures(
        scores(echo={"false_interruptions": 3}, silence={"turns": 5}, memory={"word_errors": 2, "clause_errors": 1})
    )
    assert found["echo_false_interruptions"] == 3
    assert found["noise_turns"] == 5
    assert found["memory_errors"]["word_errors"] == 2
    assert found["memory_errors"]["clause_errors"] == 1


def test_every_suite_has_scenes_with_names_of_their_own() -> None:
    for quick in (False, True):
        company = Company(Programme(Settings(), None, 0, quick))
        for suite in SUITES:
            names = [scene.name for scene in company.scenes(suite)]
            assert len(set(names)) == len(names) >= 4


def test_the_seed_moves_the_scenes() -> None:
    one, same, other = (Company(Programme(Settings(), None, seed, True)) for seed in (1, 1, 2))
    for suite in ("barge_in", "backchannels", "noise", "silence", "memory"):
        assert one.scenes(suite) == same.scenes(suite)
        assert one.scenes(suite) != other.scenes(suite)


@pytest.mark.models
@pytest.mark.timeout(300)
def test_more_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(SUITES) - {"echo"}:
        monkeypatch.delitem(SUITES, name)
    programme = Programme(Settings(), None, 0, quick=True)
    seen: list[float] = []
    alone = play(programme, ["vad"], 1, seen.append)
    assert play(programme, ["vad"], 2, lambda fraction: None) == alone
    assert seen[-1] == 1.0


# -- what is shown -------------------------------------------------------------------------------------------------


def shown(found: dict[str, Any]) -> str:
    console = Console(width=300, record=True, color_system=None)
    with console.capture() as captured:
        show(found, console)
    return captured.get()


def test_the_table_has_every_rule_and_every_goal() -> None:
    text = shown(document())
    for word in ("silence", "smart turn", "fused", "goal", "8.0 %", "190 ms", "≤ 200 ms", "≥ 95.0 %", "10 minutes"):
        assert word in text


def test_what_went_wrong_is_named() -> None:
    faults = [{"scene": "3: the caller", "what": "missed"}]
    memory = [{"scene": "4: by voice", "words_off": 3, "clauses_right": False}]
    text = shown(document(barge_in={"faults": faults}, memory={"faults": memory}, echo={"faults": ["loud echo"] * 20}))
    assert "barge_in: 3: the caller: missed" in text
    assert "echo: loud echo" in text
    assert "... and 10 more" in text


def test_the_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot.plot(document(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    plot.plot(document(), tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    for _, colour in STYLE.values():
        assert drawn.count(colour) >= 2  # all recordings, and those held out
    with pytest.raises(VoxrtcError, match="cannot be written"):
        plot.plot(document(), tmp_path / "nowhere" / "a.png")
