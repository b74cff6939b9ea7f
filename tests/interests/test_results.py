"""Rows of the evaluation, its printed tables and its figures, from counts of random users."""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from profilelake import config as configuration
from profilelake.interests import drawing, evaluation, prints, published, results
from profilelake.interests.evaluation import Case, Plan
from profilelake.interests.results import Found, Measured
from profilelake.training.results import EvaluationRow
from tests.interests import crowd
from tests.interests.crowd import BINS, NETWORKS, OPTION

CASES = evaluation.cases(NETWORKS, [OPTION])
AGAINST = [evaluation.reference(case, NETWORKS[0]) for case in CASES]
CROWD = [*crowd.users(80, 1), *crowd.users(40, 2, "posted")]
FAULT = "weighting=label_score: the lexicon cannot"
# one option has a fault, so its cases stand behind the others and have no counts
MEASURED = Measured(
    NETWORKS[0],
    [*CASES, *(Case(network, "weighting=label_score") for network in NETWORKS)],
    ["favourite", "posted"],
    crowd.counts(CROWD, CASES, AGAINST),
    {"weighting=label_score": FAULT},
)
RULES = evaluation.variants(configuration.load().interests)
PLAN = Plan(100, 1)


def found_of(measured: Measured) -> Found:
    return results.found(measured, RULES, BINS, PLAN)


@pytest.fixture(scope="module")
def found() -> Found:
    return found_of(MEASURED)


def row(found: Found, relation: str, variant: str, metric: str, split: str = "users") -> EvaluationRow:
    (only,) = [
        each
        for each in found.evaluations[variant]
        if (each.task, each.variant, each.metric, each.split) == (relation, variant, metric, split)
    ]
    return only


def test_every_row_has_a_key_of_its_own(found: Found) -> None:
    keys = [(each.artefact, each.task, each.variant, each.split, each.metric) for each in found.rows]
    assert len(set(keys)) == len(keys)
    drawn = [(each.figure, each.series, each.x) for each in found.figures]
    assert len(set(drawn)) == len(drawn)
    assert set(found.evaluations) == {case.name for case in MEASURED.cases}


def test_rows_say_what_was_measured(found: Found) -> None:
    for relation in MEASURED.relations:
        for place, case in enumerate(CASES):
            agreement = evaluation.agreements(MEASURED.counts)[relation, place]
            score = evaluation.score(agreement, PLAN)
            assert score is not None
            f1 = row(found, relation, case.name, "mean_f1")
            assert (f1.value, f1.low, f1.high, f1.n) == (
                score.f1.value, score.f1.low, score.f1.high, len(crowd.whole(crowd_of(relation), case)),
            )  # fmt: skip
            assert f1.baseline == score.chance_f1
            assert row(found, relation, case.name, "mean_matches").baseline == score.chance_matches
            assert [row(found, relation, case.name, f"share_{k}").value for k in range(6)] == [
                share.value for share in score.shares
            ]
            out = evaluation.left_out(agreement)
            assert row(found, relation, case.name, "without_tag_domains").value == out.no_tags
            assert row(found, relation, case.name, "without_tag_domains").n == len(crowd_of(relation))


def crowd_of(relation: str) -> list[crowd.User]:
    return [user for user in CROWD if user.relation == relation]


def test_the_papers_figures_stand_only_beside_its_own_setting(found: Found) -> None:
    printed = {(each.task, each.variant, each.metric): each.published for each in found.rows if each.published}
    assert printed["favourite", "resnet50", "mean_f1"] == 0.4580
    assert printed["favourite", "vgg16", "mean_matches"] == 2.14
    assert printed["favourite", "vgg16", "share_2"] == pytest.approx(0.52)
    assert {(relation, variant) for relation, variant, _ in printed} == {("favourite", name) for name in NETWORKS}
    otherwise = {option: rules.model_copy(update={"lookup": "synset"}) for option, rules in RULES.items()}
    rows = results.found(MEASURED, otherwise, BINS, PLAN).rows
    assert {each.published for each in rows} == {None}


def test_comparisons_name_what_they_are_compared_with(found: Found) -> None:
    notes = {(each.task, each.variant): each.note for each in found.rows if each.metric == "mean_f1_difference"}
    assert ("favourite", "resnet50") not in notes
    assert notes["favourite", "vgg16"] == "against resnet50, the same users"
    assert notes["posted", "vgg16, lookup=synset"] == "against vgg16, the same users"
    assert notes["posted", "vgg16, weighting=label_score"] == FAULT


def test_groups_by_pictures_add_up(found: Found) -> None:
    for network in NETWORKS:
        whole = row(found, "favourite", network, "mean_f1")
        groups = [row(found, "favourite", network, "mean_f1", name) for name in evaluation.groups(BINS)]
        assert sum(each.n or 0 for each in groups) == whole.n
        assert sum((each.n or 0) * (each.value or 0) for each in groups) == pytest.approx((whole.n or 0) * whole.value)
        chance = sum((each.n or 0) * (each.baseline or 0) for each in groups)
        assert chance == pytest.approx((whole.n or 0) * (whole.baseline or 0))


def test_what_has_no_figure_says_why(found: Found) -> None:
    faulty = row(found, "posted", "resnet50, weighting=label_score", "mean_f1")
    assert (faulty.value, faulty.n, faulty.note) == (None, 0, FAULT)
    alone = [replace(user, ranked={k: v for k, v in user.ranked.items() if k[1] != "tags"}) for user in CROWD[:80]]
    lost = found_of(replace(MEASURED, relations=["favourite"], counts=crowd.counts(alone, CASES, AGAINST)))
    told = row(lost, "favourite", "vgg16", "mean_matches")
    pictured = sum(bool(user.side("", "vgg16")) for user in alone)
    assert (told.value, told.low, told.n, told.published) == (None, None, 0, 2.14)
    assert told.note == (
        f"no user has domains from both pictures and tags: {pictured} have some from pictures alone, 0 from tags "
        f"alone, {80 - pictured} have none"
    )
    assert [each.series for each in lost.figures] == ["@note favourite resnet50", "@note favourite vgg16"]
    assert row(lost, "favourite", "vgg16", "without_tag_domains").value == pictured


def test_one_user_is_named_as_such() -> None:
    (user,) = [each for each in CROWD if all(all(each.sides(case)) for case in CASES)][:1]
    lone = found_of(replace(MEASURED, relations=[user.relation], counts=crowd.counts([user], CASES, AGAINST)))
    told = row(lone, user.relation, "resnet50", "mean_f1")
    assert (told.n, told.low, told.baseline, told.note) == (1, None, None, "one user: no interval and no chance level")
    assert drawing.draw("mean F1", lone.figures) is not None


def test_it_is_read_back_as_it_was() -> None:
    again = results.read(MEASURED.dump())
    assert (again.primary, again.cases, again.relations, again.counts, again.faults) == (
        MEASURED.primary, MEASURED.cases, MEASURED.relations, MEASURED.counts, MEASURED.faults,
    )  # fmt: skip
    assert found_of(again) == found_of(MEASURED)


# -- tables and figures


def test_tables(found: Found) -> None:
    tables = {table.name: table for table in prints.tables(found.rows)}
    assert list(tables) == ["table 1", "comparison", "pictures", "domains"]
    for table in tables.values():
        assert {len(cells) for cells in table.rows} == {len({*table.columns})}
    first, *_ = tables["table 1"].rows
    named = dict(zip(tables["table 1"].columns, first, strict=True))
    f1 = row(found, "favourite", "resnet50", "mean_f1")
    assert (named["Relation"], named["Network"], named["Users"]) == ("favourite", "resnet50", str(f1.n))
    of_f1 = tuple(named[name] for name in ("F1", "F1 from", "F1 to", "F1 by chance"))
    assert of_f1 == tuple(f"{value:.4f}" for value in (f1.value, f1.low, f1.high, f1.baseline))
    theirs = [cells for cells in tables["table 1"].rows if "(paper)" in cells[1]]
    assert [cells[1] for cells in theirs] == [f"{network} (paper)" for network in published.TABLE_1]
    assert theirs[-1][2:10] == ("300", "0.33", "13.67", "46.33", "36.33", "3.00", "0.33", "2.29")
    assert theirs[-1][13] == "0.4580"
    assert {cells[1] for cells in tables["comparison"].rows} == {case.name for case in MEASURED.cases} - {"resnet50"}
    assert {cells[2] for cells in tables["pictures"].rows} == {"below 3", "3 to 9", "10 or more"}
    assert prints.tables([]) == []


def test_files(found: Found, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = prints.write_all(tmp_path / "new", found.figures, prints.tables(found.rows))
    names = [file.name for file in written]
    assert names[:6] == [
        "figure_4.svg", "figure_4.pdf", "figure_4.png", "mean_F1.svg", "mean_F1.pdf", "mean_F1.png",
    ]  # fmt: skip
    assert "table_1.csv" in names
    assert "domains.tex" in names
    lines = list(csv.reader(io.StringIO((tmp_path / "new" / "table_1.csv").read_text("utf-8-sig"))))
    assert lines[1][:2] == ["favourite", "resnet50"]
    assert Image.open(tmp_path / "new" / "figure_4.png").width > 1_000
    again = prints.write_all(tmp_path / "again", found.figures, prints.tables(found.rows))
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in written]


def test_figures_show_what_the_rows_say(found: Found) -> None:
    page = drawing.draw("figure 4", found.figures)
    titles = [axes.get_title(loc="left") for axes in page.axes]
    sizes = [[row(found, relation, name, "mean_f1").n for name in NETWORKS] for relation in MEASURED.relations]
    assert titles == [
        f"Favourites ({sizes[0][0]} to {sizes[0][1]} users)",
        f"Own posts ({sizes[1][0]} to {sizes[1][1]} users)",
    ]
    for axes, relation in zip(page.axes, MEASURED.relations, strict=True):
        lines = [container.lines[0] for container in axes.containers]
        for line, network in zip(lines, NETWORKS, strict=True):
            shares = [row(found, relation, network, f"share_{k}").value for k in range(6)]
            assert list(line.get_ydata()) == pytest.approx(shares)
            assert list(line.get_xdata()) == pytest.approx(range(6), abs=0.1)
    page = drawing.draw("mean F1", found.figures)
    names = [label.get_text() for label in page.axes[0].get_yticklabels()]
    assert names == [case.name for case in CASES]
    for axes, relation in zip(page.axes, MEASURED.relations, strict=True):
        (dots,) = (container.lines[0] for container in axes.containers)
        values = [row(found, relation, case.name, "mean_f1").value for case in CASES]
        assert list(dots.get_xdata()) == pytest.approx(values)
        chances = [row(found, relation, case.name, "mean_f1").baseline for case in CASES]
        assert [marks.get_segments()[0][0][0] for marks in axes.collections[: len(CASES)]] == pytest.approx(chances)


def test_without_anything_to_draw_the_drawing_says_why() -> None:
    empty = found_of(replace(MEASURED, counts=[], relations=["posted"]))
    for figure in drawing.FIGURES:
        said = " ".join(text.get_text() for text in drawing.draw(figure, empty.figures).texts)
        assert "Nothing to show: posted, resnet50: no user has domains from both" in said
    with pytest.raises(ValueError, match="figure 5 cannot be drawn; these can: figure 4, mean F1"):
        drawing.draw("figure 5", found_of(MEASURED).figures)
