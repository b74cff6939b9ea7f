"""Frames of the driver's own rows: as `createDataFrame` makes them, without its Python workers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

from profilelake import frames
from profilelake.frames import join_hashed, local_frame

DDL = (
    "s string, i int, l bigint, d double, f float, b boolean, t timestamp, day date, raw binary, "
    "many array<double>, of map<string, double>, one struct<x: int, y: string>, ones array<struct<x: int, y: string>>"
)
MOMENT = datetime(2024, 3, 31, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
ROWS = [
    (
        "a'b\n",
        -1,
        2**62,
        0.1,
        1.5,
        True,
        MOMENT,
        date(1999, 1, 2),
        b"\0\xff",
        [1.0, None],
        {"k": 0.5},
        {"x": 1, "y": None},
        [{"x": 2, "y": "z"}],
    ),
    (
        "",
        0,
        0,
        -math.inf,
        0.0,
        False,
        datetime(2024, 7, 1, 12),
        date(2024, 2, 29),
        b"",
        [],
        {},
        {"x": None, "y": ""},
        [],
    ),
    (None,) * 13,
]


@pytest.fixture(params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone that the driver's machine stands in."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def plan(spark: SparkSession, rows: list[tuple[object, ...]], ddl: str) -> str:
    return str(local_frame(spark, rows, ddl)._jdf.queryExecution().executedPlan())


def test_rows_are_those_of_create_data_frame(spark: SparkSession, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = local_frame(spark, ROWS, DDL)
    monkeypatch.setattr(frames, "_TAKES_ARROW", False)  # as under Spark 3.5
    theirs = local_frame(spark, ROWS, DDL)
    assert made.schema == theirs.schema
    assert made.collect() == theirs.collect()
    said = made.selectExpr("cast(t as string) AS t").first()
    assert said == Row(t="2024-03-30 20:30:00.123456")
    assert MOMENT.astimezone(UTC).hour == 20


def test_not_a_number_stays_one(spark: SparkSession) -> None:
    (row,) = local_frame(spark, [(math.nan, None)], "x double, y double").selectExpr("isnan(x)", "y IS NULL").collect()
    assert tuple(row) == (True, True)


def test_no_rows_have_their_columns(spark: SparkSession) -> None:
    none = local_frame(spark, [], DDL)
    assert none.collect() == []
    assert none.schema == local_frame(spark, ROWS, DDL).schema


def test_the_plan_holds_the_rows(spark: SparkSession) -> None:
    assert plan(spark, [("a",)], "x string").startswith("LocalTableScan")


@pytest.mark.parametrize("takes_arrow", [True, False])
@pytest.mark.parametrize(
    ("row", "ddl"),
    [
        ((1.5,), "x int"),
        (("1",), "x bigint"),
        ((2**40,), "x int"),
        (([1.5],), "x array<int>"),
        (({"x": 1.5},), "one struct<x: int>"),
        ((np.int64(1),), "x bigint"),
        ((1,), "x int, y int"),
        ((1, 2), "x int"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(
    spark: SparkSession, row: tuple[object, ...], ddl: str, takes_arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "_TAKES_ARROW", takes_arrow)
    with pytest.raises(PySparkException):
        local_frame(spark, [row], ddl)


@pytest.mark.parametrize("text", ["\udcff", 1])  # the first of a file name that is no UTF-8
def test_a_text_that_is_none_is_refused(spark: SparkSession, text: object) -> None:
    with pytest.raises(PySparkException, match=r"these rows are no \(x string\)"):
        local_frame(spark, [(text,)], "x string")


def test_a_join_sorted_by_hashes_is_the_join(spark: SparkSession) -> None:
    """Keys that begin alike, come twice, are on one side alone, or NULL."""
    left = local_frame(spark, [(f"source:{n % 7}", n) for n in range(20)] + [(None, 20), ("", 21)], "id string, l int")
    right = local_frame(spark, [(f"source:{n % 5}", n) for n in range(9)] + [(None, 9), ("", 10)], "id string, r int")
    found, plain = join_hashed(left, right, "id"), left.join(right, on="id")
    assert found.columns == plain.columns
    assert sorted(found.collect()) == sorted(plain.collect())
    # as rows of many partitions are joined: by sorting them
    merged = join_hashed(left.hint("merge"), right, "id")
    assert "SortMergeJoin [_hash" in merged._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    assert sorted(merged.collect()) == sorted(plain.collect())
