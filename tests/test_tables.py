"""The data dictionary holds what it promises, and its page is the one in docs/."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from profilelake import tables
from profilelake.tables import TABLES, VIEWS, Column, Table

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_is_fresh() -> None:
    found = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert found == tables.page(), "write it again: make docs-tables"


def test_the_page_has_every_table_column_and_view() -> None:
    page = tables.page()
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == [*TABLES, *(f"{name} (view)" for name in VIEWS)]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| column", "| ---"))]
    assert len(rows) == sum(len(table.columns) for table in TABLES.values())
    assert all(line.count("|") == 5 for line in rows), "a comment or type breaks its row of the page"


@pytest.fixture(scope="module")
def types(spark: SparkSession) -> dict[str, T.StructType]:
    """Spark parses the columns' types, so the session comes first."""
    return {name: table.schema for name, table in TABLES.items()}


def test_types_are_spelt_as_spark_writes_them_and_none_is_a_map(types: dict[str, T.StructType]) -> None:
    for name, schema in types.items():
        for field, column in zip(schema.fields, TABLES[name].columns, strict=True):
            assert "map<" not in field.dataType.simpleString(), f"{name}.{field.name}: maps cannot be compared"
            assert field.dataType.simpleString() == column.type.replace(": ", ":").replace(", ", ",")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_declaration_is_whole(table: Table) -> None:
    columns = {column.name: column for column in table.columns}
    assert len(columns) == len(table.columns), "a column is declared twice"
    assert table.key
    assert all(not columns[name].nullable for name in table.key)
    assert not columns["run_id"].nullable
    assert set(table.cluster_by) <= set(columns)
    assert len(table.cluster_by) <= 4, "Delta clusters by four columns at most"
    assert set(table.volatile) <= set(columns) - set(table.key)
    assert table.comment.endswith(".")
    for column in table.columns:
        assert len(column.comment) >= 4, column.name
        assert column.comment[0].isupper() or column.comment[0] in "<0123456789" or column.comment[-1] in ".)"
        assert column.name == column.name.lower()
    statistics = table.properties.get("delta.dataSkippingStatsColumns")
    if statistics is not None:
        assert set(table.cluster_by) <= set(statistics.split(",")) <= set(columns)


def test_checks_and_views_name_columns_and_tables_that_are_there(spark: SparkSession) -> None:
    for table in TABLES.values():
        spark.createDataFrame([], table.schema).createOrReplaceTempView(table.name)
        for sql in table.checks.values():
            spark.table(table.name).where(sql)  # analysed at once: an unknown column raises
    for view in VIEWS.values():
        columns = spark.sql(view.sql.replace("{schema}.", "")).columns
        assert len(columns) == len(set(columns)), view.name
        spark.sql(view.sql.replace("{schema}.", "")).createOrReplaceTempView(view.name)


def test_all_differences_are_told_at_once(spark: SparkSession) -> None:
    table = Table(
        "toy",
        "toy",
        key=("id",),
        kind="append",
        columns=(Column("id", "string", "key", nullable=False), Column("n", "bigint", "value"), tables.RUN_ID),
    )
    found = T._parse_datatype_string("id int, m string")
    assert isinstance(found, T.StructType)
    assert tables.differences(found, table, without=("run_id",)) == [
        "column n is missing",
        "column m is unknown",
        "column id is int, not string",
    ]
    assert tables.differences(table.schema, table) == []


@pytest.mark.parametrize("text", ["it's", "a\\b", "\\'", 'quoted "so"', "line\nbreak", "naïve 👍"])
def test_quoted_text_is_read_back(spark: SparkSession, text: str) -> None:
    assert spark.sql(f"SELECT {tables.quoted(text)} AS text").first()["text"] == text  # type: ignore[index]
