"""The lake: opening it, reading its tables, and the one way to write them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from delta.tables import DeltaTable
from py4j.java_gateway import JavaClass
from pyspark.errors import PySparkException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake import tables
from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.failures import innermost
from profilelake.frames import local_frame
from profilelake.tables import FORMAT, FORMAT_PROPERTY, TABLES, VIEWS, Table, View, differences, quoted

log = logging.getLogger("profilelake.lake")

# Opening is many small metadata commits that wait for each other's file system, not for the processor.
_OPENERS = 4
_FILE_BYTES = 128 * 2**20
_OP = "_op"
_PATH_MARK = "profilelake.path"  # of a schema: the lake whose tables it lists


@dataclass(frozen=True)
class WriteResult:
    """Rows that one write changed. A write that changes none adds no version."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def changed(self) -> int:
        return self.inserted + self.updated + self.deleted

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)


@dataclass
class Lake:
    """A lake that is open: its tables are registered in `schema` of the session's catalog.

    `run_id` stamps what is written; a lake opened without one is read-only.
    """

    spark: SparkSession
    schema: str
    path: str | None
    run_id: str | None = None
    read_tables: set[str] = field(default_factory=set)
    # Tables that are read as they were at a version (`pin`).
    pins: dict[str, int] = field(default_factory=dict)
    # What else a stage's result depends on, as JSON (`freshness`); None: on its tables alone.
    settings: str | None = None
    # Called before every write: raises when the run has lost the lake to another one (`ledger`).
    assert_held: Callable[[], None] = lambda: None

    def name(self, table: str) -> str:
        """The catalog's name of a table or view."""
        return f"{self.schema}.{table}"

    def location(self, table: str) -> str | None:
        return None if self.path is None else f"{self.path.rstrip('/')}/{table}"

    def exists(self, table: str) -> bool:
        """Whether the table is there (a lake opened without `create` may lack some)."""
        return self.spark.catalog.tableExists(self.name(table))

    def read(self, table: str) -> DataFrame:
        """A table as it is now, or at the version that it is pinned to."""
        self.read_tables.add(table)
        if table in self.pins:
            return self.spark.read.option("versionAsOf", self.pins[table]).table(self.name(table))
        return self.spark.table(self.name(table))

    def view(self, view: str) -> DataFrame:
        """A view that rests on tables alone, over them as `read` sees them."""

        def source(found: re.Match[str]) -> str:
            pin = f" VERSION AS OF {self.pins[found[1]]}" if found[1] in self.pins else ""
            return self.name(found[1]) + pin

        return self.spark.sql(re.sub(r"\{schema\}\.(\w+)", source, VIEWS[view].sql))

    def pin(self, tables_: Iterable[str]) -> None:
        """From now on read these tables as they are now, whatever another run writes meanwhile."""
        self.pins.update(self.versions(tables_))
        self.read_tables.update(self.pins)

    def frame(self, table: str, rows: Iterable[Mapping[str, object]]) -> DataFrame:
        """Rows that the driver made, as a frame of the table's columns; NULL where a row says nothing. `run_id` is one
        of them only where rows give it."""
        rows = list(rows)
        own_run = all("run_id" in row for row in rows) and bool(rows)
        columns = [c for c in TABLES[table].columns if own_run or c.name != "run_id"]
        values = [tuple(row.get(c.name) for c in columns) for row in rows]
        return local_frame(self.spark, values, ", ".join(f"{c.name} {c.type}" for c in columns))

    def is_empty(self, table: str) -> bool:
        """Whether a table has no rows, as `read` sees it."""
        rows = self.read(table)
        now = self._snapshot(table)
        is_read = now is not None and self.pins.get(table, now.version()) == now.version()
        return (is_read and _n_files(now) == 0) or rows.isEmpty()

    def version(self, table: str) -> int:
        """The table's Delta version."""
        return self.versions([table])[table]

    def versions(self, tables_: Iterable[str]) -> dict[str, int]:
        """The tables' Delta versions, by name."""
        names = sorted(set(tables_))
        now = {name: self._snapshot(name) for name in names}
        if any(snapshot is None for snapshot in now.values()):
            return self._of_history(names)
        return {name: int(snapshot.version()) for name, snapshot in now.items()}

    def _of_history(self, names: Sequence[str]) -> dict[str, int]:
        """One job for all."""

        def newest(table: str) -> DataFrame:
            history = DeltaTable.forName(self.spark, self.name(table)).history(1)
            return history.select(F.lit(table).alias("table"), "version")

        found = [newest(name) for name in names]
        return {row["table"]: row["version"] for row in reduce(DataFrame.union, found).collect()} if found else {}

    def _snapshot(self, table: str) -> Any:
        """Delta's own snapshot of a table as it is now, without a job of Spark's, of which every stage would wait for
        dozens. None where the catalog manages tables, or Delta is not the open one."""
        # by its whole name: py4j asks the class path about every part of a dotted one
        log = getattr(self.spark._jvm, "org.apache.spark.sql.delta.DeltaLog")
        if self.path is None or not isinstance(log, JavaClass):
            return None
        return log.forTableWithSnapshot(self.spark._jsparkSession, self.location(table))._2()

    def write(
        self, table: str, rows: DataFrame, scope: DataFrame | None = None, *, n_bytes: int | None = None
    ) -> WriteResult:
        """Write rows in the table's own kind (see `tables`); adds no version when nothing differs.

        Args:
            table: a declared table.
            rows: exactly its columns, in any order, without `run_id`; one row a key. For `append` they are evaluated
                twice: first their keys, then those that are new, whole; with n_bytes once more, for the ranges.
            scope: for `replace` only: distinct values of some of the table's columns. Rows of the scope that `rows`
                lacks are deleted; None means the whole table.
            n_bytes: for `append` only, of heavy rows: about their size. They are laid in files of one size, each a
                range of what the table is clustered by, in its order, so that who reads a range reads few of them.

        Raises:
            ProfilelakeError: the columns differ from the declaration (all differences at once), a key is NULL or
                occurs twice, or the lake is read-only. Nothing is written then.
        """
        declared = TABLES[table]
        if self.run_id is None:
            raise ProfilelakeError(f"table {table} cannot be written: this lake was opened to be read")
        self.assert_held()
        if scope is not None and declared.kind != "replace":
            raise ProfilelakeError(f"table {table} is {declared.kind}, which has no scope")
        own_run = ("run_id",) if "run_id" not in rows.columns else ()
        faults = differences(rows.schema, declared, without=own_run)
        if faults:
            raise ProfilelakeError(f"rows for table {table} don't fit it: {'; '.join(faults)}")
        if own_run:
            rows = rows.withColumn("run_id", F.lit(self.run_id))
        rows = rows.select([c.name for c in declared.columns])
        if declared.kind == "append":
            result = self._append(declared, rows, n_bytes)
        else:
            existing, is_empty = self._existing(table)
            result = self._fill(declared, rows) if is_empty else self._change(declared, rows, existing, scope)
        if result.changed:
            log.debug("%s: %s", table, result)
        return result

    def clear(self, table: str, scope: DataFrame | None = None) -> WriteResult:
        """Write that a table of kind `replace` has no rows any more, or none of a scope (as for `write`)."""
        return self.write(table, self.read(table).where(F.lit(False)).drop("run_id"), scope)

    def _existing(self, table: str) -> tuple[DataFrame, bool]:
        """The rows that a table has before it is written, and whether there are none."""
        now = self._snapshot(table)
        if now is None:
            rows = self.spark.table(self.name(table))
            return rows, rows.isEmpty()
        # At its version, or Spark plans what is kept of these rows anew after the commit, which changes the table.
        rows = self.spark.read.option("versionAsOf", now.version()).table(self.name(table))
        n_files = _n_files(now)
        return rows, rows.isEmpty() if n_files is None else n_files == 0

    def _change(self, declared: Table, rows: DataFrame, existing: DataFrame, scope: DataFrame | None) -> WriteResult:
        source = _reduced(declared, rows, existing, scope)
        source = source.persist(StorageLevel.DISK_ONLY)
        try:
            result = self._count(declared, source)
            if result.updated or result.deleted:
                self._merge(declared, source)
            elif result.inserted:
                # Rows that are all new need none of a MERGE's passes; the run holds the lake, so nobody else adds them.
                self._add(declared, source.select(rows.columns))
        finally:
            source.unpersist()
        return result

    def _fill(self, declared: Table, rows: DataFrame) -> WriteResult:
        """Rows of a table that has none: there is nothing to compare them with."""
        rows = rows.persist(StorageLevel.DISK_ONLY)
        try:
            result = self._count(declared, rows.select(*declared.key, F.lit("insert").alias(_OP)))
            if result.changed:
                self._add(declared, rows)
        finally:
            rows.unpersist()
        return result

    def _append(self, declared: Table, rows: DataFrame, n_bytes: int | None) -> WriteResult:
        """Only keys are kept meanwhile: rows that are appended can be heavy (pictures)."""
        key = list(declared.key)
        keys = rows.select(*key).persist(StorageLevel.DISK_ONLY)
        try:
            known = self.spark.table(self.name(declared.name)).select(*key)
            new = keys.join(known, on=key, how="left_anti").withColumn(_OP, F.lit("insert"))
            result = self._count(declared, new)
            if result.changed:
                if result.inserted != keys.count():
                    rows = rows.join(new.select(*key), on=key, how="left_semi").select(rows.columns)
                if n_bytes is not None:
                    files, by = -(-n_bytes // _FILE_BYTES) or 1, declared.cluster_by
                    rows = rows.repartitionByRange(files, *by).sortWithinPartitions(*by)
                self._add(declared, rows)
        finally:
            keys.unpersist()
        return result

    def _add(self, declared: Table, rows: DataFrame) -> None:
        rows.write.format("delta").mode("append").saveAsTable(self.name(declared.name))

    def delete(self, table: str, keys: DataFrame) -> WriteResult:
        """Delete rows by their keys, of whatever kind the table is; adds no version when there are none of them.

        For rows whose key itself is known to be another now. What a rerun would merely not write again is no reason:
        a table of kind `replace` has scopes for that.

        Args:
            table: a declared table.
            keys: columns as the table's key, repeats allowed.

        Raises:
            ProfilelakeError: the lake is read-only, or the columns are not the table's key.
        """
        declared = TABLES[table]
        if self.run_id is None:
            raise ProfilelakeError(f"table {table} cannot be written: this lake was opened to be read")
        if set(keys.columns) != set(declared.key):
            raise ProfilelakeError(
                f"rows of table {table} are deleted by ({', '.join(declared.key)}), not by ({', '.join(keys.columns)})"
            )
        self.assert_held()
        key = list(declared.key)
        existing = self.spark.table(self.name(table)).select(*key)
        found = existing.join(keys.distinct(), on=key, how="left_semi").persist(StorageLevel.DISK_ONLY)
        try:
            result = WriteResult(deleted=found.count())
            if result.changed:
                on = " AND ".join(f"target.{name} = source.{name}" for name in key)
                target = DeltaTable.forName(self.spark, self.name(table)).alias("target")
                target.merge(found.alias("source"), on).whenMatchedDelete().execute()
        finally:
            found.unpersist()
        return result

    def _count(self, declared: Table, source: DataFrame) -> WriteResult:
        """How many rows there are of each operation.

        Raises:
            ProfilelakeError: a key is NULL or occurs twice.
        """
        # Texts of keys are long and many: numbers that stand for them take a fraction of the time. Keys that are equal
        # have one number; whether those that have one are equal is found out where there are any.
        hashed = source.groupBy(F.xxhash64(*declared.key).alias("_hash")).agg(
            F.count("*").alias("rows"),
            F.count(F.when(_key_is_null(declared), 1)).alias("keyless"),
            *[F.count(F.when(F.col(_OP) == op, 1)).alias(op) for op in _OPS],
        )
        totals = hashed.agg(
            *[F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("keyless", *_OPS)],
            F.count(F.when(F.col("rows") > 1, 1)).alias("repeated"),
        ).first()
        assert totals is not None
        if totals["repeated"] or totals["keyless"]:
            _require_keys(declared, source)
        return WriteResult(totals["insert"], totals["update"], totals["delete"])

    def _merge(self, declared: Table, source: DataFrame) -> None:
        on = " AND ".join(f"target.{name} = source.{name}" for name in declared.key)
        values = {c.name: f"source.{c.name}" for c in declared.columns}
        merge = DeltaTable.forName(self.spark, self.name(declared.name)).alias("target")
        builder = merge.merge(source.alias("source"), on)
        if declared.kind == "replace":
            builder = builder.whenMatchedDelete(f"source.{_OP} = 'delete'")
        builder = builder.whenMatchedUpdate(set=values)  # type: ignore[arg-type]
        builder.whenNotMatchedInsert(values=values).execute()  # type: ignore[arg-type]


_OPS = ("insert", "update", "delete")


def _key_is_null(declared: Table) -> SparkColumn:
    return reduce(lambda a, b: a | b, [F.col(name).isNull() for name in declared.key])


def _require_keys(declared: Table, source: DataFrame) -> None:
    """Raises ProfilelakeError where a key is NULL or occurs twice."""
    key_is_null = _key_is_null(declared)
    keyed = source.groupBy(*declared.key).agg(F.count("*").alias("rows"))
    totals = (
        keyed.where((F.col("rows") > 1) | key_is_null)
        .agg(
            F.count(F.when(F.col("rows") > 1, 1)).alias("repeated"),
            F.count(F.when(key_is_null, 1)).alias("keyless"),
            F.first(F.concat_ws(", ", *declared.key)).alias("example"),
        )
        .first()
    )
    assert totals is not None
    if totals["repeated"] or totals["keyless"]:
        raise ProfilelakeError(
            f"rows for table {declared.name} need one row for each ({', '.join(declared.key)}): "
            f"{totals['repeated']} keys occur twice, {totals['keyless']} are NULL, for example ({totals['example']})"
        )


def _n_files(snapshot: Any) -> int | None:
    """How many data files a snapshot has, which may be without rows; None where it has no checksum, which counts
    them."""
    checksum = snapshot.checksumOpt()
    return int(checksum.get().numFiles()) if checksum.isDefined() else None


def _reduced(declared: Table, rows: DataFrame, existing: DataFrame, scope: DataFrame | None) -> DataFrame:
    """The rows that change something, each with its operation in `_op`; of those to delete only the key is there. Rows
    and table are read once."""
    key = list(declared.key)
    compared = [name for name in declared.compared if name in existing.columns]
    deletes = declared.kind == "replace"
    in_scope = F.lit(deletes and scope is None)
    if deletes and scope is not None:
        marked = scope.distinct().withColumn("_in_scope", F.lit(True))
        existing = existing.join(marked, on=scope.columns, how="left")
        in_scope = F.coalesce("_in_scope", F.lit(False))
    held = existing.select(
        *[F.col(name).alias(f"_held_{name}") for name in key],
        F.struct(*compared, in_scope.alias("_in_scope")).alias("_held"),
    )
    same_key: SparkColumn = reduce(lambda a, b: a & b, [F.col(n) == F.col(f"_held_{n}") for n in key])
    is_new, is_gone = F.col("_held").isNull(), F.col("_given").isNull()
    differs = reduce(
        lambda a, b: a | b, [~F.col(name).eqNullSafe(F.col(f"_held.{name}")) for name in compared], F.lit(False)
    )
    matched = rows.withColumn("_given", F.lit(True)).join(held, on=same_key, how="full" if deletes else "left")
    return matched.where(F.when(is_gone, F.col("_held._in_scope")).otherwise(is_new | differs)).select(
        *[F.coalesce(name, f"_held_{name}").alias(name) if name in key else F.col(name) for name in rows.columns],
        F.when(is_new, "insert").when(is_gone, "delete").otherwise("update").alias(_OP),
    )


def open_lake(spark: SparkSession, config: Config, *, run_id: str | None = None) -> Lake:
    """Open the configured lake.

    With a `run_id` missing tables, columns and views are created (each is logged); without one only what is there is
    registered, and nothing is written.

    Raises:
        ConfigError: the lake has another major format, or a newer minor one.
        ProfilelakeError: the lake's folder cannot be read or written, or its tables are not as declared.
    """
    lake = Lake(spark, config.lake.schema_, _absolute(config.lake.path), run_id)
    try:
        _open(lake)
    except ProfilelakeError:
        raise
    except Exception as error:
        where = lake.path or f"schema {lake.schema}"
        raise ProfilelakeError(f"the lake at {where} cannot be opened: {innermost(error)}") from error
    return lake


def open_beside(spark: SparkSession, config: Config, *, run_id: str) -> Lake:
    """Open the configured lake to write beside a run that may hold it: nothing is created, added or upgraded.

    Raises:
        ConfigError: there is no lake, or it has another format than this profilelake's.
    """
    lake = open_lake(spark, config)
    where = lake.path or lake.schema
    if not lake.exists("runs"):
        raise ConfigError(f"there is no lake at {where}: run jobs/build_profiles.py first")
    held = _check_format(lake)
    if held != tables.FORMAT:
        raise ConfigError(
            f"the lake at {where} has format {held[0]}.{held[1]}, not {tables.FORMAT[0]}.{tables.FORMAT[1]}: "
            "run jobs/build_profiles.py, which upgrades it, first"
        )
    return replace(lake, run_id=run_id)


def _absolute(path: str | None) -> str | None:
    """Delta registers tables by absolute location; a Hadoop URI is one already."""
    return path if path is None or ":" in path.split("/", 1)[0] else os.path.abspath(path)


def _open(lake: Lake) -> None:
    spark = lake.spark
    with ThreadPoolExecutor(_OPENERS) as pool:
        there = pool.map(lambda name: _is_there(lake, name), TABLES)
        present = [name for name, is_there in zip(TABLES, there, strict=True) if is_there]
        registered = set(present) if lake.path is None else _registered(lake, present)
        if lake.run_id is not None or present:
            at = f" LOCATION {quoted(lake.path)}" if lake.path else ""
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {lake.schema}{at}")
        list(pool.map(lambda name: spark.sql(_register(lake, TABLES[name])), sorted(set(present) - registered)))
        held = _check_format(lake) if "runs" in present else None
        if lake.run_id is not None:
            absent = [table for table in TABLES.values() if table.name not in present]
            list(pool.map(lambda table: _create(lake, table), absent))
            if absent and present:
                log.info("added tables: %s", ", ".join(table.name for table in absent))
            if held != tables.FORMAT:  # the mark is set last: with it every table is as declared
                list(pool.map(lambda name: _upgrade(lake, TABLES[name]), present))
                if held is not None:
                    _set_format(lake)
    if lake.path is not None and (lake.run_id is not None or present):
        spark.sql(f"ALTER SCHEMA {lake.schema} SET DBPROPERTIES ({quoted(_PATH_MARK)} = {quoted(lake.path)})")
    for view in VIEWS.values():
        if lake.run_id is not None or present:
            _create_view(lake, view)


def _is_there(lake: Lake, table: str) -> bool:
    if lake.path is None:
        return lake.spark.catalog.tableExists(lake.name(table))
    return DeltaTable.isDeltaTable(lake.spark, str(lake.location(table)))


def _registered(lake: Lake, present: list[str]) -> set[str]:
    """The tables that the catalog knows as this lake's; what it knows of another lake's, or of what is gone, it
    forgets (its files stay).

    Raises:
        ConfigError: the schema holds tables that the catalog manages: forgetting them would delete them.
    """
    spark = lake.spark
    if not spark.catalog.databaseExists(lake.schema):
        return set()
    known = {str(row["tableName"]) for row in spark.sql(f"SHOW TABLES IN {lake.schema}").collect()} & set(TABLES)
    marked = spark.sql(f"DESCRIBE SCHEMA EXTENDED {lake.schema}").collect()
    ours = any(f"({_PATH_MARK},{lake.path})" in str(row["info_value"]) for row in marked)
    kept = known & set(present) if ours else set()
    for name in sorted(known - kept):
        if _is_managed(lake, name):
            raise ConfigError(
                f"the schema {lake.schema} holds a lake without lake.path (table {name} is the catalog's own): set "
                f"lake.path=null to use it, or another lake.schema for the lake at {lake.path}"
            )
    for name in sorted(known - kept):
        spark.sql(f"DROP TABLE IF EXISTS {lake.name(name)}")
    return kept


def _is_managed(lake: Lake, table: str) -> bool:
    """Whether a table's files are the catalog's own. Asked without loading the table, whose folder may be gone."""
    state = lake.spark._jsparkSession.sessionState()
    named = state.sqlParser().parseTableIdentifier(lake.name(table))
    return str(state.catalog().getTableMetadata(named).tableType().name()) == "MANAGED"


def _register(lake: Lake, table: Table) -> str:
    at = quoted(str(lake.location(table.name)))
    return f"CREATE TABLE IF NOT EXISTS {lake.name(table.name)} USING delta LOCATION {at}"


def _create(lake: Lake, table: Table) -> None:
    try:
        lake.spark.sql(_creation(lake, table))
    except PySparkException:
        # Another run may have opened a new lake at the same moment and been first; the lock decides which goes on.
        if not _is_there(lake, table.name):
            raise
        lake.spark.sql(_register(lake, table))


def _creation(lake: Lake, table: Table) -> str:
    properties = {
        FORMAT_PROPERTY: f"{FORMAT[0]}.{FORMAT[1]}",
        # delta-rs cannot read them into Arrow; loaders and erasure are simpler without
        "delta.enableDeletionVectors": "false",
        **{f"delta.constraints.{name}": sql for name, sql in table.checks.items()},
        **table.properties,
    }
    listed = ", ".join(f"{quoted(key)} = {quoted(value)}" for key, value in properties.items())
    clause = f" CLUSTER BY ({', '.join(table.cluster_by)})" if table.cluster_by else ""
    at = f" LOCATION {quoted(str(lake.location(table.name)))}" if lake.path else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {lake.name(table.name)} ({table.ddl}) USING delta"
        f"{clause} COMMENT {quoted(table.comment)}{at} TBLPROPERTIES ({listed})"
    )


def _held_format(lake: Lake) -> tuple[int, int] | None:
    rows = lake.spark.sql(f"SHOW TBLPROPERTIES {lake.name('runs')}").where(F.col("key") == FORMAT_PROPERTY).first()
    if rows is None:
        return None
    major, minor = str(rows["value"]).split(".")
    return int(major), int(minor)


def _check_format(lake: Lake) -> tuple[int, int]:
    held = _held_format(lake)
    where = lake.path or lake.schema
    ours = f"{tables.FORMAT[0]}.{tables.FORMAT[1]}"
    if held is None:
        raise ConfigError(f"the lake at {where} has no format mark: its table runs is not one of profilelake's")
    theirs = f"{held[0]}.{held[1]}"
    if held[0] > tables.FORMAT[0] or (held[0] == tables.FORMAT[0] and held[1] > tables.FORMAT[1]):
        raise ConfigError(
            f"the lake at {where} has format {theirs}, this profilelake knows {ours}: install a newer one"
        )
    if held[0] < tables.FORMAT[0]:
        raise ConfigError(
            f"the lake at {where} has format {theirs}, this profilelake needs {ours} and knows no migration from "
            "it: use the version that made the lake, or another lake.path"
        )
    return held


def _upgrade(lake: Lake, table: Table) -> None:
    """Add the nullable columns that a later minor format declares; refuse every other difference."""
    found = lake.spark.table(lake.name(table.name)).schema
    added = [c for c in table.columns if c.name not in found.names and c.nullable]
    faults = differences(found, table, without=tuple(c.name for c in added))
    if faults:
        raise ProfilelakeError(f"table {table.name} of the lake is not as declared: {'; '.join(faults)}")
    if added:
        columns = ", ".join(f"{c.name} {c.type} COMMENT {quoted(c.comment)}" for c in added)
        lake.spark.sql(f"ALTER TABLE {lake.name(table.name)} ADD COLUMNS ({columns})")
        log.info("added columns to %s: %s", table.name, ", ".join(c.name for c in added))


def _set_format(lake: Lake) -> None:
    ours = f"{tables.FORMAT[0]}.{tables.FORMAT[1]}"
    lake.spark.sql(f"ALTER TABLE {lake.name('runs')} SET TBLPROPERTIES ({quoted(FORMAT_PROPERTY)} = {quoted(ours)})")
    log.info("the lake has format %s now", ours)


def _create_view(lake: Lake, view: View) -> None:
    if lake.path is None and lake.run_id is None:
        return  # a catalog of its own keeps its views
    body = view.sql.format(schema=lake.schema)
    lake.spark.sql(f"CREATE OR REPLACE VIEW {lake.name(view.name)} COMMENT {quoted(view.comment)} AS {body}")
