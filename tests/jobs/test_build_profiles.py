"""The main job; that the same again does nothing is tested after README's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from profilelake import cli
from tests.jobs.conftest import call, submit

# a whole build on a machine that does something else besides
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


def test_profiles_can_be_asked_in_sql(built: tuple[int, dict[str, Any], str], places: tuple[str, ...]) -> None:
    query = "select count(*) as n, count(behaviour_top_category) as known from user_profiles"
    status, out, err = call("query_lake", "--csv", query, places[1])
    assert status == 0, err
    profiles = next(stage for stage in built[1]["stages"] if stage["stage"] == "profiles")
    n, known = out.strip().splitlines()[1].split(",")
    assert int(n) == profiles["rows_out"]
    assert 0 < int(known) <= int(n)


def test_a_mistake_is_one_sentence_before_spark_starts(places: tuple[str, ...], tmp_path: Path) -> None:
    code, summary, log = submit(
        "build_profiles", *places, f"lake.path={tmp_path / 'lake'}", "crawl.path=no/such/folder"
    )
    assert code == 2
    assert "no/such/folder" in summary["error"]
    assert "Traceback" not in log
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("images.weights_sha256.efficientnet_lite0=" + "0" * 64, "efficientnet_lite0"),
        ("clusters.kk=3", "did you mean clusters.k"),
    ],
)
def test_no_mistake_reaches_the_lake(
    places: tuple[str, ...], argument: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "session", None)
    status, out, err = call("build_profiles", "--config", "conf/demo.yaml", *places, argument)
    assert status == 2
    assert message in json.loads(out.splitlines()[-1])["error"]
    assert "Traceback" not in err
