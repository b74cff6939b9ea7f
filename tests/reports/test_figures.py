"""Colours that can be told from the page and from each other; a curve whose points lie where its axes say."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from profilelake.reports.facts import Fit, Tried
from profilelake.reports.figures import PALETTE, curve, nice_ticks, paints
from tests.reports.pages import style_of, the_page


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def schemes() -> list[dict[str, str]]:
    """The page's colours by name, light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", style_of(the_page()), re.DOTALL)
    assert len(blocks) == 2
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def test_texts_and_colours_stand_out_in_both_schemes() -> None:
    for scheme in schemes():
        for ground in (scheme["page"], scheme["card"]):
            for ink in (scheme["ink"], scheme["muted"], scheme["accent"]):
                assert contrast(ink, ground) >= 4.5, (ink, ground)
            for colour in PALETTE:
                assert contrast(colour, ground) >= 3, (colour, ground)
        assert contrast(scheme["warn-ink"], scheme["warn"]) >= 4.5
        assert contrast(scheme["good-ink"], scheme["good"]) >= 4.5
        assert contrast(scheme["muted"], scheme["tint"]) >= 4.5


def test_48_categories_look_different() -> None:
    names = [f"Category {n}" for n in range(60)]
    looks = paints(names)
    assert len(looks) == 60
    assert len({(looks[name].colour, looks[name].striped) for name in names[:48]}) == 48
    assert not any(looks[name].striped for name in names[:24])
    assert {looks[name].colour for name in names[:24]} == set(PALETTE)


def test_a_category_keeps_its_colour_when_less_important_ones_come() -> None:
    few = paints(["Selfie", "Cat", "Food"])
    more = paints(["Selfie", "Cat", "Food", "Rocket", "Flower"])
    assert {name: more[name] for name in few} == few
    assert paints(["Food"])["Food"] == paints(["Food", "Cat"])["Food"]


def fit(*tried: tuple[int, float, float, bool]) -> Fit:
    points = tuple(Tried(k, s, smoothed, 10.0 / k, chosen) for k, s, smoothed, chosen in tried)
    return Fit("fit", "resnet50", 4, 100, "2026-01-01 00:00", None, None, points)


def test_points_lie_where_the_axes_say() -> None:
    drawn = curve(fit((10, 0.31, 0.30, False), (20, 0.38, 0.36, True), (40, 0.22, 0.24, False)), 760, 320)
    assert drawn is not None
    points = [tuple(float(v) for v in pair.split(",")) for pair in drawn.smoothed.split()]
    values = {float(tick.text): tick.at for tick in drawn.y_ticks}
    (low, low_at), (high, high_at) = min(values.items()), max(values.items())
    for (x, y), k, value in zip(points, (10, 20, 40), (0.30, 0.36, 0.24), strict=True):
        assert x == pytest.approx(drawn.left + (drawn.right - drawn.left) * (k - 10) / 30, abs=0.06)
        assert y == pytest.approx(low_at + (high_at - low_at) * (value - low) / (high - low), abs=0.06)
    assert drawn.chosen == points[1]
    assert drawn.chosen_k == 20
    assert {tick.text: tick.at for tick in drawn.x_ticks}["20"] == points[1][0]
    assert all(drawn.top <= y <= drawn.bottom for _, y in (*points, *drawn.dots))


def test_one_tried_k_makes_no_curve_and_a_flat_one_is_drawn() -> None:
    assert curve(fit((10, 0.3, 0.3, True)), 760, 320) is None
    assert curve(fit(), 760, 320) is None
    flat = curve(fit((2, 0.0, 0.0, False), (3, 0.0, 0.0, False)), 760, 320)
    assert flat is not None
    assert flat.chosen is None
    assert len({pair.split(",")[1] for pair in flat.raw.split()}) == 1


@pytest.mark.parametrize(
    ("low", "high", "about"), [(0.187, 0.2931, 5), (2, 8, 9), (10, 100, 4), (-0.1, 0.1, 5), (0, 0, 5), (3.3, 3.3, 5)]
)
def test_ticks_are_even_and_enclose(low: float, high: float, about: int) -> None:
    ticks = nice_ticks(low, high, about)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= about + 3
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps))
    assert f"{steps[0]:.0e}"[0] in "125"
