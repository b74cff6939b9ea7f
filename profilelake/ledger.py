"""The ledger: which run did what to a lake, and which run holds it.

A run takes the lake by adding its row (stage `run`, status `running`) to the table `runs` in one Delta commit that
conflicts with every other one; so the lock works wherever Delta works, object stores included. Its heartbeat renews
the row; a row whose heartbeat is too old, or whose process on this machine is gone, no longer holds.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    MetadataChangedException,
    ProtocolChangedException,
)
from delta.tables import DeltaTable
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from profilelake import __version__
from profilelake.config import Config
from profilelake.errors import LakeLocked, ProfilelakeError, TooManyBadRecords
from profilelake.failures import one_line
from profilelake.lake import Lake, open_beside, open_lake
from profilelake.progress import Progress
from profilelake.tables import TABLES

log = logging.getLogger("profilelake.ledger")

RUN = "run"
_ATTEMPTS = 8  # of a commit that met another one
_CONFLICTS = (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    MetadataChangedException,
    ProtocolChangedException,
)
_CLOCK_TOLERANCE = 60  # seconds; a pid is not used again that soon


@dataclass(frozen=True)
class StageReport:
    """What a stage did. Rows in are rows out plus superseded plus quarantined plus opted out; `finish` checks it."""

    stage: str
    status: str = "done"  # done, skipped, rejected or failed
    reason: str | None = None
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    rows_superseded: int = 0
    images: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float | None:
        return self.images / self.seconds if self.images and self.seconds else None

    def summary(self) -> dict[str, Any]:
        """The stage in the JSON summary of a run."""
        return {
            "stage": self.stage,
            "status": self.status,
            "reason": self.reason,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_quarantined": self.rows_quarantined,
            "rows_superseded": self.rows_superseded,
            "seconds": round(self.seconds, 2),
            "images_per_second": None if self.images_per_second is None else round(self.images_per_second, 1),
            "counters": dict(self.counters),
            "warnings": list(self.warnings),
        }


def skipped(stage: str, reason: str) -> StageReport:
    """A stage that has nothing it can do; the run goes on."""
    return StageReport(stage, status="skipped", reason=reason)


@dataclass(frozen=True)
class Context:
    """What a stage works with."""

    spark: SparkSession
    config: Config
    lake: Lake
    run_id: str
    stage: str

    def progress(self, total: int, unit: str) -> Progress:
        """A progress line of this stage."""
        return Progress(self.stage, total, unit)


@dataclass
class Run:
    """A run of a job on a lake."""

    spark: SparkSession
    config: Config
    lake: Lake
    run_id: str
    job: str
    started_at: datetime
    reports: list[StageReport] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        return [f"{report.stage}: {warning}" for report in self.reports for warning in report.warnings]


_active: ContextVar[Run | None] = ContextVar("profilelake_run", default=None)

Stage = Callable[[SparkSession, Config], StageReport]


def stage(name: str, *, lock: bool = True) -> Callable[[Callable[[Context], StageReport]], Stage]:
    """Make `work(context)` a stage `run(spark, config)`.

    Within `run(...)` of a job the stage joins that run; called alone it is a run of its own, with the lake's lock
    unless `lock` is false. Every call leaves a row in `runs`, also when it fails.
    """

    def decorate(work: Callable[[Context], StageReport]) -> Stage:
        @functools.wraps(work)
        def run_stage(spark: SparkSession, config: Config) -> StageReport:
            active = _active.get()
            if active is not None:
                return _run_stage(active, name, work)
            with run(spark, config, name, lock=lock) as own:
                return _run_stage(own, name, work)

        return run_stage

    return decorate


def _run_stage(run_: Run, name: str, work: Callable[[Context], StageReport]) -> StageReport:
    lake = replace(run_.lake, read_tables=set(), pins={}, settings=None)
    context = Context(run_.spark, run_.config, lake, run_.run_id, name)
    started_at, started = datetime.now(UTC), time.monotonic()
    log.info("%s: starts", name)
    status, reason, error, report = "failed", None, None, StageReport(name)

    def row() -> dict[str, Any]:
        return {
            "run_id": run_.run_id,
            "stage": name,
            "job": run_.job,
            "status": status,
            "reason": reason,
            "error": error,
            "started_at": started_at,
            "finished_at": datetime.now(UTC),
            "seconds": time.monotonic() - started,
            "rows_in": report.rows_in,
            "rows_out": report.rows_out,
            "rows_quarantined": report.rows_quarantined,
            "rows_superseded": report.rows_superseded,
            "images_per_second": report.images_per_second,
            "counters": [{"name": key, "value": report.counters[key]} for key in sorted(report.counters)],
            "warnings": list(report.warnings),
            "inputs": _versions(lake),
            "settings": lake.settings,
            "version": __version__,
        }

    try:
        report = replace(work(context), seconds=time.monotonic() - started)
        _assert_adds_up(report)
    except BaseException as failure:
        seconds = time.monotonic() - started
        if isinstance(failure, TooManyBadRecords):
            status, reason = "rejected", str(failure)
            report = replace(report, rows_in=failure.read, rows_quarantined=failure.bad)
        else:
            error = one_line(failure)
        report = replace(report, status=status, reason=reason or error, seconds=seconds)
        run_.reports.append(report)
        _despite(failure, lambda: _append(lake, row()))
        raise
    status, reason = report.status, report.reason
    _append(lake, row())
    run_.reports.append(report)
    for warning in report.warnings:
        log.warning("%s: %s", name, warning)
    log.info("%s: %s", name, _sentence(report))
    return report


def _sentence(report: StageReport) -> str:
    if report.status == "skipped":
        return f"skipped: {report.reason}"
    parts = [f"{report.rows_in:,} in", f"{report.rows_out:,} out"]
    if report.rows_superseded:
        parts.append(f"{report.rows_superseded:,} superseded")
    if report.rows_quarantined:
        parts.append(f"{report.rows_quarantined:,} quarantined")
    parts += [f"{value:,} {name.replace('_', ' ')}" for name, value in report.counters.items() if value]
    parts.append(f"{report.seconds:.1f} s")
    if report.images_per_second:
        parts.append(f"{report.images_per_second:.1f} images/s")
    return ", ".join(parts)


def _assert_adds_up(report: StageReport) -> None:
    accounted = report.rows_out + report.rows_quarantined + report.rows_superseded + report.counters.get("opted_out", 0)
    if report.status == "done" and report.rows_in != accounted:
        raise ProfilelakeError(
            f"stage {report.stage} lost rows: {report.rows_in} in, but {report.rows_out} out, "
            f"{report.rows_quarantined} quarantined, {report.rows_superseded} superseded"
        )


def _versions(lake: Lake) -> list[dict[str, Any]]:
    found = lake.versions(lake.read_tables - lake.pins.keys()) | lake.pins
    return [{"table": table, "version": found[table]} for table in sorted(found)]


@contextmanager
def run(spark: SparkSession, config: Config, job: str, *, lock: bool = True) -> Iterator[Run]:
    """One run of a job, which holds the lake; stages called inside belong to it.

    Args:
        lock: False for a job that reads pinned versions of tables and writes only its own: it runs beside one that
            holds the lake, and its row in `runs` comes when it ends.

    Raises:
        LakeLocked: another run holds the lake.
        ConfigError, ProfilelakeError: the lake cannot be opened.
    """
    if _active.get() is not None:
        raise ProfilelakeError("a run is active already: call its stages, not another job")
    started_at = datetime.now(UTC)
    run_id = f"{started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    held: _Lock | _Beside
    if lock:
        lake = open_lake(spark, config, run_id=run_id)
        held = _Lock(lake, config, job, started_at)
        held.take()
        lake.assert_held = held.assert_held
    else:
        lake = open_beside(spark, config, run_id=run_id)
        held = _Beside(lake, job, started_at)
    own = Run(spark, config, lake, run_id, job, started_at)
    token = _active.set(own)
    try:
        yield own
    except BaseException as failure:
        error = one_line(failure)
        code = failure.exit_code if isinstance(failure, ProfilelakeError) else 1
        status = "rejected" if isinstance(failure, TooManyBadRecords) else "failed"
        _despite(failure, lambda: held.release(status, error, code, own.reports))
        raise
    else:
        held.release("done", None, 0, own.reports)
    finally:
        _active.reset(token)


def _despite(failure: BaseException, book: Callable[[], None]) -> None:
    """Enter a failure in the ledger; where that fails too, the failure itself is what a person must hear of."""
    try:
        book()
    except (PySparkException, Py4JError, OSError) as error:
        log.warning("the failure (%s) could not be entered in the table runs: %s", one_line(failure), one_line(error))


def _first_entry(lake: Lake, job: str, started_at: datetime) -> dict[str, Any]:
    """What a run's own row says from its start."""
    return {
        "run_id": lake.run_id,
        "stage": RUN,
        "job": job,
        "started_at": started_at,
        "holder": holder(),
        "version": __version__,
    }


def _last_entry(
    status: str, error: str | None, code: int, started_at: datetime, reports: Sequence[StageReport]
) -> dict[str, Any]:
    """What a run's own row says from its end."""
    finished_at = datetime.now(UTC)
    return {
        "status": status,
        "error": error,
        "exit_code": code,
        "finished_at": finished_at,
        "heartbeat_at": finished_at,
        "seconds": (finished_at - started_at).total_seconds(),
        "rows_quarantined": sum(report.rows_quarantined for report in reports),
    }


@dataclass(frozen=True)
class _Beside:
    """The row of a run that doesn't hold the lake: it is never `running`, so nobody waits for it."""

    lake: Lake
    job: str
    started_at: datetime

    def release(self, status: str, error: str | None, code: int, reports: Sequence[StageReport]) -> None:
        first = _first_entry(self.lake, self.job, self.started_at)
        _append(self.lake, first | _last_entry(status, error, code, self.started_at, reports))


class _Lock:
    """The row of a run that holds a lake."""

    def __init__(self, lake: Lake, config: Config, job: str, started_at: datetime) -> None:
        self._lake, self._config, self._job, self._started_at = lake, config, job, started_at
        self._stop, self._lost = threading.Event(), threading.Event()
        self._beaten_at = started_at
        self._thread = threading.Thread(target=self._beat, name="profilelake-heartbeat", daemon=True)
        self._row = _first_entry(lake, job, started_at) | {"status": "running", "heartbeat_at": started_at}

    def take(self) -> None:
        """Raises LakeLocked when a live run holds the lake."""
        for _ in range(_ATTEMPTS):
            self._mark_lost(self._refuse_if_held())
            # What this commit reads makes it conflict with a run that takes the lake at the same moment.
            _commit(self._take_once)
            if self._status() == "running":
                self._thread.start()
                return
            # another run was first; the next look tells whether it still holds
        raise LakeLocked("other runs keep taking the lake: start again when they are done")

    def _take_once(self) -> None:
        target = DeltaTable.forName(self._lake.spark, self._lake.name("runs"))
        taken = target.alias("t").merge(
            self._lake.frame("runs", [self._row]).alias("s"), f"t.stage = '{RUN}' AND t.status = 'running'"
        )
        taken.whenNotMatchedInsertAll().execute()

    def _status(self) -> str | None:
        """What the run's own row says; None when it has none."""
        row = self._lake.spark.table(self._lake.name("runs")).where(self._mine()).select("status").first()
        return None if row is None else str(row["status"])

    def _mine(self) -> Any:
        return (F.col("run_id") == self._lake.run_id) & (F.col("stage") == RUN)

    def assert_held(self) -> None:
        """Raises LakeLocked when another run took the lake over, as it may when this one was stopped for a while (a
        closed laptop, a frozen container). Cheap while the heartbeat beats."""
        silent = datetime.now(UTC) - self._beaten_at
        if silent > timedelta(seconds=self._config.lake.lock_stale_after / 2) and self._status() != "running":
            self._lost.set()
        if self._lost.is_set():
            raise LakeLocked(
                f"run {self._lake.run_id} gave no sign of life for {self._config.lake.lock_stale_after} s and lost the "
                "lake to another run: start it again, it goes on where it stopped"
            )

    def _refuse_if_held(self) -> list[str]:
        """Run ids of runs that hold no longer; raises LakeLocked for the first that does."""
        running = (
            self._lake.spark.table(self._lake.name("runs"))
            .where((F.col("stage") == RUN) & (F.col("status") == "running") & (F.col("run_id") != self._lake.run_id))
            .select("run_id", "job", "heartbeat_at", "holder", "started_at")
            .orderBy("run_id")
            .limit(100)
        )
        lost = []
        for row in running.collect():
            age = datetime.now(UTC) - row["heartbeat_at"].astimezone(UTC)
            stale = age > timedelta(seconds=self._config.lake.lock_stale_after) or is_gone(row["holder"])
            if not stale:
                since = row["started_at"].astimezone(UTC)
                raise LakeLocked(
                    f"run {row['run_id']} ({row['job']}, {row['holder']}) holds the lake since "
                    f"{since:%Y-%m-%d %H:%M:%S} UTC, its last sign of life is {max(0, round(age.total_seconds()))} s "
                    f"old: wait for it, or {self._config.lake.lock_stale_after} s after its death"
                )
            lost.append(row["run_id"])
        return lost

    def _mark_lost(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            log.warning("run %s died without a word; its lock is taken over", run_id)
            self._update(
                run_id,
                {"status": "lost", "error": "the process ended without a word", "finished_at": datetime.now(UTC)},
            )

    def _update(self, run_id: str, values: Mapping[str, Any]) -> None:
        table = DeltaTable.forName(self._lake.spark, self._lake.name("runs"))
        types = TABLES["runs"].schema
        changes = {key: F.lit(value).cast(types[key].dataType) for key, value in values.items()}
        # only while it runs: a run that was marked lost stays so, whatever its process still says
        its = (F.col("run_id") == run_id) & (F.col("stage") == RUN) & (F.col("status") == "running")
        _commit(lambda: table.update(condition=its, set=changes))  # type: ignore[arg-type]

    def _beat(self) -> None:
        while not self._stop.wait(self._config.lake.heartbeat):
            try:
                now = datetime.now(UTC)
                self._update(str(self._lake.run_id), {"heartbeat_at": now})
                if self._status() != "running":
                    self._lost.set()
                    return
                self._beaten_at = now
            except (PySparkException, Py4JError) as error:
                # One missed beat is no harm, the next may pass; a session that is gone ends the run anyway.
                log.warning("the heartbeat could not be written: %s", one_line(error))

    def release(self, status: str, error: str | None, code: int, reports: Sequence[StageReport]) -> None:
        self._stop.set()
        self._thread.join()
        self._update(str(self._lake.run_id), _last_entry(status, error, code, self._started_at, reports))


def holder() -> str:
    """This process: host, pid and when it started, since pids are used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}"


def is_gone(text: str) -> bool:
    """Whether a holder was a process of this machine that has ended. Other machines' processes can't be seen."""
    host, pid, started = text.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        # a start is reckoned from the machine's clock, which may have been set since
        same = abs(process.create_time() - int(started)) < _CLOCK_TOLERANCE
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _append(lake: Lake, row: Mapping[str, Any]) -> None:
    made = lake.frame("runs", [row])
    _commit(lambda: made.write.format("delta").mode("append").saveAsTable(lake.name("runs")))


def _commit(commit: Callable[[], object]) -> None:
    """Repeat a commit on `runs` that met another run's or the heartbeat's."""
    for attempt in range(_ATTEMPTS):
        try:
            commit()
            return
        except PySparkException as error:
            if not isinstance(error, _CONFLICTS) or attempt == _ATTEMPTS - 1:
                raise
            threading.Event().wait(0.2 * (attempt + 1) + secrets.randbelow(200) / 1000)
