"""Tables as papers print them: their cells, and the files that they are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profilelake.clusters import csvs


@dataclass(frozen=True)
class Printed:
    """A table as it is printed.

    name: "table 2"; columns: headings; texts: how many columns, from the first, are words, the others numbers; rows:
    cells, empty where there is nothing; notes: what a reader should know, below the table.
    """

    name: str
    caption: str
    columns: Sequence[str]
    texts: int
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def per_cent(share: float | None) -> str:
    """With the paper's two decimals, without a sign."""
    return "" if share is None else f"{100 * share:.2f}"


def p_value(p: float | None) -> str:
    """With three decimals; what would be 0 says what it is below."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def whole(count: float | None) -> str:
    """A whole number without separators."""
    return "" if count is None else f"{count:.0f}"


def as_csv(table: Printed) -> bytes:
    """The table's cells as a CSV that a spreadsheet opens."""
    return csvs.render(table.columns, table.rows)


_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def as_latex(table: Printed) -> str:
    """The table for `\\input`, with booktabs; what needs saying stands below it."""
    spec = "l" * table.texts + "r" * (len(table.columns) - table.texts)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        " & ".join(map(escaped, table.columns)) + r" \\",
        r"\midrule",
        *(" & ".join(escaped(cell) if cell else "--" for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {escaped(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def write_files(folder: Path, contents: Mapping[str, bytes], printed: Sequence[Printed]) -> list[Path]:
    """Write files by name (spaces as `_`), and each table as .csv and .tex, to a local folder, which is made.

    Returns:
        The files, in the order in which they were written.
    """
    files = dict(contents)
    for table in printed:
        files |= {f"{table.name}.csv": as_csv(table), f"{table.name}.tex": as_latex(table).encode("utf-8")}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in files.items():
        written.append(folder / name.replace(" ", "_"))
        written[-1].write_bytes(content)
    return written
