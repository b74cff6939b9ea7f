"""A small demo lake, built once, and jobs called as a user calls them.

Starting Spark costs more than most jobs have to do here. So a command runs in the tests' own session, by the `main`
that spark-submit calls; as processes of their own run `make demo`, which `.ci/run` does, and the commands that `submit`
and tests/jobs/test_readme.py start.
"""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from demo import make_crawl

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = Path(sys.executable).with_name("spark-submit")


def call(job: str, *arguments: str) -> tuple[int, str, str]:
    """A job in the session that runs: exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = importlib.import_module(f"jobs.{job}").main(arguments)
    return status, out.getvalue(), err.getvalue()


def submit(job: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON object of the last line, and all that was said (spark-submit joins both streams)."""
    done = subprocess.run(
        [str(SUBMIT), "--driver-memory", "2g", f"jobs/{job}.py", "--config", "conf/demo.yaml", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr[-3000:]
    return done.returncode, json.loads(lines[-1]), done.stdout + done.stderr


def lake_of(places: tuple[str, ...]) -> Path:
    """The folder of the small lake."""
    return Path(places[1].removeprefix("lake.path="))


@pytest.fixture(autouse=True)
def _clean_session() -> None:
    """The lakes of jobs outlive a test: their tables stay registered, until another lake is opened."""


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    base = tmp_path_factory.mktemp("job")
    make_crawl.main(["--small", "--out", str(base / "crawl")])
    return (
        f"crawl.path={base / 'crawl'}",
        f"lake.path={base / 'lake'}",
        f"report.path={base / 'report'}",
        "clusters.k_min=4",
        "clusters.k_max=16",
        "clusters.k_step=4",
        "quarantine.max_share=0.5",
    )


@pytest.fixture(scope="session")
def built(spark: SparkSession, places: tuple[str, ...]) -> tuple[int, dict[str, Any], str]:
    """Exit status, summary and progress lines of the build."""
    status, out, err = call("build_profiles", "--config", "conf/demo.yaml", *places)
    return status, json.loads(out.splitlines()[-1]), err
