"""Draws the figures of paper 1 with matplotlib (`figures` says from what, `reports.plotting` in which style)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from profilelake.behaviour.figures import (
    AXIS,
    HABITS,
    MEAN,
    MEASURES,
    SHOWN,
    SIDES,
    SIGNIFICANT,
    TENDENCIES,
    TITLES,
    at_type,
    holds,
    signed,
    stars,
    titled,
    types_of,
)
from profilelake.reports.plotting import (
    BLANK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    PERCENT,
    PURPLE,
    VERMILION,
    WIDTH,
    bands,
    empty_page,
    look_of,
    settings,
    short,
    titled_page,
)
from profilelake.training.results import FigureRow, Series, reasons

_TASK_LOOKS = {
    "R4": (BLUE, "o"),
    "R5": (GREEN, "^"),
    "R6_holding_something": (VERMILION, "s"),
    "R6_face_mask": (PURPLE, "D"),
}
_ROW = 0.2


def draw(figure: str, series: Series) -> Figure:
    """One of the figures from its series."""
    with settings():
        if not any(map(holds, series)):
            return _nothing(figure, series)
        return _DRAWN_BY[figure](figure, series)


def _page(figure: str, height: float, caption: str, width: float = WIDTH) -> Figure:
    return titled_page(TITLES[figure], height, caption, width)


def _nothing(figure: str, series: Series) -> Figure:
    return empty_page(TITLES[figure], reasons(series))


def _notes(series: Series) -> str:
    return "".join(f"\n{reason}" for reason in reasons(series))


def _finite(value: float | None) -> float:
    return math.nan if value is None else value


def _spread(rows: Sequence[FigureRow]) -> tuple[Any, Any]:
    """Values, and distances to the ends of their intervals (2, n); NaN where there is none."""
    y = np.array([_finite(row.y) for row in rows])
    low, high = (
        np.array([_finite(end) for end in ends]) for ends in zip(*((r.low, r.high) for r in rows), strict=True)
    )
    return y, np.array([y - low, high - y])


def _dots(axes: Axes, rows: Sequence[FigureRow], at: Any, colour: str, marker: str, **look: Any) -> None:
    """Dots with their intervals, along the horizontal."""
    values, ends = _spread(rows)
    known = ~np.isnan(ends).any(axis=0)
    axes.errorbar(
        values[known], np.asarray(at, dtype=float)[known], xerr=ends[:, known], fmt="none", ecolor=colour,
        elinewidth=1.1, alpha=0.55,
    )  # fmt: skip
    axes.plot(values, at, linestyle="none", marker=marker, color=colour, markersize=4.6, markeredgewidth=1.1, **look)


def _effects(axes: Axes, rows: Sequence[FigureRow], corrected: Sequence[FigureRow], colour: str, marker: str) -> None:
    """Effect sizes with intervals, filled where they hold after Holm's correction, their numbers on the right."""
    at = np.arange(len(rows), dtype=float)
    axes.axvline(0, color=FAINT, linewidth=0.9)
    holds = [row.y is not None and row.y < SIGNIFICANT for row in corrected]
    for held, face in ((True, colour), (False, "white")):
        own = [i for i, each in enumerate(holds) if each == held]
        if own:
            _dots(axes, [rows[i] for i in own], at[own], colour, marker, markerfacecolor=face)
    for place, (row, test) in enumerate(zip(rows, corrected, strict=True)):
        text = "–" if row.y is None else f"{signed(row.y)} {stars(test.y)}"
        axes.text(
            1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5,
            color=INK if holds[place] else FAINT, fontweight="bold" if holds[place] else "normal",
        )  # fmt: skip
    ends = [abs(end) for row in rows for end in (row.low, row.high, row.y) if end is not None]
    reach = 1.06 * max(ends, default=1.0)
    axes.set_xlim(-reach, reach)


def _names(axes: Axes, rows: Sequence[FigureRow], corrected: Sequence[FigureRow]) -> None:
    """A row's name on the left, bold where its difference holds."""
    axes.set_yticks(np.arange(len(rows)), [short(row.label) for row in rows])
    for label, test in zip(axes.get_yticklabels(), corrected, strict=True):
        label.set_fontweight("bold" if test.y is not None and test.y < SIGNIFICANT else "normal")


_SAID = (
    "Lines are 95 % intervals. Filled dots, bold names and stars: the difference holds after Holm’s correction over\n"
    "the figure (Welch’s test; * p < 0.05, ** p < 0.01, *** p < 0.001)."
)


# -- figures 4, 5 and 6 ----------------------------------------------------------------------------------------------


def _two_sides(figure: str, series: Series) -> Figure:
    count = len(series["effect"])
    habits = [habit for habit in HABITS if f"{habit} effect" in series]
    sides = SIDES[figure]
    sizes = [max((row.n or 0) for row in series[side]) for side in ("positive", "negative")]
    caption = (
        "Means of F, the share of a category in a user’s posting without selfies, and Hedges’ g between the sides: "
        f"{sizes[0]:,} {sides[0]}, {sizes[1]:,} {sides[1]}.\n{_SAID}"
    )
    main, below = 0.55 + _ROW * count, 1.15 if habits else 0.0
    page = _page(figure, main + below + 1.55, caption)
    whole = page.add_gridspec(2 if habits else 1, 1, height_ratios=[main, below] if habits else [main])
    upper = whole[0].subgridspec(1, 2, width_ratios=[3, 2])
    means, effect = (page.add_subplot(upper[i]) for i in range(2))
    _side_by_side(means, series, "", count)
    _names(means, series["effect"], series["p holm"])
    means.xaxis.set_major_formatter(PERCENT)
    means.set_xlim(left=0)
    means.set_xlabel("mean frequency (F)")
    means.legend(
        handles=_side_handles(sides), loc="lower left", bbox_to_anchor=(-0.015, 0.998), ncols=2, fontsize=8.5,
        frameon=False, columnspacing=1.5, handletextpad=0.2, borderaxespad=0.0,
    )  # fmt: skip
    bands(effect, count)
    _effects(effect, series["effect"], series["p holm"], INK, "o")
    effect.set_yticks([])
    effect.set_title("Effect size (Hedges’ g)")
    effect.set_xlabel(f"←  {_without(sides[1])} more      {_without(sides[0])} more  →")
    if habits:
        lower = whole[1].subgridspec(1, len(habits))
        for i, habit in enumerate(habits):
            _habit(page.add_subplot(lower[i]), series, habit, sides if i == 0 else ("", ""))
    return page


def _without(side: str) -> str:
    return side.removesuffix(" lovers")


def _side_handles(sides: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor=face, label=side)
        for side, (colour, marker, face) in zip(sides, _SIDE_LOOKS, strict=True)
    ]


_SIDE_LOOKS = ((BLUE, "o", BLUE), (VERMILION, "s", "white"))


def _side_by_side(axes: Axes, series: Series, prefix: str, count: int) -> None:
    bands(axes, count)
    for side, shift, (colour, marker, face) in zip(("positive", "negative"), (-0.17, 0.17), _SIDE_LOOKS, strict=True):
        at = np.arange(count) + shift
        _dots(axes, series[prefix + side], at, colour, marker, markerfacecolor=face)


def _habit(axes: Axes, series: Series, habit: str, names: Sequence[str]) -> None:
    """A sub-figure: one feature on both sides, with its own scale."""
    for side, at, (colour, marker, face) in zip(("positive", "negative"), (0, 1), _SIDE_LOOKS, strict=True):
        _dots(axes, series[f"{habit} {side}"], [at], colour, marker, markerfacecolor=face)
    test, effect = series[f"{habit} p holm"][0], series[f"{habit} effect"][0]
    axes.set_ylim(1.7, -0.7)
    axes.set_yticks([0, 1], names)
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if habit == "S":
        axes.xaxis.set_major_formatter(PERCENT)
    said = "g unknown" if effect.y is None else f"g = {signed(effect.y)} {stars(test.y)}"
    axes.set_title(f"{HABITS[habit]}: {said}")
    axes.set_xlabel("pictures an occurrence" if habit == "I" else "share of posts with one category")


# -- figure 8 --------------------------------------------------------------------------------------------------------


def _tendencies(figure: str, series: Series) -> Figure:
    everybody = series["all users"]
    tasks = [task for task in TENDENCIES if task in series]
    count = len(everybody)
    sizes = ", ".join(f"{max(row.n or 0 for row in series[task]):,} of {TENDENCIES[task]}" for task in tasks)
    most = f"Shown are the {count} categories whose means differ most. " if count == SHOWN else ""
    caption = (
        f"Mean F of the top quarters ({sizes}) and of all {max(row.n or 0 for row in everybody):,} users; Hedges’ g "
        f"between a top quarter and all other users.\n{most}{_SAID}{_notes(series)}"
    )
    page = _page(figure, 2.3 + 0.27 * count, caption, width=12.0)
    grid = page.add_gridspec(1, 1 + len(tasks), width_ratios=[2.6, *([1] * len(tasks))])
    means = page.add_subplot(grid[0])
    bands(means, count)
    at = np.arange(count, dtype=float)
    values = [_finite(row.y) for row in everybody]
    means.vlines(values, at - 0.42, at + 0.42, color=INK, linewidth=2.2, label="all users")
    for task, shift in zip(tasks, _shifts(len(tasks)), strict=True):
        colour, marker = _TASK_LOOKS[task]
        _dots(means, series[task], at + shift, colour, marker, label=TENDENCIES[task])
    means.set_yticks(at, [short(row.label) for row in everybody])
    means.xaxis.set_major_formatter(PERCENT)
    means.set_xlim(left=0)
    means.set_title("Mean frequency (F)")
    means.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.035), ncols=2, fontsize=8, frameon=False, columnspacing=1.2,
        handletextpad=0.4,
    )  # fmt: skip
    panels = [page.add_subplot(grid[i]) for i in range(1, len(tasks) + 1)]
    for task, panel in zip(tasks, panels, strict=True):
        bands(panel, count)
        _effects(panel, series[f"{task} effect"], series[f"{task} p holm"], *_TASK_LOOKS[task])
        panel.set_yticks([])
        panel.set_title(
            TENDENCIES[task].replace("selfies ", "selfies\n").replace(" selfies", "\nselfies"), fontsize=8.5
        )
        panel.set_xlabel("Hedges’ g")
    reach = max(panel.get_xlim()[1] for panel in panels)
    for panel in panels:
        panel.set_xlim(-reach, reach)
    return page


def _shifts(count: int) -> list[float]:
    """Where the dots of one row stand, around its middle."""
    return [0.2 * (i - (count - 1) / 2) for i in range(count)]


# -- figure 3 --------------------------------------------------------------------------------------------------------


def _heatmap(figure: str, series: Series) -> Figure:
    first = next(iter(series.values()))
    names = [row.label or "" for row in first]
    matrix = np.array([[_finite(row.y) for row in series[name]] for name in names])
    np.fill_diagonal(matrix, math.nan)
    count = len(names)
    known = np.abs(matrix[~np.isnan(matrix)])
    reach = max(0.1, math.ceil(10 * float(known.max(initial=0.0))) / 10)
    blank = [name for name, row in zip(names, matrix, strict=True) if np.isnan(row).all()]
    caption = (
        f"Pearson’s r between the frequencies of two categories over {first[0].n:,} users; neighbours go together most."
        + (
            f" Blank, since all users have the same of it: {short(', '.join(blank), 70)}."
            if blank and count > 1
            else ""
        )
        + ("" if count <= _PRINTED else f"\n+ and − mark coefficients beyond ±{reach / 2:.2g}.")
        + _notes(series)
    )
    side = max(4.5, 0.17 * count + 2.6)
    page = _page(figure, side + 0.9, caption, width=max(side + 1.0, 7.5))
    axes = page.add_subplot()
    image = axes.imshow(matrix, cmap=_diverging(), vmin=-reach, vmax=reach, interpolation="nearest")
    at = np.arange(count)
    axes.set_xticks(at, [short(name, 24) for name in names], rotation=90)
    axes.set_yticks(at, [short(name, 24) for name in names])
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_color(INK)
        if label.get_text() == "Selfie":
            label.set(fontweight="bold", color=VERMILION)
    axes.tick_params(length=0, labelsize=8 if count <= _PRINTED else 7)
    axes.spines[:].set_visible(False)
    if count <= _PRINTED:
        for (i, j), r in np.ndenumerate(matrix):
            if not math.isnan(r):
                text = signed(r)
                axes.text(j, i, text, ha="center", va="center", fontsize=6.5,
                          color="white" if abs(r) > 0.65 * reach else INK)  # fmt: skip
    else:
        for marker, strong in (("+", matrix >= reach / 2), ("_", matrix <= -reach / 2)):
            lines, columns = np.nonzero(strong)
            axes.scatter(columns, lines, s=9, marker=marker, color="white", linewidths=0.9)
    bar = page.colorbar(image, ax=axes, shrink=0.5, aspect=28, pad=0.015)
    bar.outline.set_visible(False)
    bar.set_label("r")
    return page


_PRINTED = 14  # categories up to which the coefficients stand in the cells


def _diverging() -> Any:
    """Blue to white to red, colour-blind safe, with grey for what has no value."""
    return matplotlib.colormaps["RdBu_r"].with_extremes(bad=BLANK)


# -- figures 9 and 10 ------------------------------------------------------------------------------------------------


def _radars(figure: str, series: Series) -> Figure:
    attributes = [row.label or "" for row in series[AXIS] if (row.label or "") in series]
    types = types_of(series)
    columns = min(3, len(types))
    lines = -(-len(types) // columns)
    caption = (
        "Mean of each attribute over a type’s users, brought to 0..1 over the types (1: the type that has most of it); "
        f"in per cent the mean itself, as share of posting without selfies.{_notes(series)}"
    )
    page = _page(figure, 3.3 * lines + 0.9, caption)
    angles = np.linspace(0, 2 * np.pi, len(attributes), endpoint=False)
    for place, (number, name) in enumerate(types):
        axes: Any = page.add_subplot(lines, columns, place + 1, projection="polar")
        own = [at_type(series[attribute], number) for attribute in attributes]
        values = np.array([_finite(row.y if row else None) for row in own])
        colour, marker = look_of(place)
        ring = np.arange(len(attributes) + 1) % max(1, len(attributes))
        axes.fill(angles, np.nan_to_num(values), color=colour, alpha=0.22, linewidth=0)
        axes.plot(
            angles[ring],
            values[ring],
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.8,
            clip_on=False,
            zorder=5,
        )
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        axes.set_ylim(0, 1)
        axes.set_yticks([0.5], [""])
        axes.set_xticks(angles, [_spoke(series, attribute, number) for attribute in attributes])
        for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
            label.set_horizontalalignment(("center", "left", "right")[int(np.sign(round(np.sin(angle), 6)))])
        axes.tick_params(axis="x", pad=2, labelsize=8, labelcolor=INK)
        axes.spines["polar"].set_color(BLANK)
        n = max((row.n or 0 for row in own if row), default=0)
        axes.set_title(short(titled(number, name)), loc="center", fontsize=10.5, color=colour, y=1.0, pad=50)
        said = f"n = {n:,} users"
        axes.text(0.5, 1.225, said, transform=axes.transAxes, ha="center", fontsize=8, color=FAINT)
    return page


def _spoke(series: Series, attribute: str, number: int) -> str:
    mean = at_type(series.get(f"{MEAN} {attribute}", ()), number)
    return short(attribute, 18) + ("" if mean is None or mean.y is None else f"\n{100 * mean.y:.0f} %")


def _measures(figure: str, series: Series) -> Figure:
    types = types_of(series)
    shown = [measure for measure in MEASURES if measure in series]
    caption = (
        "Mean of each measure over a type’s users who have it, with its 95 % interval; on the right how many they are."
        f"{_notes(series)}"
    )
    columns = 4
    lines = -(-len(shown) // columns)
    page = _page(figure, (0.75 + 0.3 * len(types)) * lines + 1.1, caption)
    for place, measure in enumerate(shown):
        axes = page.add_subplot(lines, columns, place + 1)
        bands(axes, len(types))
        for at, (number, _) in enumerate(types):
            row = at_type(series[measure], number)
            if row is None or row.y is None:
                axes.text(0.5, at, "nobody", transform=axes.get_yaxis_transform(), va="center", ha="center",
                          fontsize=7, color=FAINT)  # fmt: skip
                continue
            colour, marker = look_of(at)
            _dots(axes, [row], [at], colour, marker)
            axes.text(
                1.02, at, f"{row.n:,}", transform=axes.get_yaxis_transform(), va="center", fontsize=7, color=FAINT
            )
        axes.text(1.02, -0.62, "n", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7, color=FAINT)
        axes.margins(x=0.12)
        axes.set_title(MEASURES[measure], fontsize=8.5)
        axes.set_yticks(np.arange(len(types)), [short(titled(*each), 22) for each in types] if place % 4 == 0 else [])
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        if measure == "selfie_inertia":
            axes.set_xlabel("selfies a post with selfies", fontsize=7.5)
        else:
            axes.xaxis.set_major_formatter(PERCENT)
    return page


_DRAWN_BY: Mapping[str, Callable[[str, Series], Figure]] = {
    "figure 3": _heatmap,
    "figure 4": _two_sides,
    "figure 5": _two_sides,
    "figure 6": _two_sides,
    "figure 8": _tendencies,
    "figure 9": _radars,
    "figure 10": _measures,
}
