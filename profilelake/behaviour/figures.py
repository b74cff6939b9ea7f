"""The figures of paper 1: what rows of `figure_data` stand behind each, what it shows in words, and the drawing of it.

The training writes drawings as files, and a report draws the same ones from the table. matplotlib is imported when one
is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from profilelake.training.results import NOTE, FigureRow, Series, reasons, series_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNIFICANT = 0.05
SHOWN = 24  # categories of figure 8 (paper 1, 5.2.2)
FIGURES = ("figure 3", "figure 4", "figure 5", "figure 6", "figure 8", "figure 9", "figure 10")

# Series that hold no values but what is said of them. No category, attribute or task is called so.
AXIS, MEAN = "@axis", "@mean"

# The two sides of figures 4 to 6, as the paper calls them (section 5.2.1).
SIDES = {
    "figure 4": ("selfie addicts", "nonaddicts"),
    "figure 5": ("“a series of selfies” lovers", "“just one selfie” lovers"),
    "figure 6": ("“it’s all selfies” lovers", "“selfie and more” lovers"),
}
TENDENCIES = {
    "R4": "group selfies",
    "R5": "outdoor selfies",
    "R6_holding_something": "selfies holding something",
    "R6_face_mask": "selfies with a face mask",
}
MEASURES = {
    "selfie_frequency": "selfie frequency",
    "selfie_inertia": "selfie inertia",
    "selfie_singleness": "selfie singleness",
    "group_tendency": "group selfie tendency",
    "outdoor_tendency": "outdoor selfie tendency",
    "holding_something_tendency": "holding something tendency",
    "face_mask_tendency": "face mask tendency",
}
HABITS = {"I": "Inertia of other pictures (I)", "S": "Singleness of posts without selfie (S)"}
TITLES = {
    "figure 3": "Which categories do the same users post?",
    "figure 4": "Selfie addicts against nonaddicts: what else do they post?",
    "figure 5": "“A series of selfies” against “just one selfie”: what else do they post, and how?",
    "figure 6": "“It’s all selfies” against “selfie and more”: what else do they post, and how?",
    "figure 8": "Lovers of four kinds of selfies against all users: what else do they post?",
    "figure 9": "What do the types of users care about?",
    "figure 10": "How do the types of users post selfies?",
}


def draw(figure: str, rows: Sequence[FigureRow]) -> Figure:
    """The figure called `figure` from its rows; rows of other figures are passed over.

    Where there is nothing to draw, the drawing says why.

    Raises:
        ValueError: the figure is none of `FIGURES`.
    """
    from profilelake.behaviour import drawing

    if figure not in FIGURES:
        raise ValueError(f"{figure} cannot be drawn; these can: {', '.join(FIGURES)}")
    return drawing.draw(figure, series_of(figure, rows))


def save(drawn: Figure, format: str) -> bytes:
    """The drawing as `svg`, `pdf` or `png` (at 150 dots an inch, in 256 colours); without a date, so the same for the
    same rows."""
    from profilelake.reports import plotting

    return plotting.save(drawn, format)


def finding(figure: str, rows: Sequence[FigureRow]) -> str:
    """What the figure shows, in words: for those who do not see it."""
    series = series_of(figure, rows)
    if not any(map(holds, series)):
        return f"{TITLES[figure]} Nothing to show: {'; '.join(reasons(series)) or 'it was not measured'}."
    return f"{TITLES[figure]} {_SAYS[figure](figure, series)}"


def stars(p: float | None) -> str:
    """The usual marks of a p-value: three below 0.001, two below 0.01, one below 0.05."""
    return "" if p is None else "*" * sum(p < bound for bound in (0.05, 0.01, 0.001))


def holds(series: str) -> bool:
    """Whether a series holds values, not what is said about them."""
    return series != AXIS and not series.startswith(NOTE)


def signed(value: float) -> str:
    """With its sign and two decimals; what rounds to nothing has none."""
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def types_of(series: Series) -> list[tuple[int, str]]:
    """(number, name) of the types that occur."""
    return sorted({(int(row.x), row.label or "") for name in series if holds(name) for row in series[name]})


def at_type(rows: Sequence[FigureRow], number: int) -> FigureRow | None:
    return next((row for row in rows if int(row.x) == number), None)


def titled(number: int, name: str) -> str:
    """The type's name, which begins with its number."""
    return name if re.match(rf"{number}\b", name) else f"{number} {name}".strip()


def _more(effects: Sequence[FigureRow], corrected: Sequence[FigureRow], sign: int) -> str:
    """The categories that hold after correction on one side of 0, the strongest three by name."""
    held = [
        row
        for row, test in zip(effects, corrected, strict=True)
        if row.y is not None and test.y is not None and test.y < SIGNIFICANT and sign * row.y > 0
    ]
    held.sort(key=lambda row: (-abs(row.y or 0.0), row.label or ""))
    return ", ".join(f"{row.label} (g {signed(row.y or 0.0)})" for row in held[:3])


def _sides_said(figure: str, series: Series) -> str:
    tests = [series["p holm"], *(series[f"{habit} p holm"] for habit in HABITS if f"{habit} p holm" in series)]
    flat = [row for rows in tests for row in rows]
    holding = sum(row.y is not None and row.y < SIGNIFICANT for row in flat)
    said = f"{holding} of {len(flat)} differences hold after Holm’s correction."
    for side, sign in zip(SIDES[figure], (1, -1), strict=True):
        more = _more(series["effect"], series["p holm"], sign)
        said += f" {side[0].upper()}{side[1:]} post more {more}." if more else ""
    for habit in HABITS:
        for row in series.get(f"{habit} effect", ()):
            said += f" {HABITS[habit]}: g {'unknown' if row.y is None else signed(row.y)}."
    return said


def _tendencies_said(figure: str, series: Series) -> str:
    said = []
    for task in TENDENCIES:
        if task in series:
            found = [(_more(series[f"{task} effect"], series[f"{task} p holm"], sign), sign) for sign in (1, -1)]
            texts = [f"{'more' if sign > 0 else 'less'} {text}" for text, sign in found if text]
            said.append(f"Lovers of {TENDENCIES[task]}: {' and '.join(texts) or 'no difference holds'}.")
    return " ".join(said)


def _heatmap_said(figure: str, series: Series) -> str:
    pairs = sorted(
        ((row.y, name, row.label or "") for name in series for row in series[name]
         if row.y is not None and name < (row.label or "")),
        key=lambda pair: (-pair[0], pair[1:]),
    )  # fmt: skip
    if not pairs:
        return "No two categories have a coefficient."
    ends = {"Most together": pairs[:3], "Least together": pairs[::-1][:3]}
    return " ".join(
        f"{what}: {', '.join(f'{one} and {other} ({signed(r)})' for r, one, other in found)}."
        for what, found in ends.items()
    )


def _radars_said(figure: str, series: Series) -> str:
    said = []
    for number, name in types_of(series):
        own = [(row.label or "", at_type(series.get(row.label or "", ()), number)) for row in series.get(AXIS, ())]
        most = [attribute for attribute, at in own if at is not None and at.y == 1]
        said.append(f"{titled(number, name)} has most of {', '.join(most) or 'nothing'}.")
    return " ".join(said)


def _measures_said(figure: str, series: Series) -> str:
    names = dict(types_of(series))
    said = []
    for measure in MEASURES:
        known = [(row.y, -int(row.x)) for row in series.get(measure, ()) if row.y is not None]
        if known:
            value, number = max(known)
            said.append(f"{MEASURES[measure]} is highest in type {titled(-number, names[-number])} ({value:.2f})")
    return f"{'; '.join(said)}." if said else "No measure is known."


_SAYS: Mapping[str, Callable[[str, Series], str]] = {
    "figure 3": _heatmap_said,
    "figure 4": _sides_said,
    "figure 5": _sides_said,
    "figure 6": _sides_said,
    "figure 8": _tendencies_said,
    "figure 9": _radars_said,
    "figure 10": _measures_said,
}
