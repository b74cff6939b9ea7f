"""The one session: made once, taken over as it is found, stopped by who started it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from profilelake import session as sessions
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.session import get_session, require_importable, session


@pytest.fixture
def foreign(spark: SparkSession) -> Iterator[SparkSession]:
    """The tests' session as somebody else may have left it."""
    names = ("spark.sql.ansi.enabled", "spark.sql.session.timeZone", "spark.sql.shuffle.partitions")
    before = {name: spark.conf.get(name) for name in names}
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    yield spark
    for name, value in before.items():
        spark.conf.set(name, str(value))


def test_a_running_session_is_taken_over_and_set_up(foreign: SparkSession, make_config: Callable[..., Config]) -> None:
    found = get_session(make_config("spark.local_shuffle_partitions=3"))
    assert found.sparkContext is foreign.sparkContext
    assert foreign.conf.get("spark.sql.ansi.enabled") == "true"
    assert foreign.conf.get("spark.sql.shuffle.partitions") == "3"
    assert str(foreign.sql("SELECT current_timezone()").first()[0]) == "UTC"  # type: ignore[index]


def test_what_cannot_be_changed_is_warned_of(
    spark: SparkSession, lake_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    get_session(lake_config)
    assert caplog.text == ""
    monkeypatch.setattr(sessions, "STATIC", {**sessions.STATIC, "spark.sql.extensions": "org.example.Other"})
    monkeypatch.setattr(sessions, "RUNTIME", {**sessions.RUNTIME, "spark.sql.warehouse.dir": "file:/elsewhere"})
    get_session(lake_config)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension, not org.example.Other" in told[0]
    assert told[1].startswith("this session keeps spark.sql.warehouse.dir=file:")
    assert "elsewhere" not in told[1]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same thread", "other thread"])
def test_a_session_that_was_found_is_left_running(spark: SparkSession, lake_config: Config, elsewhere: bool) -> None:
    found: list[SparkSession] = []

    def work() -> None:
        with session(lake_config) as used:
            found.append(used)

    if elsewhere:  # where no session is active
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    assert found[0].sparkContext is spark.sparkContext
    assert spark.range(3).count() == 3


def test_rdds_and_frames_share_a_daemon_of_python_workers(spark: SparkSession) -> None:
    def parent(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"pid": [os.getppid()]})

    of_frames = spark.range(1).mapInArrow(parent, "pid bigint").collect()
    of_rdds = spark.sparkContext.parallelize([0], 1).map(lambda _: os.getppid()).collect()
    assert {row["pid"] for row in of_frames} == {*of_rdds}


def test_our_own_packages_are_recognised() -> None:
    require_importable()


@pytest.mark.parametrize("name", ["udfs", "jobs"])
def test_another_package_of_our_name_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType(name)
    other.__path__ = ["/somebody/elses"]
    monkeypatch.setitem(__import__("sys").modules, name, other)
    with pytest.raises(
        ConfigError, match=f"the package '{name}' .* the one in /somebody/elses: take it off PYTHONPATH"
    ):
        require_importable()


def test_a_session_without_delta_is_told_how_to_get_it() -> None:
    def missing(*_: object) -> None:
        raise ValueError("ClassNotFoundException")

    thread = SimpleNamespace(currentThread=lambda: SimpleNamespace(getContextClassLoader=lambda: None))
    jvm = SimpleNamespace(
        java=SimpleNamespace(lang=SimpleNamespace(Class=SimpleNamespace(forName=missing))), Thread=thread
    )
    with pytest.raises(sessions.ProfilelakeError, match="Delta Lake's jars are not on this session's class path"):
        sessions._require_delta(SimpleNamespace(_jvm=jvm))  # type: ignore[arg-type]
