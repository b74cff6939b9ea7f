"""The main job as a user submits it; that the same again does nothing is tested with README's commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import ROOT, submit

# a whole build, or several, on a machine that does something else besides
pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(1200)]


def test_a_build_ends_well_and_says_what_it_did(
    built: tuple[int, dict[str, Any], str], places: tuple[str, ...]
) -> None:
    status, summary, log = built
    assert status == 0, log[-3000:]
    assert [stage["stage"] for stage in summary["stages"]] == [
        "ingest", "images", "clusters", "behaviour", "interests", "score", "profiles", "report",
    ]  # fmt: skip
    # no model is live yet
    assert {stage["stage"] for stage in summary["stages"] if stage["status"] != "done"} == {"score"}
    report = Path(summary["report"])
    assert "<html" in report.read_text(encoding="utf-8")
    assert json.loads((report.parent / "summary.json").read_text(encoding="utf-8")) == summary
    assert " WARN " not in log


def test_profiles_can_be_asked_in_sql(built: tuple[int, dict[str, Any], str], places: tuple[str, ...]) -> None:
    query = "select count(*) as n, count(behaviour_top_category) as known from user_profiles"
    done = subprocess.run(
        [sys.executable, "jobs/query_lake.py", "--csv", query, places[1]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    profiles = next(stage for stage in built[1]["stages"] if stage["stage"] == "profiles")
    n, known = done.stdout.strip().splitlines()[1].split(",")
    assert int(n) == profiles["rows_out"]
    assert 0 < int(known) <= int(n)


@pytest.mark.parametrize(
    ("argument", "status", "message"),
    [
        ("crawl.path=no/such/folder", 2, "no/such/folder"),
        ("images.weights_sha256.efficientnet_lite0=" + "0" * 64, 2, "efficientnet_lite0"),
        ("clusters.kk=3", 2, "did you mean clusters.k"),
    ],
)
def test_a_mistake_is_one_sentence_before_spark_starts(
    places: tuple[str, ...], argument: str, status: int, message: str, tmp_path: Path
) -> None:
    code, summary, log = submit("build_profiles", *places, f"lake.path={tmp_path / 'lake'}", argument)
    assert code == status
    assert message in summary["error"]
    assert "Traceback" not in log
    assert not (tmp_path / "lake").exists()
