"""Bytes of a crawl are read through Spark, never by `open`: what makes a crawl in an object store work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo import make_crawl
from tests.jobs.conftest import ROOT

# Every Python that starts runs this first: the job's driver, Spark's workers, their children.
FORBID = """
import json, os, sys

with open(os.path.join(os.environ["STARTED"], str(os.getpid())), "w") as file:
    json.dump(sys.orig_argv, file)


def forbid(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        if os.path.realpath(os.fsdecode(arguments[0])).startswith(os.environ["CRAWL"] + os.sep):
            raise PermissionError(f"opened {arguments[0]!r}")


sys.addaudithook(forbid)
"""


@pytest.mark.slow
def test_no_python_opens_a_file_of_a_crawl_under_a_uri(tmp_path: Path) -> None:
    crawl = tmp_path.resolve() / "crawl"
    make_crawl.main(["--small", "--out", str(crawl)])
    started = tmp_path / "started"
    for folder in (started, tmp_path / "site"):
        folder.mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FORBID, encoding="utf-8")
    python_path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    forbidden = {**os.environ, "PYTHONPATH": python_path, "STARTED": str(started), "CRAWL": str(crawl)}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=forbidden, capture_output=True, text=True, timeout=600
        )

    some = next(crawl.rglob("*.jsonl"))
    assert "PermissionError: opened" in python("-c", f"open({str(some)!r})").stderr

    places = (f"crawl.path={crawl.as_uri()}", f"lake.path={(tmp_path / 'lake').as_uri()}", "quarantine.max_share=0.5")
    done = python("jobs/ingest_crawl.py", *places, f"report.path={tmp_path / 'report'}")
    assert done.returncode == 0, done.stderr[-3000:]
    read = json.loads(done.stdout.strip().splitlines()[-1])["stages"][0]
    assert read["rows_out"] > 100
    assert read["counters"]["images_new"] > 10
    assert any("worker_daemon" in path.read_text(encoding="utf-8") for path in started.iterdir())
