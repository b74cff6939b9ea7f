"""Asking a lake in SQL: one reading statement at a time, and the queries that come with profilelake (`sql/`)."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.images import functions
from profilelake.lake import open_lake

READING = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC")
_WRITING = ("INSERT", "MERGE", "UPDATE", "DELETE")

# What SQL reads as one piece; a doubled quote ends a string and begins the next, which is as good.
_PIECES = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)
    |(?P<word>\w+)
    |(?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)
_WIDEST = 60  # characters of a cell


@dataclass(frozen=True)
class Query:
    """A query that comes with profilelake: its file's name, the question in its first line, and the SQL."""

    name: str
    question: str
    text: str


def packaged() -> list[Query]:
    """The queries in `sql/` of a checkout, or those that the wheel carries, by name."""
    here = Path(__file__).resolve().parent
    folder = here / "sql" if (here / "sql").is_dir() else here.parent / "sql"
    found = []
    for path in sorted(folder.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        found.append(Query(path.stem, text.split("\n", 1)[0].removeprefix("--").strip(), text))
    return found


def statement(text: str) -> str:
    """The one reading statement that a text holds, without the semicolon that may end it.

    Raises:
        ConfigError: there is none, or several, or it isn't SELECT, WITH ... SELECT, SHOW or DESCRIBE.
    """
    words: list[tuple[str, int]] = []  # with the depth of parentheses that each stands at
    depth, end = 0, None
    for piece in _PIECES.finditer(text):
        if piece.lastgroup == "comment":
            continue
        if end is not None:
            raise ConfigError("several statements in one text: a query is one statement")
        if piece.lastgroup == "sign":
            sign = piece.group()
            depth += (sign == "(") - (sign == ")")
            if sign == ";":
                end = piece.start()
        elif piece.lastgroup == "word":
            words.append((piece.group().upper(), depth))
        elif not words:
            words.append((piece.group(), depth))
    if not words:
        raise ConfigError("the query is empty: write a SELECT statement, or name a file of sql/")
    first, outside = words[0]
    written = (
        next((word for word, at in words if word in _WRITING and at == outside), None) if first == "WITH" else None
    )
    if first not in READING or written is not None:
        raise ConfigError(
            f"{written or first} is refused: a query only reads; it begins with SELECT, WITH, SHOW or DESCRIBE"
        )
    return text if end is None else text[:end]


def run_query(spark: SparkSession, config: Config, text: str, parameters: Mapping[str, str] | None = None) -> DataFrame:
    """A statement over the configured lake, whose tables and views go by their plain names in it.

    Args:
        text: one SELECT, WITH ... SELECT, SHOW or DESCRIBE statement; `:name` stands for a parameter.
        parameters: the parameters' values, as text.

    Raises:
        ConfigError: another statement, a faulty one, a parameter without value, no lake, or the weights of a network
            that it calls (`embed_resnet50(content)`) are missing.
    """
    read = statement(text)
    lake = open_lake(spark, config)
    if not lake.exists("runs"):
        raise ConfigError(f"there is no lake at {lake.path or lake.schema}: run jobs/build_profiles.py first")
    functions.register_called(spark, config, read)
    with _using(spark, lake.schema):
        try:
            return spark.sql(read, args=dict(parameters)) if parameters else spark.sql(read)
        except (AnalysisException, ParseException) as error:
            raise ConfigError(_explained(error)) from error


def _explained(error: AnalysisException | ParseException) -> str:
    message = str(error).split("JVM stacktrace", 1)[0].strip()
    unbound = re.search(r"unbound parameter: `?:?(\w+)`?", message)
    if unbound:
        return f"the query needs a value for :{unbound.group(1)}: add --param {unbound.group(1)}=..."
    # what comes after is the plan, which helps nobody who wrote the query
    return re.split(r"\n\s*\n?'|\n== SQL", message, maxsplit=1)[0].rstrip(";\n ")


@contextmanager
def _using(spark: SparkSession, schema: str) -> Iterator[None]:
    """Make a schema the current one, and the one before it afterwards."""
    before = spark.sql("SELECT current_catalog() AS catalog, current_database() AS database").first()
    spark.sql(f"USE {schema}")
    try:
        yield
    finally:
        if before is not None:
            spark.sql(f"USE `{before['catalog']}`.`{before['database']}`")


@dataclass(frozen=True)
class Answer:
    """The first rows of a query's result."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool  # whether the result has more rows


def answer(result: DataFrame, limit: int) -> Answer:
    """At most `limit` rows, values fit to be shown: numbers and booleans as they are, NULL as None, all else as text
    (times in UTC, arrays and structs as JSON, bytes by their number)."""
    fields = result.schema.fields
    plain = result.toDF(*[f"c{n}" for n in range(len(fields))])  # joins may give one name to several columns
    shown = plain.select([_shown(f"c{n}", field.dataType) for n, field in enumerate(fields)])
    rows = [tuple(row) for row in shown.limit(limit + 1).collect()]
    return Answer([field.name for field in fields], rows[:limit], len(rows) > limit)


def _shown(name: str, kind: T.DataType) -> Column:
    if isinstance(kind, (T.NumericType, T.BooleanType)):
        return F.col(name)
    if isinstance(kind, T.BinaryType):
        return F.concat(F.length(name).cast("string"), F.lit(" bytes")).alias(name)
    if isinstance(kind, (T.ArrayType, T.StructType, T.MapType)):
        return F.to_json(F.col(name), {"ignoreNullFields": "false"}).alias(name)
    return F.col(name).cast("string").alias(name)


def as_csv(found: Answer) -> str:
    """RFC 4180 with a header; NULL is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.names)
    writer.writerows(found.rows)
    return text.getvalue()


def as_table(found: Answer) -> str:
    """Aligned columns, numbers to the right, long text cut, then the number of rows."""
    cells = [[_cell(value) for value in row] for row in found.rows]
    header = [_cell(name) for name in found.names]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    right = [
        bool(found.rows) and all(value is None or _is_number(value) for value in column)
        for column in (zip(*found.rows, strict=True) if found.rows else [()] * len(header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = [
            " " * (width - _width(cell)) + cell if at_right else cell + " " * (width - _width(cell))
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    counted = f"{len(cells)} row{'' if len(cells) == 1 else 's'}"
    return "\n".join([line(header), rule, *map(line, cells), counted + (", and there are more" if found.more else "")])


def _is_number(value: Any) -> bool:
    return not isinstance(value, (str, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: wide signs two, combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def listing() -> str:
    """The packaged queries, a line each."""
    found = packaged()
    width = max((len(query.name) for query in found), default=0)
    return "\n".join(f"{query.name:{width}}  {query.question}" for query in found)


def parameters_of(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as parameters.

    Raises:
        ConfigError: a text is none, or names a parameter twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--param {pair}: parameters are written name=value, such as user_id=jsonl:42")
        if name in found:
            raise ConfigError(f"--param {name} is given twice: {json.dumps(found[name])} and {json.dumps(value)}")
        found[name] = value
    return found
