"""``voxrtc bench emotion``: how long the mood of a clause takes to be read."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from random import Random
from time import perf_counter_ns
from typing import Any

from rich.console import Console
from rich.table import Table

from voxrtc.bench.machine import machine, today
from voxrtc.bench.report import spread
from voxrtc.dialogue.emotion import read
from voxrtc.dialogue.lexicon import LANGUAGES, emoji, lexicon

GOAL_US = 50.0
CLAUSES = 500
"""Of each language and kind."""
REPEATS = 5
"""Times that each clause is read; the median counts, so that another process's turn on the core does not."""
LONGEST = 220
"""Characters of a clause, as ``tts.max_clause_chars`` has it."""
PLAIN = {
    "en": "I have looked at the timetable for tomorrow and the first train to the coast leaves a little after nine",
    "es": "He mirado el horario de mañana y el primer tren hacia la costa sale un poco después de las nueve",
    "fr": "J'ai regardé l'horaire de demain et le premier train pour la côte part un peu après neuf heures du matin",
    "de": "Ich habe den Fahrplan für morgen angesehen und der erste Zug an die Küste fährt kurz nach neun Uhr ab dort",
    "hi": "मैंने कल की समय सारणी देखी है और समुद्र तट के लिए पहली ट्रेन सुबह नौ बजे के बाद यहाँ से चलती है",
}
"""Words that are not in the lists, for the most part."""


def bench(seed: int = 0) -> dict[str, Any]:
    """Figures in microseconds a clause, by language and for the longest clauses there may be."""
    rows = {}
    for language in LANGUAGES:
        random = Random(f"{seed} {language}")
        usual = [usual_clause(language, random) for _ in range(CLAUSES)]
        longest = [longest_clause(language, random) for _ in range(CLAUSES)]
        rows[language] = {"usual_us": _timed(usual, language), "longest_us": _timed(longest, language)}
    return {
        "bench": "emotion",
        "date": today(),
        "machine": machine(),
        "clauses": CLAUSES,
        "goal_us": GOAL_US,
        "languages": rows,
    }


def usual_clause(language: str, random: Random) -> str:
    """Eight to sixteen words, one or two of them from the lists."""
    words = random.choices(PLAIN[language].split(), k=random.randint(7, 14))
    for _ in range(random.randint(1, 2)):
        words.insert(random.randrange(len(words)), random.choice(list(lexicon(language).starts)))
    return f" {' '.join(words)}{random.choice('.!?,')}"


def longest_clause(language: str, random: Random) -> str:
    """LONGEST characters, half of whose words are from the lists, with emoji and punctuation."""
    pool = [*lexicon(language).starts, *PLAIN[language].split(), *list(emoji())[:10], ",", "!"]
    text = ""
    while len(text) < LONGEST:
        text += f" {random.choice(pool)}"
    return text[:LONGEST]


def _timed(clauses: Sequence[str], language: str) -> dict[str, float | None]:
    for clause in clauses:
        read(clause, language)
    gc.collect()
    return spread(sorted(_us(clause, language) for _ in range(REPEATS))[REPEATS // 2] for clause in clauses)


def _us(clause: str, language: str) -> float:
    began = perf_counter_ns()
    read(clause, language)
    return (perf_counter_ns() - began) / 1_000.0


def show(document: dict[str, Any], console: Console) -> None:
    """The document on a terminal."""
    table = Table(title=f"Mood of a clause, µs (goal: {document['goal_us']:g} of a usual one)")
    for head in ("language", "usual p50", "p95", "longest p50", "p95"):
        table.add_column(head, justify="left" if head == "language" else "right")
    for language, row in document["languages"].items():
        figures = [row[kind][rank] for kind in ("usual_us", "longest_us") for rank in ("p50", "p95")]
        table.add_row(language, *(f"{figure:.1f}" for figure in figures))
    console.print(table)
