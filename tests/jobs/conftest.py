"""A small demo lake, built once as a user builds it: in a process of its own, through spark-submit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo import make_crawl

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = Path(sys.executable).with_name("spark-submit")


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
def built(places: tuple[str, ...]) -> tuple[int, dict[str, Any], str]:
    return submit("build_profiles", *places)
