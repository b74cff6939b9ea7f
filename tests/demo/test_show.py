"""What a build says last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo import show

SUMMARY = {
    "run_id": "r",
    "status": "done",
    "stages": [
        {
            "stage": "images",
            "status": "done",
            "seconds": 1.25,
            "rows_in": 1200,
            "rows_out": 1199,
            "rows_superseded": 0,
            "rows_quarantined": 1,
            "counters": {"images_new": 7, "nothing": 0},
        },
        {"stage": "clusters", "status": "skipped", "seconds": 0.0, "reason": "there are no pictures"},
    ],
    "warnings": ["clusters: few"],
    "report": "report/index.html",
    "lake": "lake",
}


@pytest.mark.parametrize(("lake", "told"), [("data/demo/lake", False), ("data/own/lake", True)])
def test_the_last_lines_lead_to_the_lake_that_was_built(
    lake: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    assert show.main(["--config", "conf/demo.yaml", f"report.path={tmp_path}", f"lake.path={lake}"]) == 0
    text = capsys.readouterr().out
    assert "images         1.2 s   1,200 in, 1,199 out, 1 quarantined, 7 images new" in text
    assert "skipped: there are no pictures" in text
    assert "warning: clusters: few" in text
    assert text.rstrip().endswith('limit 10" ARGS=lake.path=data/own/lake' if told else 'limit 10"')


def test_without_a_build_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main([f"report.path={tmp_path}"]) == 1
    assert "has jobs/build_profiles.py run?" in capsys.readouterr().err
