"""CSV files that people edit in a spreadsheet: written so that it reads them, read whatever it made of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from profilelake.errors import ConfigError
from profilelake.reports.publish import local_path

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Line:
    """One row of a CSV: its cells by column, and its line in the file (from 1, the header's included)."""

    number: int
    cells: Mapping[str, str]


def render(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV as a spreadsheet opens it: UTF-8 with a mark, commas, CRLF."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def require(paths: Sequence[str]) -> None:
    """Say before Spark starts that a local file is missing.

    Raises:
        ConfigError: a local path is no file.
    """
    for path in paths:
        place = local_path(path)
        if place is not None and not place.is_file():
            raise ConfigError(f"there is no file {path}")


def read(spark: SparkSession, path: str, columns: Sequence[str]) -> list[Line]:
    """The rows of a CSV (comma, semicolon or tab; UTF-8), blank lines left out; other columns are passed over.

    Args:
        spark: what reads paths that are not local.
        path: a local path, a `file:` URI or any Hadoop URI.
        columns: those that must be there.

    Raises:
        ConfigError: the file cannot be read, is no UTF-8, lacks a column, or a row has too few or too many cells; the
            message names file and line.
    """
    try:
        text = _content(spark, path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text: save it as CSV UTF-8") from error
    header = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    found: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not found:
                found = [cell.strip() for cell in cells]
                _check_header(path, found, columns)
                continue
            if len(cells) != len(found):
                raise ConfigError(
                    f"{path} line {reader.line_num}: {len(cells)} cells instead of {len(found)}: quote a cell that "
                    f"holds {delimiter!r}"
                )
            lines.append(Line(reader.line_num, dict(zip(found, cells, strict=True))))
    except csv.Error as error:
        raise ConfigError(f"{path} line {reader.line_num}: this is no CSV: {error}") from error
    if not found:
        raise ConfigError(f"{path} is empty")
    return lines


def _check_header(path: str, found: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in found]
    if missing:
        raise ConfigError(f"{path} line 1: the column {missing[0]!r} is missing; the columns are {', '.join(found)}")
    twice = sorted({name for name in columns if found.count(name) > 1})
    if twice:
        raise ConfigError(f"{path} line 1: the column {twice[0]!r} is there twice")


def _content(spark: SparkSession, path: str) -> bytes:
    place = local_path(path)
    try:
        if place is not None:
            return place.read_bytes()
        row = spark.read.format("binaryFile").load(path).select("content").first()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except PySparkException as error:
        raise ConfigError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    if row is None:
        raise ConfigError(f"there is no file {path}")
    return bytes(row["content"])
