"""What the tests of the lab measured, for docs/benchmarks.md: shown at the end of the run, and written to a file.

LAB_FIGURES=figures.json pytest tests/lab
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median

FILE = "LAB_FIGURES"

Row = dict[str, float | str]


class Figures:
    """Tables of what was measured, by name; each row by its label."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {}

    def note(self, table: str, label: str, **values: float | str | list[float]) -> None:
        """A row. Numbers are kept to a tenth; of a list, the median and the largest."""
        row = self.tables.setdefault(table, {}).setdefault(label, {})
        for name, value in values.items():
            if isinstance(value, list):
                row[name] = round(median(value), 1)
                row[f"{name} max"] = round(max(value), 1)
            else:
                row[name] = round(value, 1) if isinstance(value, float) else value

    def markdown(self) -> str:
        """The tables as docs/benchmarks.md has them."""
        lines: list[str] = []
        for table, rows in self.tables.items():
            names = list(dict.fromkeys(name for row in rows.values() for name in row))
            lines += ["", f"| {table} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
            lines += [f"| {label} | {' | '.join(str(row.get(n, '')) for n in names)} |" for label, row in rows.items()]
        return "\n".join(lines[1:])

    def write(self) -> None:
        """To the file that the environment names, if it names one."""
        if name := os.environ.get(FILE):
            Path(name).write_text(json.dumps(self.tables, indent=2) + "\n")


FIGURES = Figures()
