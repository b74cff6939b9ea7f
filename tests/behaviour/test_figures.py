"""What is drawn is what the rows say: the marks are read back from the axes."""

from __future__ import annotations

import io
import math
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from profilelake.behaviour import figures
from profilelake.behaviour.figures import FIGURES
from profilelake.training.results import FigureRow
from tests.behaviour import drawn


@pytest.fixture(scope="module")
def rows() -> list[FigureRow]:
    return drawn.rows()


@pytest.fixture(scope="module")
def pages(rows: list[FigureRow]) -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pages = {figure: figures.draw(figure, rows) for figure in FIGURES}
        for page in pages.values():
            page.canvas.draw()
    return pages


def values(rows: list[FigureRow], figure: str, series: str) -> list[float]:
    found = [row for row in rows if (row.figure, row.series) == (figure, series)]
    return [math.nan if row.y is None else row.y for row in sorted(found, key=lambda row: row.x)]


def dots(axes: Axes) -> list[float]:
    """Along the horizontal, of every marker on the axes, sorted."""
    lines = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
    return sorted(float(x) for line in lines for x in np.atleast_1d(line.get_xdata()))


def texts(page: Figure) -> str:
    return " ".join(text.get_text() for axes in page.axes for text in axes.texts) + str(
        [label.get_text() for axes in page.axes for label in axes.get_yticklabels()]
    )


@pytest.mark.parametrize("figure", ["figure 4", "figure 5", "figure 6"])
def test_two_sides(pages: dict[str, Figure], rows: list[FigureRow], figure: str) -> None:
    means, effect, *habits = pages[figure].axes
    both = values(rows, figure, "positive") + values(rows, figure, "negative")
    assert dots(means) == pytest.approx(sorted(both))
    assert len(both) == 2 * 46
    assert dots(effect) == pytest.approx(sorted(values(rows, figure, "effect")))
    names = [label.get_text() for label in means.get_yticklabels()]
    ordered = sorted((r for r in rows if (r.figure, r.series) == (figure, "effect")), key=lambda row: row.x)
    assert names == [row.label for row in ordered]
    holds = [p < 0.05 for p in values(rows, figure, "p holm")]
    assert [label.get_fontweight() == "bold" for label in means.get_yticklabels()] == holds
    stars = [text.get_text().count("*") for text in effect.texts]
    assert [count > 0 for count in stars] == holds
    assert [axes.get_title(loc="left").split(":")[0][-3:] for axes in habits] == (
        [] if figure == "figure 4" else ["(I)", "(S)"]
    )
    for axes, habit in zip(habits, ("I", "S"), strict=False):
        expected = values(rows, figure, f"{habit} positive") + values(rows, figure, f"{habit} negative")
        assert dots(axes) == pytest.approx(sorted(expected))


def test_figure_5_has_filled_dots_where_a_difference_holds(pages: dict[str, Figure], rows: list[FigureRow]) -> None:
    held, other = [line for line in pages["figure 5"].axes[1].get_lines() if line.get_linestyle() == "None"]
    assert other.get_markerfacecolor() == "white"
    assert len(held.get_xdata()) == sum(p < 0.05 for p in values(rows, "figure 5", "p holm")) > 3


def test_tendencies(pages: dict[str, Figure], rows: list[FigureRow]) -> None:
    means, *panels = pages["figure 8"].axes
    tasks = list(figures.TENDENCIES)
    assert dots(means) == pytest.approx(sorted(y for task in tasks for y in values(rows, "figure 8", task)))
    bars = next(c for c in means.collections if c.get_label() == "all users")
    assert [segment[0, 0] for segment in bars.get_segments()] == pytest.approx(values(rows, "figure 8", "all users"))  # type: ignore[attr-defined]
    for task, panel in zip(tasks, panels, strict=True):
        assert dots(panel) == pytest.approx(sorted(values(rows, "figure 8", f"{task} effect")))
    assert len({panel.get_xlim() for panel in panels}) == 1
    assert len({line.get_marker() for line in means.get_lines() if line.get_linestyle() == "None"}) == 4


def test_heatmap(pages: dict[str, Figure], rows: list[FigureRow]) -> None:
    axes = pages["figure 3"].axes[0]
    image = next(child for child in axes.get_children() if isinstance(child, AxesImage))
    shown = np.ma.filled(image.get_array(), np.nan)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert shown.shape == (47, 47)
    assert names == [label.get_text() for label in axes.get_xticklabels()]
    by_pair = {(row.series, row.label): row.y for row in rows if row.figure == "figure 3"}
    for i, one in enumerate(names):
        assert math.isnan(shown[i, i])
        for j, other in enumerate(names):
            if i != j:
                assert shown[i, j] == pytest.approx(by_pair[one, other])
    low, high = image.get_clim()
    assert low == -high
    assert high >= np.nanmax(np.abs(shown))
    bold = [label.get_text() for label in axes.get_yticklabels() if label.get_fontweight() == "bold"]
    assert bold == ["Selfie"]


def test_radars_share_their_axes(pages: dict[str, Figure], rows: list[FigureRow]) -> None:
    axes = pages["figure 9"].axes
    assert [each.get_title(loc="center") for each in axes] == list(drawn.TYPES.values())
    attributes = list(drawn.ATTRIBUTES)
    for number, each in enumerate(axes, start=1):
        assert each.get_ylim() == (0, 1)
        ring = each.get_lines()[-1].get_ydata()
        expected = [values(rows, "figure 9", attribute)[number - 1] for attribute in attributes]
        assert list(ring) == pytest.approx([*expected, expected[0]])
        assert [label.get_text().split("\n")[0] for label in each.get_xticklabels()] == attributes


def test_measures_by_type(pages: dict[str, Figure], rows: list[FigureRow]) -> None:
    axes = pages["figure 10"].axes
    assert len(axes) == 7
    for measure, each in zip(figures.MEASURES, axes, strict=True):
        expected = [y for y in values(rows, "figure 10", measure) if not math.isnan(y)]
        assert dots(each) == pytest.approx(sorted(expected))
    last = [text.get_text() for text in axes[-1].texts]
    assert "nobody" in last  # who makes no selfies of that kind
    counts = [row.n for row in rows if (row.figure, row.series) == ("figure 10", "selfie_frequency")]
    assert [text.get_text() for text in axes[0].texts[:-1]] == [str(n) for n in counts]


@pytest.mark.parametrize("figure", FIGURES)
def test_what_was_not_measured_says_so(figure: str) -> None:
    for rows, why in (([], "it was not measured"), ([FigureRow(figure, "@note", 0.0, None, label="alike")], "alike")):
        page = figures.draw(figure, rows)
        assert page.axes == []
        assert any(f"Nothing to show: {why}" in text.get_text() for text in page.texts)
        assert why in figures.finding(figure, rows)


def test_only_known_figures_are_drawn(rows: list[FigureRow]) -> None:
    with pytest.raises(ValueError, match="figure 1 cannot be drawn; these can: figure 3, figure 4"):
        figures.draw("figure 1", rows)


def test_the_same_rows_make_the_same_files_in_any_order_and_thread(rows: list[FigureRow]) -> None:
    once = figures.save(figures.draw("figure 10", rows), "svg")
    again: list[bytes] = []

    def make() -> None:
        again.append(figures.save(figures.draw("figure 10", rows[::-1]), "svg"))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert again == [once]
    assert b"<dc:date>" not in once
    for format in ("pdf", "png"):
        first, second = (figures.save(figures.draw("figure 10", rows), format) for _ in range(2))
        assert first == second
    assert Image.open(io.BytesIO(second)).size[0] == 1500


def test_names_are_text_however_strange(rows: list[FigureRow]) -> None:
    strange = {"Pet": "$x^2_", "Bed": "a" * 80, "Toy": "50 % & <b>"}
    renamed = [replace(row, label=strange.get(row.label or "", row.label)) for row in rows if row.figure == "figure 4"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = figures.draw("figure 4", renamed)
        figures.save(page, "svg")
    said = texts(page)
    assert "$x^2_" in said
    assert "50 % & <b>" in said
    assert "a" * 29 + "…" in said


def test_few_categories_and_one_without_spread(rows: list[FigureRow]) -> None:
    names = ["Meal", "Pet", "Same"]
    r = {("Meal", "Pet"): 0.25, ("Pet", "Meal"): 0.25, ("Meal", "Meal"): 1.0, ("Pet", "Pet"): 1.0}
    few = [
        FigureRow("figure 3", one, float(x), r.get((one, other)), n=9, label=other)
        for one in names
        for x, other in enumerate(names)
    ]
    page = figures.draw("figure 3", few)
    page.canvas.draw()
    assert [text.get_text() for text in page.axes[0].texts] == ["+0.25", "+0.25"]
    assert "Blank, since all users have the same of it: Same." in page.get_supxlabel()


def test_one_type_alone_and_one_user(rows: list[FigureRow]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in ("figure 9", "figure 10"):
            lone = [
                replace(row, low=None, high=None, n=1)
                for row in rows
                if row.figure == figure and (row.series.startswith("@axis") or row.x == 1)
            ]
            figures.save(figures.draw(figure, lone), "png")


def test_findings_are_the_numbers_in_words(rows: list[FigureRow]) -> None:
    held = sum(row.y is not None and row.y < 0.05 for row in rows
               if row.figure == "figure 5" and row.series.endswith("p holm"))  # fmt: skip
    said = figures.finding("figure 5", rows)
    assert f" {held} of 48 differences hold" in said
    strongest = max((row for row in rows if (row.figure, row.series) == ("figure 5", "effect")), key=lambda r: r.y or 0)
    assert f"lovers post more {strongest.label} (g +{strongest.y:.2f})" in said
    assert "2: Cosmetic has most of Cosmetic" in figures.finding("figure 9", rows)
    assert "Lovers of outdoor selfies: more " in figures.finding("figure 8", rows)


def test_stars() -> None:
    assert [figures.stars(p) for p in (None, 0.05, 0.049, 0.009, 0.0009)] == ["", "", "*", "**", "***"]
