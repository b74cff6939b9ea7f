"""Frames of rows that the driver made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyspark
from pyspark.errors import PySparkValueError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

_TAKES_ARROW = int(pyspark.__version__.split(".")[0]) >= 4


def local_frame(spark: SparkSession, rows: Iterable[Sequence[object]], ddl: str) -> DataFrame:
    """What `createDataFrame` makes of tuples, but, where Spark can, as rows that its plan holds: those of
    `createDataFrame` come from Python workers, which every query that reads them has to start.

    Args:
        spark: the session.
        rows: each as many values as `ddl` has columns; None is NULL. A naive timestamp is of the driver's own zone;
            within another value it needs a zone.
        ddl: names and types, in SQL.

    Raises:
        PySparkTypeError, PySparkValueError: a row is too short or too long, or a value is not of its column's type,
            such as 1.5 or a number of numpy's for an integer, or a text that is none.
    """
    rows, schema = list(rows), struct(ddl)
    if not _TAKES_ARROW:
        return spark.createDataFrame(rows, schema)
    verify = T._make_type_verifier(schema)  # Arrow would cut 1.5 down to 1
    for row in rows:
        verify(row)
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    try:
        arrays = [_array(values, field.dataType) for field, values in zip(schema, columns, strict=True)]
    except (pa.ArrowException, UnicodeError) as error:
        raise PySparkValueError(f"these rows are no ({ddl}): {error}") from error
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema.names), schema)


def join_hashed(left: DataFrame, right: DataFrame, on: str) -> DataFrame:
    """`left.join(right, on=on)`, an inner join, but quicker where both sides have many rows and texts of the key begin
    alike, as ids of one source do: Spark sorts by the first eight bytes of a key and compares whole texts where those
    are equal, so a hash goes before the text.

    Args:
        left, right: frames with the column `on`, a text, and none called `_hash`.
        on: the key; NULL equals nothing.
    """
    sides = [frame.withColumn("_hash", F.xxhash64(on)) for frame in (left, right)]
    return sides[0].join(sides[1], on=["_hash", on], how="inner").drop("_hash")


def _array(values: Sequence[object], type_: T.DataType) -> pa.Array:
    if isinstance(type_, T.TimestampType):
        values = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]
    return pa.array(values, to_arrow_type(type_))


def struct(ddl: str) -> T.StructType:
    """The schema that a column list in SQL stands for."""
    schema = T._parse_datatype_string(ddl)
    assert isinstance(schema, T.StructType)
    return schema
