"""What runs leave in the table `runs`, and that only one of them holds a lake."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import Row, SparkSession

from profilelake import lake as lakes
from profilelake import ledger, tables
from profilelake.config import Config
from profilelake.errors import ConfigError, LakeLocked, ProfilelakeError, TooManyBadRecords
from profilelake.lake import Lake, open_lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.tables import TABLES


@pytest.fixture(autouse=True)
def _few_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: TABLES[name] for name in ("runs", "source_files")}
    for module in (lakes, tables):
        monkeypatch.setattr(module, "TABLES", few)
    monkeypatch.setattr(lakes, "VIEWS", {})


def ledger_rows(spark: SparkSession) -> list[Row]:
    return sorted(spark.table("profilelake.runs").collect(), key=lambda row: (row.started_at, row.stage != "run"))


@stage("look")
def look(context: Context) -> StageReport:
    context.lake.read("source_files")
    return StageReport(
        "look",
        rows_in=9,
        rows_out=4,
        rows_quarantined=2,
        rows_superseded=2,
        images=10,
        counters={"opted_out": 1, "hidden_likes": 3},
        warnings=["a warning"],
    )


@stage("rest")
def rest(context: Context) -> StageReport:
    return ledger.skipped("rest", "nothing to do")


def test_a_stage_alone_is_a_run_of_its_own(spark: SparkSession, lake_config: Config) -> None:
    report = look(spark, lake_config)
    assert report.seconds > 0
    assert report.images_per_second == pytest.approx(10 / report.seconds)
    run, entry = ledger_rows(spark)
    assert (run.stage, run.job, run.status, run.exit_code, run.error) == ("run", "look", "done", 0, None)
    assert run.finished_at >= run.started_at
    assert run.seconds >= entry.seconds > 0
    assert run.rows_quarantined == 2
    assert run.holder == ledger.holder()
    assert (entry.stage, entry.run_id, entry.status, entry.exit_code) == ("look", run.run_id, "done", None)
    assert (entry.rows_in, entry.rows_out, entry.rows_quarantined, entry.rows_superseded) == (9, 4, 2, 2)
    assert [(c.name, c.value) for c in entry.counters] == [("hidden_likes", 3), ("opted_out", 1)]
    assert entry.warnings == ["a warning"]
    assert [(i.table, i.version) for i in entry.inputs] == [("source_files", 0)]
    assert entry.images_per_second == pytest.approx(report.images_per_second)


def test_stages_join_the_run_of_a_job(spark: SparkSession, lake_config: Config) -> None:
    with ledger.run(spark, lake_config, "job") as current:
        look(spark, lake_config)
        rest(spark, lake_config)
        with pytest.raises(ProfilelakeError, match="a run is active already"), ledger.run(spark, lake_config, "inner"):
            pass
    assert [report.summary()["stage"] for report in current.reports] == ["look", "rest"]
    assert current.warnings == ["look: a warning"]
    found = ledger_rows(spark)
    assert {(row.run_id, row.job) for row in found} == {(current.run_id, "job")}
    assert [(row.stage, row.status, row.reason) for row in found] == [
        ("run", "done", None),
        ("look", "done", None),
        ("rest", "skipped", "nothing to do"),
    ]


@pytest.mark.parametrize(
    ("outcome", "status", "error", "reason", "code"),
    [
        (ValueError("it broke\nat length"), "failed", "ValueError: it broke", None, 1),
        (TooManyBadRecords("half is bad", 4, 2), "rejected", "half is bad", "half is bad", 3),
        (
            StageReport("bad", rows_in=3, rows_out=1, rows_quarantined=1),
            "failed",
            "stage bad lost rows: 3 in, but 1 out, 1 quarantined, 0 superseded",
            None,
            1,
        ),
    ],
    ids=["raises", "rejects", "loses rows"],
)
def test_a_failure_is_entered_and_the_lake_let_go(
    spark: SparkSession,
    lake_config: Config,
    outcome: StageReport | Exception,
    status: str,
    error: str,
    reason: str | None,
    code: int,
) -> None:
    @stage("bad")
    def bad(context: Context) -> StageReport:
        if isinstance(outcome, StageReport):
            return outcome
        raise outcome

    with pytest.raises(type(outcome) if isinstance(outcome, Exception) else ProfilelakeError):
        bad(spark, lake_config)
    run, entry = ledger_rows(spark)
    assert (run.status, run.error, run.exit_code) == (status, error, code)
    assert (entry.status, entry.error, entry.reason) == (status, None if reason else error, reason)
    if status == "rejected":
        assert (entry.rows_in, entry.rows_out, entry.rows_quarantined) == (4, 0, 2)
    assert rest(spark, lake_config).status == "skipped"


def test_a_failure_is_told_even_when_it_cannot_be_entered(
    spark: SparkSession, lake_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    @stage("bad")
    def bad(context: Context) -> StageReport:
        monkeypatch.setattr(ledger, "_append", full)
        raise ValueError("the first thing that went wrong")

    with pytest.raises(ValueError, match="the first thing"):
        bad(spark, lake_config)
    assert "could not be entered in the table runs: OSError: [Errno 28]" in caplog.text


def in_another_thread(work: Callable[[], Any]) -> Any:
    """A thread of its own has no active run, like another process."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_a_second_run_is_refused_while_one_holds_the_lake(spark: SparkSession, lake_config: Config) -> None:
    with ledger.run(spark, lake_config, "first") as first:
        with pytest.raises(LakeLocked, match=f"run {first.run_id} .first, .* holds the lake since") as raised:
            in_another_thread(lambda: rest(spark, lake_config))
        assert raised.value.exit_code == 4
    in_another_thread(lambda: rest(spark, lake_config))
    assert [(row.job, row.status) for row in ledger_rows(spark) if row.stage == "run"] == [
        ("first", "done"),
        ("rest", "done"),
    ]


@pytest.fixture
def dead_holder() -> str:
    """A process of this machine that has ended, as it signed its lock."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    signed = f"{ledger.holder().split(':')[0]}:{process.pid}:{int(psutil.Process(process.pid).create_time())}"
    process.communicate(b"\n")
    return signed


def enter(lake: Lake, run_id: str, holder: str, silent: float) -> None:
    """A run that took the lake and was last heard of `silent` seconds ago."""
    then = datetime.now(UTC) - timedelta(seconds=silent)
    ledger._append(
        lake,
        {
            "run_id": run_id,
            "stage": "run",
            "job": "earlier",
            "status": "running",
            "started_at": then,
            "heartbeat_at": then,
            "holder": holder,
        },
    )


def test_the_lock_of_the_dead_is_taken_over_and_of_the_living_not(
    spark: SparkSession, make_lake_config: Callable[..., Config], dead_holder: str
) -> None:
    lake_config = make_lake_config("lake.lock_stale_after=1200")  # a busy machine may be slow between two lines below
    lake = open_lake(spark, lake_config, run_id="test")
    host, pid, started = ledger.holder().rsplit(":", 2)
    enter(lake, "dead", dead_holder, silent=0)
    enter(lake, "reused", f"{host}:{pid}:{int(started) - 1000}", silent=0)
    enter(lake, "stale", "elsewhere:1:1", silent=lake_config.lake.lock_stale_after + 30)
    rest(spark, lake_config)
    found = {row.run_id: row for row in ledger_rows(spark) if row.job == "earlier"}
    assert {run_id: row.status for run_id, row in found.items()} == {"dead": "lost", "reused": "lost", "stale": "lost"}
    assert all(row.finished_at and row.error for row in found.values())
    enter(lake, "elsewhere", "elsewhere:1:1", silent=60)
    with pytest.raises(LakeLocked, match=r"run elsewhere .* last sign of life is ([6-9]\d|\d{3}) s old"):
        rest(spark, lake_config)
    ledger._Lock(lake, lake_config, "", datetime.now(UTC))._update("elsewhere", {"status": "done"})
    enter(lake, "clock was set", f"{host}:{pid}:{int(started) - 2}", silent=0)
    with pytest.raises(LakeLocked, match="run clock was set"):
        rest(spark, lake_config)


def test_of_two_that_take_at_the_same_moment_one_gets_it(spark: SparkSession, lake_config: Config) -> None:
    open_lake(spark, lake_config, run_id="opens")
    for round_ in range(4):
        barrier = threading.Barrier(2)

        def take(name: str, barrier: threading.Barrier = barrier) -> ledger._Lock | LakeLocked:
            lake = Lake(spark, "profilelake", None, name)
            lock = ledger._Lock(lake, lake_config, "job", datetime.now(UTC))
            look_first = lock._refuse_if_held

            def both_have_looked() -> list[str]:
                lost = look_first()
                if not barrier.broken and barrier.n_waiting < 2:
                    try:
                        barrier.wait(timeout=60)
                    except threading.BrokenBarrierError:
                        return lost
                    barrier.abort()
                return lost

            lock._refuse_if_held = both_have_looked  # type: ignore[method-assign]
            try:
                lock.take()
            except LakeLocked as locked:
                return locked
            return lock

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(take, (f"a{round_}", f"b{round_}")))
        winners = [outcome for outcome in outcomes if isinstance(outcome, ledger._Lock)]
        assert len(winners) == 1, outcomes
        running = [row.run_id for row in ledger_rows(spark) if row.status == "running"]
        assert running == [winners[0]._lake.run_id]
        winners[0].release("done", None, 0, [])


def wait_for(what: Callable[[], bool], seconds: float = 300) -> bool:
    """Whether it came true in time."""
    clock, ends = threading.Event(), datetime.now(UTC) + timedelta(seconds=seconds)
    while not what():
        if datetime.now(UTC) > ends:
            return False
        clock.wait(0.2)
    return True


@pytest.fixture
def quick_config(make_lake_config: Callable[..., Config]) -> Config:
    return make_lake_config("lake.heartbeat=1", "lake.lock_stale_after=1200")


def test_the_heartbeat_renews_the_lock(spark: SparkSession, quick_config: Config) -> None:
    with ledger.run(spark, quick_config, "long"):
        first = ledger_rows(spark)[0].heartbeat_at
        assert wait_for(lambda: bool(ledger_rows(spark)[0].heartbeat_at > first))
    assert not any(thread.name == "profilelake-heartbeat" for thread in threading.enumerate())
    assert ledger_rows(spark)[0].status == "done"


def test_a_run_that_lost_the_lake_writes_no_more(spark: SparkSession, quick_config: Config) -> None:
    nothing = "path string, size bigint, modified_at timestamp, status string, records bigint"

    def work() -> None:
        with ledger.run(spark, quick_config, "slept") as own:
            own.lake.write("source_files", spark.createDataFrame([], nothing))
            # as another run does it, which repeats what meets a heartbeat
            ledger._Lock(own.lake, quick_config, "", datetime.now(UTC))._update(own.run_id, {"status": "lost"})
            assert wait_for(lambda: "profilelake-heartbeat" not in {thread.name for thread in threading.enumerate()})
            own.lake.write("source_files", spark.createDataFrame([], nothing))

    with pytest.raises(LakeLocked, match="lost the lake to another run"):
        work()
    assert [row.status for row in ledger_rows(spark)] == ["lost"]


def test_a_run_without_lock_goes_beside_one_that_holds_the_lake(
    spark: SparkSession, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    @stage("train", lock=False)
    def train(context: Context) -> StageReport:
        context.lake.pin(["source_files"])
        pinned = context.lake.read("source_files")
        rows = context.lake.frame(
            "source_files", [{"path": "a", "size": 1, "modified_at": datetime.now(UTC), "status": "read"}]
        )
        context.lake.write("source_files", rows)
        seen.append((pinned.count(), context.lake.spark.table("profilelake.source_files").count()))
        return StageReport("train")

    with ledger.run(spark, lake_config, "build") as building:
        alone = ledger._active.set(None)  # as in another process
        try:
            with pytest.raises(LakeLocked):
                look(spark, lake_config)
            train(spark, lake_config)
        finally:
            ledger._active.reset(alone)
        look(spark, lake_config)
    # it read what was there when it began
    assert seen == [(0, 1)]
    found = ledger_rows(spark)
    (own,) = [row for row in found if row.stage == "run" and row.job == "train"]
    assert (own.status, own.exit_code, own.holder) == ("done", 0, ledger.holder())
    assert own.finished_at >= own.started_at
    (entry,) = [row for row in found if row.stage == "train"]
    assert entry.run_id == own.run_id != building.run_id
    assert [(i.table, i.version) for i in entry.inputs] == [("source_files", 0)]

    @stage("fails", lock=False)
    def fails(context: Context) -> StageReport:
        raise ProfilelakeError("no")

    with pytest.raises(ProfilelakeError, match="no"):
        fails(spark, lake_config)
    (own,) = [row for row in ledger_rows(spark) if row.stage == "run" and row.job == "fails"]
    assert (own.status, own.exit_code, own.error) == ("failed", 1, "no")


def test_a_run_without_lock_makes_and_upgrades_no_lake(
    spark: SparkSession, make_config: Callable[..., Config], lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    with (
        pytest.raises(ConfigError, match=r"there is no lake at .*: run jobs/build_profiles\.py first"),
        ledger.run(spark, config, "train", lock=False),
    ):
        pass
    assert not Path(str(config.lake.path)).exists()
    monkeypatch.setattr(tables, "FORMAT", (tables.FORMAT[0], tables.FORMAT[1] + 1))
    with (
        pytest.raises(ConfigError, match=r"has format 1\.\d+, not 1\.\d+: run jobs/build_profiles\.py, which upgrades"),
        ledger.run(spark, lake_config, "train", lock=False),
    ):
        pass
