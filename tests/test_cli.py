"""What a job says and how it ends: exit statuses, the JSON object of the last line, help and dry runs."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from profilelake import cli, ledger, pipeline, tables
from profilelake import lake as lakes
from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError, TooManyBadRecords
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.tables import TABLES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def work() -> list[Callable[[Context], StageReport]]:
    """What the stages `one` and `two` do; a test puts it in."""
    return [lambda _: StageReport("one", rows_in=2, rows_out=2), lambda _: StageReport("two", warnings=["odd"])]


@pytest.fixture
def call(
    work: list[Callable[[Context], StageReport]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Run the job of the stages `one` and `two`: its status, JSON and standard error."""
    few = {name: TABLES[name] for name in ("runs", "users")}
    for module in (lakes, tables):
        monkeypatch.setattr(module, "TABLES", few)
    monkeypatch.setattr(lakes, "VIEWS", {})

    def pending(lake: Lake, config: Config) -> dict[str, int]:
        return {"new_users": lake.read("users").count() if lake.exists("users") else 0}

    made = {
        name: SimpleNamespace(run=stage(name)(lambda context, n=n: work[n](context)), pending=pending)
        for n, name in enumerate(("one", "two"))
    }
    monkeypatch.setattr(pipeline, "STAGES", made)
    places = (f"lake.path={tmp_path / 'lake'}", f"report.path={tmp_path / 'report'}")

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        status = cli.run_stages("toy", None, "A toy.", [*places, *arguments])
        out, err = capsys.readouterr()
        return status, json.loads(out.rstrip("\n").rsplit("\n", 1)[-1]), err

    return run


Call = Callable[..., tuple[int, dict[str, Any], str]]


def test_done_is_0_and_the_summary_is_kept(spark: SparkSession, call: Call, tmp_path: Path) -> None:
    status, summary, err = call()
    assert (status, summary["status"], summary["exit_code"], summary["error"]) == (0, "done", 0, None)
    assert [(s["stage"], s["rows_in"], s["rows_out"]) for s in summary["stages"]] == [("one", 2, 2), ("two", 0, 0)]
    assert summary["warnings"] == ["two: odd"]
    assert summary["lake"] == str(tmp_path / "lake")
    assert json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8")) == summary
    assert {row.run_id for row in spark.table("profilelake.runs").collect()} == {summary["run_id"]}
    assert "one: 2 in, 2 out" in err
    assert f"path: {tmp_path / 'lake'}" in err  # the resolved configuration


@pytest.mark.parametrize(
    ("failure", "code", "told", "traced"),
    [
        (RuntimeError("it broke"), 1, "RuntimeError: it broke", True),
        (ProfilelakeError("the table is gone: make it again"), 1, "the table is gone: make it again", False),
        (ConfigError("weights fail their checksum"), 2, "weights fail their checksum", False),
        (TooManyBadRecords("7 of 9 posts are bad"), 3, "7 of 9 posts are bad", False),
    ],
)
def test_a_failing_stage_ends_the_job_with_its_status(
    spark: SparkSession,
    call: Call,
    work: list[Callable[[Context], StageReport]],
    failure: Exception,
    code: int,
    told: str,
    traced: bool,
) -> None:
    def fail(_: Context) -> StageReport:
        raise failure

    work[0] = fail
    status, summary, err = call()
    assert (status, summary["exit_code"], summary["status"], summary["error"]) == (code, code, "failed", told)
    (entry,) = summary["stages"]
    assert (entry["stage"], entry["status"], entry["reason"]) == ("one", "rejected" if code == 3 else "failed", told)
    assert f"error: {told}" in err
    assert ("Traceback" in err) is traced
    entries = {row.stage: row for row in spark.table("profilelake.runs").collect()}
    assert set(entries) == {"run", "one"}
    assert entries["run"].exit_code == code
    assert entries["run"].run_id == summary["run_id"]


def test_ctrl_c_is_one_word(spark: SparkSession, call: Call, work: list[Callable[[Context], StageReport]]) -> None:
    def interrupted(_: Context) -> StageReport:
        raise KeyboardInterrupt

    work[0] = interrupted
    status, summary, err = call()
    assert (status, summary["exit_code"]) == (1, 1)
    assert summary["error"].startswith("interrupted: ")
    assert "Traceback" not in err
    assert {row.error for row in spark.table("profilelake.runs").collect()} == {"interrupted"}


def test_damaged_tables_are_one_sentence(
    spark: SparkSession, call: Call, work: list[Callable[[Context], StageReport]], tmp_path: Path
) -> None:
    def read(context: Context) -> StageReport:
        context.lake.read("users").count()
        return StageReport("one")

    assert call()[0] == 0
    for log in (tmp_path / "lake" / "users" / "_delta_log").iterdir():
        if log.name.endswith(".crc"):
            log.unlink()
        elif log.is_file():
            log.write_text("{{{{", encoding="utf-8")
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    work[0] = read
    status, summary, err = call()
    assert status == 1
    assert re.match(r"the lake('s files| at \S+) cannot be (read or written|opened): ", summary["error"])
    assert "Traceback" not in err
    assert "com.fasterxml" not in summary["error"]


def test_a_full_disk_is_one_sentence(
    spark: SparkSession, call: Call, work: list[Callable[[Context], StageReport]]
) -> None:
    def full(_: Context) -> StageReport:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise ValueError("the vectors cannot be written") from error

    work[1] = full
    status, summary, err = call()
    assert status == 1
    assert summary["error"].startswith("the disk is full: ")
    assert "Traceback" not in err
    assert [(s["stage"], s["status"]) for s in summary["stages"]] == [("one", "done"), ("two", "failed")]


def test_a_lake_of_another_format_is_2_and_one_that_is_held_4(spark: SparkSession, call: Call) -> None:
    assert call()[0] == 0
    spark.sql("UPDATE profilelake.runs SET status = 'running', heartbeat_at = current_timestamp() WHERE stage = 'run'")
    status, summary, _ = call()
    assert (status, summary["run_id"]) == (4, None)
    assert "holds the lake since" in summary["error"]
    spark.sql("ALTER TABLE profilelake.runs SET TBLPROPERTIES ('profilelake.format' = '99.0')")
    status, summary, _ = call()
    assert (status, summary["exit_code"]) == (2, 2)
    assert "install a newer one" in summary["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lake.paht=x",), "did you mean lake.path?"),
        (("--config", "absent.yaml"), "the configuration file absent.yaml cannot be read"),
        (("--conf", "spark.x=1"), "unrecognized arguments: --conf"),
        (("--config",), "expected one argument"),
        (("clusters.k=9", "--force", "clusters.seed=1"), "unrecognized arguments: --force"),
        (("word",), "settings are written key=value"),
    ],
)
def test_a_wrong_argument_is_2_before_spark_starts(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    status, summary, err = call(*arguments)
    assert (status, summary["exit_code"], summary["run_id"], summary["stages"]) == (2, 2, None, [])
    assert told in summary["error"]
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "lake").exists()


def test_settings_may_stand_before_between_and_behind_options(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("clusters: {k: 7}\n")
    found = cli._parser("toy", "").parse_args(
        ["lake.path=a", "--config", str(file), "clusters.seed=1", "--dry-run", "lake.path=b"]
    )
    assert found.settings == ["lake.path=a", "clusters.seed=1", "lake.path=b"]
    assert found.dry_run
    assert found.config == [str(file)]


def test_what_can_be_checked_is_checked_first(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def check(config: Config) -> None:
        raise ConfigError(f"there is no crawl at {config.crawl.path}")

    pipeline.STAGES["two"].check = check  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "session", lambda *_: pytest.fail("Spark was started"))
    status, summary, _ = call("crawl.path=nowhere")
    assert (status, summary["error"]) == (2, "there is no crawl at nowhere")


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_tells_and_writes_nothing(
    spark: SparkSession, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cli, "session", lambda *_: pytest.fail("a lake that is not there needs no Spark"))
        status, summary, _ = call("--dry-run")
    assert (status, summary["status"], summary["stages"]) == (0, "dry run", ["one", "two"])
    assert files_below(tmp_path) == {}
    assert call()[0] == 0
    spark.sql("INSERT INTO profilelake.users VALUES ('a:1', 'a', NULL, NULL, NULL, 1, NULL, 'test')")
    before = files_below(tmp_path)
    status, summary, _ = call("--dry-run")
    assert (status, summary["pending"]) == (0, {"one": {"new_users": 1}, "two": {"new_users": 1}})
    assert files_below(tmp_path) == before


def test_help_tells_every_key_and_every_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_stages("toy", None, "A toy.", ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: spark-submit jobs/toy.py")
    assert cli.keys_help() in text
    assert cli.EXIT_STATUSES in text


def test_a_success_returns_and_only_a_failure_exits() -> None:
    cli.leave(0)
    with pytest.raises(SystemExit) as ended:
        cli.leave(3)
    assert ended.value.code == 3


def test_the_last_line_can_be_written_to_any_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "tell", lambda _: None)  # a real standard error escapes what it cannot show

    def fail() -> dict[str, Any]:
        raise ProfilelakeError("no picture b\udcff.jpg, ☃")

    assert cli.guarded("toy", fail) == 1
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line)["error"] == "no picture b\udcff.jpg, ☃"


@pytest.mark.parametrize("name", ["udfs", "jobs"])
def test_a_foreign_package_that_shadows_ours_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "build_profiles.py"), "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])["error"]
    assert told.startswith(
        f"the package '{name}' that Python finds is not profilelake's but the one in {tmp_path / name}"
    )
    assert "Traceback" not in done.stderr


def test_the_run_that_is_summed_up_is_the_one_that_ran(lake_config: Config) -> None:
    report = StageReport("report", seconds=2.0, images=5)
    lake = Lake(SimpleNamespace(), "schema", None, "r1")  # type: ignore[arg-type]
    current = ledger.Run(lake.spark, lake_config, lake, "r1", "toy", None, [report])  # type: ignore[arg-type]
    summary = cli.summary(lake_config, current, None)
    assert summary["report"] == f"{lake_config.report.path}/index.html"
    assert summary["lake"] == "schema"
    assert summary["stages"][0]["images_per_second"] == 2.5
