"""What a benchmark says: rows of measured values, ratios of them, and which targets they meet."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RATE = "rate"
RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one case and subject. runs: how often it was measured."""

    case: str
    subject: str
    metric: str
    unit: str
    runs: int
    min: float
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class Target:
    """What the median of a row must be. above: at least `limit`, else at most. what: for people."""

    what: str
    case: str
    subject: str
    metric: str
    limit: float
    above: bool = True

    def met(self, row: Row) -> bool:
        return row.median >= self.limit if self.above else row.median <= self.limit


class Rows:
    """Values as they are measured, and the rows that they make."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str, str], list[float]] = {}
        self._ratios: list[Row] = []

    def add(self, case: str, subject: str, metric: str, unit: str, value: float) -> None:
        self._values.setdefault((case, subject, metric, unit), []).append(value)

    def add_all(self, case: str, subject: str, metric: str, unit: str, values: Iterable[float]) -> None:
        for value in values:
            self.add(case, subject, metric, unit, value)

    def values(self, case: str, subject: str, metric: str) -> list[float]:
        """In the order that they were added; [] where there are none."""
        found = [values for key, values in self._values.items() if key[:3] == (case, subject, metric)]
        return [value for values in found for value in values]

    def row(self, case: str, subject: str, metric: str = RATE) -> Row | None:
        return next(
            (row for row in self.rows() if (row.case, row.subject, row.metric) == (case, subject, metric)), None
        )

    def add_ratio(self, above: tuple[str, str], below: tuple[str, str]) -> None:
        """The ratio of two rates, each (case, subject); nothing where one was not measured."""
        rates = [self.row(*above), self.row(*below)]
        over, under = rates
        if over is None or under is None:
            return
        subject = over.subject if over.subject == under.subject else f"{over.subject} / {under.subject}"
        self.keep(ratio(f"{over.case} / {under.case}", subject, over, under))

    def keep(self, made: Row) -> None:
        """A row that was made of others."""
        self._ratios.append(made)

    def rows(self) -> list[Row]:
        measured = [
            Row(*key, len(values), min(values), statistics.median(values), max(values))
            for key, values in self._values.items()
        ]
        return [*measured, *self._ratios]


def ratio(case: str, subject: str, over: Row, under: Row) -> Row:
    """The ratio of two rows: of their medians, and the least and most that their runs allow."""
    return Row(
        case,
        subject,
        RATIO,
        "1",
        min(over.runs, under.runs),
        over.min / under.max,
        over.median / under.median,
        over.max / under.min,
    )


def table(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table."""
    lines = [
        "| case | subject | metric | unit | runs | min | median | max |",
        "| --- | --- | --- | --- | --: | --: | --: | --: |",
    ]
    for row in rows:
        numbers = " | ".join(_number(value) for value in (row.min, row.median, row.max))
        lines.append(f"| {row.case} | {row.subject} | {row.metric} | {row.unit} | {row.runs} | {numbers} |")
    return "\n".join(lines)


def verdicts(rows: Sequence[Row], targets: Sequence[Target]) -> str:
    """Every target with what was measured, as a Markdown table."""
    found = {(row.case, row.subject, row.metric): row for row in rows}
    lines = ["| target | wanted | measured | |", "| --- | --: | --: | --- |"]
    for target in targets:
        row = found.get((target.case, target.subject, target.metric))
        wanted = f"{'at least' if target.above else 'at most'} {_number(target.limit)}"
        if row is None:
            lines.append(f"| {target.what} | {wanted} | | not measured |")
        else:
            said = "met" if target.met(row) else "missed"
            lines.append(f"| {target.what} | {wanted} | {_number(row.median)} | {said} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
