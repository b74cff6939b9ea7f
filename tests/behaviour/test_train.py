"""The training of paper 1 on a small lake of planted users: what it leaves behind, and that it can be done again."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from profilelake import ledger
from profilelake.behaviour import captions, contest, prints, relations, score, tasks, train
from profilelake.config import Config
from profilelake.errors import LakeLocked
from profilelake.lake import Lake
from profilelake.training import champions, crossval, splits, tracking
from profilelake.training.results import EvaluationRow, FigureRow
from profilelake.training.tracking import Place, Tracker, TrackingError
from tests.behaviour import live, planted
from tests.conftest import versions

pytestmark = pytest.mark.slow

MADE = planted.frames(planted.plant(200, 40, strength=0.95, seed=3).pictures)
SMALL = (
    "selfie.min_occurrences=0",
    "selfie.folds=3",
    "selfie.shuffles=0",
    "selfie.captions=false",
    "mlflow.min_held_out=10",
)
WEAK = "selfie.svm_gamma=1000000.0"  # to such an SVM nobody is like anybody


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live.make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def place_of_models(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = live.store(template, tmp_path / "mlflow")
    monkeypatch.setattr(tracking, "place", lambda config: made)
    return made


@pytest.fixture
def tracker(place_of_models: Place) -> Tracker:
    return tracking.connect(place_of_models, "profilelake")


@pytest.fixture
def users(lake: Lake) -> Lake:
    live.lay_users(lake, MADE)
    return lake


@pytest.fixture
def config(make_lake_config: Callable[..., Config]) -> Callable[..., Config]:
    return lambda *arguments: make_lake_config(*SMALL, *arguments)


@pytest.fixture(autouse=True)
def _few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """R1 and R2 alone."""
    every = tasks.tasks
    monkeypatch.setattr(tasks, "tasks", lambda names: tuple(task for task in every(names) if task.name in ("R1", "R2")))
    monkeypatch.setattr(train, "tasks", tasks.tasks)


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users' sides and the folds are computed here, and of the figures there is a stub: these have tests of their own,
    and take Spark's time."""
    monkeypatch.setattr(train, "ask", lambda *_: contextlib.nullcontext(live.asked(MADE)))
    monkeypatch.setattr(crossval, "evaluate", live.evaluate)
    monkeypatch.setattr(relations, "numbers", lambda study: [FigureRow("figure 4", "positive", 0.0, 0.5, label="Pet")])
    row = EvaluationRow("5.2.3", "R7", "measure", "all", "rho", 0.25, n=9)
    monkeypatch.setattr(relations, "rankings", lambda study, limit, seed: [row])
    monkeypatch.setattr(relations, "pictures", lambda *frames: [])
    monkeypatch.setattr(prints, "contact_sheets", lambda lake, max_pixels: {})

    def write_all(folder: Path, *_: Any) -> list[Path]:
        (folder / "figure_4.svg").write_text("<svg/>")
        return [folder / "figure_4.svg"]

    monkeypatch.setattr(prints, "write_all", write_all)


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("power cut")


def rows(lake: Lake, table: str) -> list[Row]:
    return lake.spark.table(lake.name(table)).collect()


def accuracies(lake: Lake) -> dict[tuple[str, str], Row]:
    return {(row["task"], row["variant"]): row for row in rows(lake, "evaluations") if row["metric"] == "accuracy"}


@pytest.mark.usefixtures("_no_figures")
def test_a_training_fills_its_tables_once(
    users: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config()
    before = users.versions(train.INPUTS)
    assert train.pending(users, given) == {"figures": 8}
    # a champion that learnt nothing, of users who are in no quarter of this lake
    rng = np.random.default_rng(0)
    columns = tasks.columns("F", planted.CATEGORIES)
    old = live.put_live(users, tracker, "R1", "F", columns, rng.random((60, 46)), rng.permutation(60) % 2, ["nobody"])
    monkeypatch.setattr(
        captions,
        "measure",
        lambda *_: [captions.Baseline("LSTM", user_accuracy=0.6, n=9), captions.Baseline("doc2vec")],
    )
    with_captions = config("selfie.captions=true")
    with ledger.run(spark, given, "a build"):  # it runs beside one
        holds = ledger._active.set(None)  # which is another process, so this one has no run yet
        try:
            with pytest.raises(LakeLocked):
                score.run(spark, given)
            report = train.run(spark, with_captions)
        finally:
            ledger._active.reset(holds)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 8, 8)
    assert report.counters["figures_made"] == 8

    found = accuracies(users)
    for name, question in live.asked(MADE).questions.items():
        for features in question.task.feature_sets:
            row, cell = found[name, features], question.cell(features)
            (expected,) = live.evaluate(None, [cell], tasks.plan_of(given.selfie))
            assert (row["n"], row["baseline"]) == (len(cell.y), 0.5)
            assert (row["value"], row["low"], row["high"]) == (expected.accuracy, expected.low, expected.high)
    assert found["R1", "F"]["published"] == 0.8936
    assert found["R1", "LSTM"]["value"] == 0.6
    assert found["R1", "doc2vec"]["note"].startswith("the paper: below 0.55")
    assert set(found) == {("R1", "F"), ("R1", "LSTM"), ("R1", "doc2vec")} | {
        ("R2", name) for name in ("F", "I", "S", "F+I", "F+S", "S+I", "F+S+I")
    }

    # tracked: a run, in it one a figure
    (ledger_row,) = [row for row in rows(users, "runs") if row["stage"] == train.NAME]
    pins = {entry["table"]: entry["version"] for entry in ledger_row["inputs"]}
    assert pins == before
    by_id = {row["mlflow_run_id"] for row in rows(users, "evaluations")}
    (parent,) = [one for one in tracker._search("", 100) if train.NAME in one.tags["mlflow.runName"]]
    parts = tracker.parts(parent.run_id)
    assert by_id == {parent.run_id, *(part.run_id for part in parts.values())}
    assert parent.tags["table.user_categories"] == f"user_categories@{pins['user_categories']}"
    assert parent.tags[tracking.LAKE_RUN] == ledger_row["run_id"]
    part = parts["R2 F+I"]
    assert part.run_id == found["R2", "F+I"]["mlflow_run_id"]
    assert part.tags["table.user_categories"] == parent.tags["table.user_categories"]
    run = tracker._client.get_run(part.run_id)
    assert run.data.params["features"] == "F+I"
    assert run.data.metrics["accuracy"] == found["R2", "F+I"]["value"]
    assert len(tracker._client.get_metric_history(part.run_id, "fold_accuracy")) == 3
    assert {file.path for file in tracker._client.list_artifacts(parts["R1 F"].run_id)} == {"model", "plots"}
    assert {file.path for file in tracker._client.list_artifacts(parent.run_id)} == {"figures", "measured.json"}
    assert Path(given.report.path, "selfie", "figure_4.svg").exists()

    # who took part: of each model its labelled users, those held out by their ids alone
    for model, name in (("selfie_R1", "R1 F"), ("selfie_R2", "R2 F+I")):
        took = [row for row in rows(users, "training_splits") if row["mlflow_run_id"] == parts[name].run_id]
        assert {row["model"] for row in took} == {model}
        held = {row["user_id"]: row["part"] == "held_out" for row in took}
        out = splits.held_out(sorted(held), given.mlflow.held_out)
        assert [held[user] for user in sorted(held)] == (out if out.sum() >= 10 else 0 * out).tolist()
        assert {row["fold"] for row in took} == {0, 1, 2}

    # R1: the old champion is beaten on users that neither knows; R2: the first one
    by_model = {(row["model"], row["version"]): row for row in rows(users, "champions")}
    assert set(by_model) == {("selfie_R1", old.version), ("selfie_R1", "2"), ("selfie_R2", "1")}
    first, second = by_model["selfie_R1", old.version], by_model["selfie_R1", "2"]
    assert first["until"] == second["since"]
    assert second["until"] is None
    assert "that neither was trained on" in second["reason"]
    assert "no champion yet" in by_model["selfie_R2", "1"]["reason"]
    assert (tracker.champion("selfie_R1"), tracker.champion("selfie_R2")) == ("2", "1")
    assert by_model["selfie_R2", "1"]["mlflow_run_id"] == part.run_id

    # the same again: nothing is computed, MLflow is not asked, nothing is written
    counted = versions(users)
    with monkeypatch.context() as patch:
        patch.setattr(crossval, "evaluate", broken)
        patch.setattr(tracking, "connect", broken)
        assert train.pending(users, with_captions) == {"figures": 0}
        again = train.run(spark, with_captions)
    assert (again.rows_in, again.rows_out) == (8, 8)
    assert versions(users) == counted


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The tracking server is down until this is undone."""
    with live.closed_server(monkeypatch) as patch:
        yield patch


@pytest.mark.usefixtures("_no_figures")
def test_without_its_server_the_tables_are_written_and_a_rerun_completes_them(
    users: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession, closed: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrackingError, match=r"does not answer; what was measured is in the tables: run this again"):
        train.run(spark, config())
    assert "secret" not in json.dumps([row.asDict() for row in rows(users, "runs")], default=str)
    first = rows(users, "evaluations")
    assert {row["mlflow_run_id"] for row in first} == {None}
    assert len(accuracies(users)) == 8
    drawn = rows(users, "figure_data")
    assert rows(users, "champions") == []

    closed.undo()
    train.run(spark, config())

    def told(of: list[Row]) -> list[tuple[Any, ...]]:
        kept = [{**row.asDict(), "run_id": None, "mlflow_run_id": None} for row in of]
        return sorted(tuple(map(str, row.values())) for row in kept)

    second = rows(users, "evaluations")
    assert told(second) == told(first)
    assert None not in {row["mlflow_run_id"] for row in second}
    assert len(rows(users, "figure_data")) == len(drawn)
    assert {row["model"] for row in rows(users, "champions")} == {"selfie_R1", "selfie_R2"}


@pytest.mark.usefixtures("_no_figures")
def test_a_training_that_was_killed_goes_on(
    users: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = contest.keep
    calls = []

    def dying(run: Any, figure: Any, *rest: Any) -> str:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(figure.cell.name)
        return kept(run, figure, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(contest, "keep", dying)
        with pytest.raises(KeyboardInterrupt):
            train.run(spark, config())
    (parent,) = [one for one in tracker._search("", 100) if train.NAME in one.tags["mlflow.runName"]]
    assert parent.status == tracking.KILLED
    done = {name: run.run_id for name, run in tracker.parts(parent.run_id).items() if run.status == tracking.FINISHED}
    assert sorted(done) == sorted(calls)
    assert rows(users, "evaluations") == []

    # it dies again when the alias is set but the table says nothing yet
    with monkeypatch.context() as patch:
        patch.setattr(crossval, "evaluate", broken)
        patch.setattr(champions, "crown", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train.run(spark, config())
    assert tracker.champion("selfie_R1") == "1"
    assert rows(users, "champions") == []
    counted = len(rows(users, "evaluations"))
    assert len(accuracies(users)) == 8

    with monkeypatch.context() as patch:
        patch.setattr(crossval, "evaluate", broken)
        patch.setattr(contest, "keep", broken)
        train.run(spark, config())
    assert tracker.last(parent.tags[tracking.DIGEST]).run_id == parent.run_id  # type: ignore[union-attr]
    parts = tracker.parts(parent.run_id)
    assert {name: parts[name].run_id for name in done} == done
    assert len(rows(users, "evaluations")) == counted
    assert {(row["model"], row["version"]) for row in rows(users, "champions")} == {
        ("selfie_R1", "1"), ("selfie_R2", "1"),
    }  # fmt: skip


@pytest.mark.usefixtures("_no_figures")
def test_only_who_does_better_goes_live(
    users: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession
) -> None:
    few = "mlflow.min_held_out=1000"  # nobody can be held out: configurations are refitted
    report = train.run(spark, config(WEAK, few))
    assert report.counters["models_live"] == 0
    assert any("selfie_R1 has no champion: no champion yet" in warning for warning in report.warnings)
    assert (rows(users, "champions"), tracker.champion("selfie_R1")) == ([], None)
    assert {row["part"] for row in rows(users, "training_splits")} == {"train"}
    assert score.run(spark, config()).status == "skipped"
    assert rows(users, "behaviour_scores") == []

    assert train.run(spark, config(few)).counters["models_live"] == 2
    tracker._client.delete_registered_model_alias("selfie_R2", tracking.ALIAS)
    counted = users.versions(["champions"])
    report = train.run(spark, config(WEAK, few, "selfie.folds=4"))
    assert report.counters["models_live"] == 0
    said = re.compile(r"selfie_R1 stays at version 1: accuracy 0\.4800 against 0\.[78]")
    assert any(map(said.match, report.warnings))
    assert users.versions(["champions"]) == counted
    # the alias follows the table
    assert (tracker.champion("selfie_R1"), tracker.champion("selfie_R2")) == ("1", "1")


def test_without_users_there_is_nothing_to_train(
    lake: Lake, config: Callable[..., Config], spark: SparkSession
) -> None:
    report = train.run(spark, config())
    assert (report.status, report.reason) == (
        "skipped", "no user has features yet: run jobs/build_profiles.py first",
    )  # fmt: skip


def test_a_lake_without_selfies_has_reasons_for_figures(
    lake: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession
) -> None:
    pictures = planted.plant(60, 20).pictures
    live.lay_users(lake, planted.frames(pictures[pictures["category"] != "Selfie"]))
    report = train.run(spark, config("selfie.captions=true"))
    assert (report.status, report.rows_out, report.counters["figures_made"]) == ("done", 8, 0)
    found = accuracies(lake)
    assert {row["value"] for row in found.values()} == {None}
    assert all(row["note"] for row in found.values())
    for baseline in ("LSTM", "doc2vec"):
        assert found["R1", "F"]["note"] in found["R1", baseline]["note"]
    assert any(warning.startswith("R1: ") for warning in report.warnings)
    assert rows(lake, "champions") == []
