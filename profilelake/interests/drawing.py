"""Draws figure 4 of paper 2, and the mean F1 of all cases beside chance, in the style of `reports.plotting`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from profilelake.interests.counting import TOP
from profilelake.interests.results import CHANCE, DISTRIBUTION, MEANS
from profilelake.reports.plotting import (
    BLUE,
    FAINT,
    PERCENT,
    VERMILION,
    WIDTH,
    bands,
    empty_page,
    look_of,
    settings,
    short,
    titled_page,
)
from profilelake.training.results import FigureRow, reasons, series_of

FIGURES = (DISTRIBUTION, MEANS)
_TITLES = {
    DISTRIBUTION: "How many of a user’s five domains from tags do pictures find?",
    MEANS: "How well do pictures tell tags?",
}
_RELATIONS = {"favourite": "Favourites", "posted": "Own posts"}

Rows = Sequence[FigureRow]


def draw(figure: str, rows: Rows) -> Figure:
    """One of `FIGURES` from rows of `figure_data`; where there is nothing to draw, the drawing says why.

    Raises:
        ValueError: the figure is none of `FIGURES`.
    """
    if figure not in FIGURES:
        raise ValueError(f"{figure} cannot be drawn; these can: {', '.join(FIGURES)}")
    series = series_of(figure, rows)
    why = reasons(series_of(DISTRIBUTION, rows))
    relations = [name for name in _RELATIONS if any(_is_of(one, name) for one in series)]
    with settings():
        if not relations:
            return empty_page(_TITLES[figure], why)
        return (_distribution if figure == DISTRIBUTION else _means)(series, relations, why)


def _is_of(series: str, relation: str) -> bool:
    return series.split(" ", 1)[0] == relation


def _distribution(series: Mapping[str, Rows], relations: Sequence[str], why: Sequence[str]) -> Figure:
    """A panel a relation, a line a network, all networks in one colour and marker everywhere."""
    networks = list(dict.fromkeys(rows[0].label or "" for name, rows in series.items() if name[0] != "@"))
    caption = (
        "Share of the users by the number of domains that are among the five first from both pictures and tags "
        "(paper 2,\nfigure 4), with 95 % bootstrap intervals over users." + _lines(why)
    )
    page = titled_page(_TITLES[DISTRIBUTION], 3.9, caption, WIDTH)
    panels = page.subplots(1, len(relations), sharey=True, squeeze=False)[0]
    for axes, relation in zip(panels, relations, strict=True):
        own = {rows[0].label or "": rows for name, rows in series.items() if _is_of(name, relation)}
        for network, rows in own.items():
            place = networks.index(network)
            colour, marker = look_of(place)
            x = np.array([row.x for row in rows]) + 0.07 * (place - (len(networks) - 1) / 2)
            y = [_known(row.y) for row in rows]
            axes.errorbar(
                x, y, yerr=_reach(rows), color=colour, marker=marker, markersize=4.6, linewidth=1.3, elinewidth=1.0
            )
        axes.set_xticks(range(TOP + 1))
        axes.yaxis.set_major_formatter(PERCENT)
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_title(f"{_RELATIONS[relation]} ({_sizes(own)} users)")
        axes.set_xlabel("matches")
    panels[0].set_ylim(bottom=0)  # of all panels, once all lines are there
    panels[0].set_ylabel("users")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4.6, label=short(network))
        for network, (colour, marker) in zip(networks, map(look_of, range(len(networks))), strict=True)
    ]
    page.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    return page


def _sizes(own: Mapping[str, Rows]) -> str:
    sizes = sorted({rows[0].n or 0 for rows in own.values()})
    return " to ".join(f"{size:,}" for size in (sizes[0], *sizes[1:][-1:]))


def _means(series: Mapping[str, Rows], relations: Sequence[str], why: Sequence[str]) -> Figure:
    """A panel a relation, a row a case: the mean with its interval, and chance."""
    names = list(dict.fromkeys(row.label or "" for rows in series.values() for row in sorted(rows, key=_place)))
    caption = (
        "Mean F1 = 2 matches / (domains from pictures + domains from tags) over the users who have both, with 95 % "
        "bootstrap intervals;\nchance is the mean over the tags of all other users." + _lines(why)
    )
    page = titled_page(_TITLES[MEANS], 1.6 + 0.24 * len(names), caption, WIDTH)
    for place, relation in enumerate(relations):
        axes: Axes = page.add_subplot(1, len(relations), place + 1)
        bands(axes, len(names))
        for row in series.get(f"{relation} {CHANCE}", ()):
            at = names.index(row.label or "")
            axes.vlines(_known(row.y), at - 0.36, at + 0.36, color=VERMILION, linewidth=1.8)
        rows = series.get(relation, ())
        axes.errorbar([_known(row.y) for row in rows], [names.index(row.label or "") for row in rows],
                      xerr=_reach(rows), linestyle="none", color=BLUE, marker="o", markersize=4.6,
                      elinewidth=1.1)  # fmt: skip
        for row in rows:
            axes.text(1.02, names.index(row.label or ""), f"{_known(row.y):.3f}", va="center", fontsize=7.5,
                      color=FAINT, transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_yticks(range(len(names)), [short(name, 48) for name in names] if place == 0 else [])
        axes.set_title(_RELATIONS[relation])
        axes.set_xlabel("mean F1")
    handles = [
        Line2D([], [], linestyle="none", marker="o", color=BLUE, label="pictures and tags of the same user"),
        Line2D([], [], linestyle="none", marker="|", markersize=9, markeredgewidth=1.8, color=VERMILION, label=CHANCE),
    ]
    page.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    return page


def _place(row: FigureRow) -> float:
    return row.x


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _reach(rows: Rows) -> list[list[float]]:
    """Distances to the ends of the intervals, (2, n); NaN where there is none."""
    ends = [(_known(row.y) - _known(row.low), _known(row.high) - _known(row.y)) for row in rows]
    return [[low for low, _ in ends], [high for _, high in ends]]


def _lines(why: Sequence[str]) -> str:
    return "".join(f"\n{reason}" for reason in why)
