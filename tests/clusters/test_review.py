from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from jobs import review_categories
from profilelake.clusters import review
from profilelake.clusters.csvs import Line
from profilelake.errors import ConfigError
from tests.clusters.planted import categories, current, image_id
from tests.conftest import versions

FIT = "fit-0123456789abcdef"


def line(number, **cells):
    base = {"purpose": "categories", "fit_id": FIT, "cluster_id": str(number - 2), "category": "Pet"}
    return Line(number, {**base, **cells})


def test_every_row_names_its_cluster():
    lines = [line(2), line(3, category=" Fruit & Cake "), line(4, cluster_id=" 2 ")]
    assert review._checked("a.csv", lines, "categories", FIT, [0, 1, 2]) == {0: "Pet", 1: "Fruit & Cake", 2: "Pet"}


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ([line(2), line(3, cluster_id="7")], ["a.csv line 3: there is no cluster 7; they are 0 to 1", "missing: 1"]),
        ([line(2)], ["a.csv: 1 of 2 clusters are missing: 1"]),
        ([], ["a.csv: 2 of 2 clusters are missing: 0, 1"]),
        ([line(2), line(3), line(4, cluster_id="1")], ["a.csv line 4: cluster 1 is there twice"]),
        ([line(2), line(3, category="")], ["a.csv line 3: the name is empty"]),
        ([line(2), line(3, category="=1+1")], ["a.csv line 3: the name '=1+1' begins with '='"]),
        ([line(2), line(3, category="@a")], ["line 3: the name '@a' begins with '@'"]),
        ([line(2), line(3, category="x" * 100)], ["line 3: the name 'xxxxxxxxxxxxxxxxxxxx'... has 100 characters"]),
        ([line(2), line(3, cluster_id="one")], ["a.csv line 3: 'one' is no cluster number", "missing: 1"]),
        ([line(2), line(3, cluster_id="1.0")], ["a.csv line 3: '1.0' is no cluster number", "missing: 1"]),
        ([line(2), line(3, cluster_id="-1")], ["a.csv line 3: '-1' is no cluster number", "missing: 1"]),
        (
            [line(2, fit_id="fit-old"), line(3, fit_id="fit-old")],
            [f"line 2: this row is of fit fit-old, but the current one is {FIT}: export again"],
        ),
        (
            [line(2), line(3, purpose="selfie")],
            ["line 3: this row is for 'selfie', not for 'categories'", "missing: 1"],
        ),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_with_its_line(lines, faults):
    with pytest.raises(ConfigError) as found:
        review._checked("a.csv", lines, "categories", FIT, [0, 1])
    told = str(found.value).splitlines()
    assert len(told) == len(faults)
    for one, fault in zip(told, faults, strict=True):
        assert fault in one
    assert found.value.exit_code == 2


def rows_of(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def test_names_go_out_and_come_back(clustered, tmp_path):
    spark, config, out = clustered.spark, clustered.config(), tmp_path / "review"
    before = versions(clustered.open())
    done = review.export(spark, config, str(out))
    assert versions(clustered.open()) == before
    assert (done["clusters"], done["categories"], done["csv"]) == (6, 6, str(out / "categories.csv"))
    rows = rows_of(done["csv"])
    assert [row["cluster_id"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert {row["category"] for row in rows} == {
        "Selfie", "Pet", "Meal", "Large Group Photo", "Very Long Picture", "missile"
    }  # fmt: skip
    assert all(row["reviewed"] == "no" and row["category"] == row["proposed_category"] for row in rows)
    for row in rows:
        page = Image.open(io.BytesIO(Path(out, row["sheet"]).read_bytes()))
        assert page.size[0] > 6 * 100
        assert len(row["exemplar_image_ids"].split()) == min(12, int(row["size"]))

    for row in rows:
        row["category"] = {"Pet": "Cats", "missile": "Rockets & food", "Meal": "Rockets & food"}.get(
            row["category"], row["category"]
        )
    edited = tmp_path / "edited.csv"
    write_rows(edited, rows)
    done = review.apply(spark, config, str(edited))
    assert (done["clusters"], done["categories"], done["renamed"]) == (6, 5, 3)
    lake = clustered.open()
    found = categories(lake)
    assert found[image_id("cats", 0)] == ("Cats", None)
    assert found[image_id("rockets", 0)] == found[image_id("food", 0)] == ("Rockets & food", None)
    named = lake.read("cluster_centroids").where("purpose = 'categories'").collect()
    assert all(row["reviewed"] for row in named)
    assert {row["proposed_category"] for row in named} >= {"Pet", "Meal", "missile"}
    runs = lake.spark.table(lake.name("runs")).where("stage = 'review_categories'").collect()
    assert [(row["status"], row["rows_in"], row["rows_out"]) for row in runs] == [("done", 6, 6)]

    after = versions(lake)
    review.apply(spark, config, str(edited))
    assert versions(clustered.open()) == after

    rows[3]["category"] = ""
    write_rows(edited, rows)
    with pytest.raises(ConfigError, match="line 5: the name is empty"):
        review.apply(spark, config, str(edited))
    assert versions(clustered.open()) == after


def test_kinds_of_selfie_are_named_the_same_way(clustered, tmp_path):
    spark, config = clustered.spark, clustered.config()
    done = review.export(spark, config, f"file://{tmp_path / 'out'}", "selfie")
    rows = rows_of(tmp_path / "out" / "selfie.csv")
    assert len(rows) == done["clusters"] == 4
    assert {row["fit_id"] for row in rows} == {current(clustered.open(), "selfie")}
    for row in rows:
        row["category"] = row["category"].replace("Outdoor Selfie", "By the lake")
    write_rows(tmp_path / "edited.csv", rows)
    with pytest.raises(ConfigError, match="line 2: this row is for 'selfie', not for 'categories'"):
        review.apply(spark, config, str(tmp_path / "edited.csv"))
    review.apply(spark, config, str(tmp_path / "edited.csv"), "selfie")
    assert categories(clustered.open())[image_id("selfies_out", 0)] == ("Selfie", "By the lake")


def test_a_lake_without_categories_has_nothing_to_review(spark, lake, lake_config, tmp_path):
    with pytest.raises(ConfigError, match=r"has no categories clusters yet: run jobs/build_profiles\.py first"):
        review.export(spark, lake_config, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [[], ["export"], ["judge-apply"]])
def test_help_is_readable(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        review_categories.main([*command, "--help"])
    assert ended.value.code == 0
    assert '\n  clusters.k="auto"\n' in capsys.readouterr().out
