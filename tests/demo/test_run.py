"""All of the demo in one session; that it does what it shows, `make demo` itself tells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from demo import run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[str]]]:
    """What jobs were called with; the second one fails where a setting says so."""
    made: list[tuple[str, Sequence[str]]] = []

    def job(name: str) -> Any:
        def main(argv: Sequence[str]) -> int:
            made.append((name, argv))
            return 3 if name == "train" and "selfie.folds=3" in argv else 0

        return SimpleNamespace(main=main)

    build, train = job("build"), job("train")
    monkeypatch.setattr(run, "build_profiles", build)
    monkeypatch.setattr(run, "JOBS", (build, train, build))
    monkeypatch.setattr(run, "session", lambda *_: nullcontext())
    return made


def test_it_builds_trains_and_builds_again(calls: list[tuple[str, Sequence[str]]]) -> None:
    given = ["--config", "conf/demo.yaml", "crawl.path=demo"]
    assert run.main(given) == 0
    assert calls == [("build", given), ("train", given), ("build", given)]


def test_a_job_that_fails_is_the_last(calls: list[tuple[str, Sequence[str]]]) -> None:
    assert run.main(["--config", "conf/demo.yaml", "crawl.path=demo", "selfie.folds=3"]) == 3
    assert [name for name, _ in calls] == ["build", "train"]


@pytest.mark.parametrize("given", [["--dry-run"], ["--help"], ["--no-such"], ["clusters.kk=3"], ["crawl.path=no/such"]])
def test_what_only_looks_and_mistakes_are_the_first_jobs_to_tell(
    given: list[str], calls: list[tuple[str, Sequence[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "session", None)
    run.main(given)
    assert calls == [("build", given)]
