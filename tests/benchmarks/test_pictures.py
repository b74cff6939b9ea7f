"""The benchmark of the picture pass: that it runs, and that what it says follows from what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.pictures import targets
from benchmarks.pictures.__main__ import main
from benchmarks.pictures.faces import agreement, overlap
from benchmarks.pictures.subjects import from_json, to_json
from benchmarks.rows import RATIO, Row, Rows, Target, ratio, verdicts
from udfs.picture_pass import FaceSettings, PassSpec


def measured() -> Rows:
    rows = Rows()
    for seconds in (4.0, 5.0, 10.0):
        rows.add("stage", "lite0", "rate", "images/s", 100 / seconds)
    rows.add("usual recipe", "lite0", "rate", "images/s", 5.0)
    return rows


def test_a_row_tells_least_median_and_most() -> None:
    assert measured().row("stage", "lite0") == Row("stage", "lite0", "rate", "images/s", 3, 10.0, 20.0, 25.0)
    assert measured().row("stage", "resnet50") is None


def test_a_ratio_is_of_medians_and_as_wide_as_both_rows_allow() -> None:
    over, under = Row("a", "s", "rate", "images/s", 3, 8, 10, 12), Row("b", "s", "rate", "images/s", 2, 4, 5, 6)
    assert ratio("a / b", "s", over, under) == Row("a / b", "s", RATIO, "1", 2, 8 / 6, 2.0, 3.0)


def test_ratios_are_formed_of_what_was_measured_and_of_nothing_else() -> None:
    rows = measured()
    targets.add_ratios(rows)
    assert [row.case for row in rows.rows() if row.metric == RATIO] == ["stage / usual recipe"]


def test_a_target_is_met_missed_or_not_measured() -> None:
    rows = measured()
    targets.add_ratios(rows)
    at_least, at_most = (
        Target("t", "stage / usual recipe", "lite0", RATIO, 4.0, above=above) for above in (True, False)
    )
    said = verdicts(rows.rows(), [at_least, at_most, Target("u", "stage", "resnet50", "rate", 1)]).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in said] == ["met", "met", "not measured"]
    assert "missed" in verdicts(rows.rows(), [Target("t", "stage / usual recipe", "lite0", RATIO, 4.1)])


def test_overlap_and_agreement_of_boxes() -> None:
    box, half = [0.0, 0.0, 0.4, 0.4], [0.0, 0.0, 0.4, 0.2]
    assert overlap(box, box) == pytest.approx(1.0)
    assert overlap(box, half) == pytest.approx(0.5)
    assert overlap(box, [0.5, 0.5, 0.1, 0.1]) == 0.0
    assert agreement([[box], []], [[box], [half]]) == (0.5, [pytest.approx(1.0)])
    assert agreement([[]], [[]]) == (1.0, [])


def test_a_pass_travels_as_json() -> None:
    spec = PassSpec(("resnet50",), (), FaceSettings(), weights=(("resnet50", "x.pt"),), decode_margin=1)
    assert from_json(to_json(spec)) == spec


@pytest.mark.slow
@pytest.mark.model
def test_a_small_run_measures_every_case_of_a_network(tmp_path: Path, spark: SparkSession) -> None:
    # in the session that runs, which the benchmark takes over
    main(["--small", "--no-daft", "--only", "lite0", "--out", str(tmp_path)])
    rows = [Row(**row) for row in json.loads((tmp_path / "pictures.json").read_text(encoding="utf-8"))]
    found = {(row.case, row.subject, row.metric): row for row in rows}
    assert len(found) == len(rows)
    assert all(row.min <= row.median <= row.max for row in rows)
    wanted = [target for target in targets.TARGETS if target.subject == "lite0" and target.metric == RATIO]
    for target in wanted:
        assert "Daft" in target.case or (target.case, target.subject, target.metric) in found
    stage, alone = (found[case, "lite0", "rate"] for case in (targets.STAGE, targets.STANDALONE))
    made = found[f"{targets.STAGE} / {targets.STANDALONE}", "lite0", RATIO]
    assert made.median == pytest.approx(stage.median / alone.median)
    assert (tmp_path / "pictures.png").stat().st_size > 0
