"""The evaluation of interests on a small lake: what it leaves behind, and that it can be done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from profilelake.config import Config, Interests
from profilelake.errors import ConfigError
from profilelake.interests import evaluate, evaluation, prints, results, stage
from profilelake.interests.evaluation import Case
from profilelake.interests.results import Measured
from profilelake.lake import Lake
from profilelake.training import tracking
from profilelake.training.tracking import Tracker, TrackingError
from tests.behaviour import live
from tests.interests import crowd
from tests.interests.crowd import NETWORKS
from tests.lakes import WHEN, lay

pytestmark = pytest.mark.slow

LOG_ODDS = "domain_weighting=log_odds"  # gives the profiles as configured here
FAULTY = "weighting=label_score"
CROWD = [
    replace(user, ranked={**user.ranked, **{(LOG_ODDS, key[1]): of for key, of in user.ranked.items() if not key[0]}})
    for user in (*crowd.users(50, 1), *crowd.users(20, 2, "posted"))
]
SMALL = ("interests_evaluation.resamples=20", f"interests_evaluation.picture_bins=[{', '.join(map(str, crowd.BINS))}]")
OUTPUTS = ("evaluations", "figure_data")
FAULT = f"{FAULTY}: there are no scores"
COUNTED = evaluation.cases(NETWORKS, ["lookup=synset", LOG_ODDS])
BY_HAND = Measured(
    NETWORKS[0],
    [*COUNTED, *(Case(network, FAULTY) for network in NETWORKS)],
    ["favourite", "posted"],
    crowd.counts(CROWD, COUNTED, [evaluation.reference(case, NETWORKS[0]) for case in COUNTED]),
    {FAULTY: FAULT},
)


def put(lake: Lake, table: str, held: Sequence[Mapping[str, Any]]) -> None:
    made = crowd.frame(lake.spark, table, held).write.format("delta").mode("overwrite")
    made.option("overwriteSchema", "true").saveAsTable(lake.name(table))


def lay_interests(lake: Lake) -> None:
    """The tables that the stage `interests` fills."""
    put(lake, evaluate.PROFILES, crowd.profiles(CROWD, ""))
    put(lake, evaluate.EVIDENCE, crowd.evidence(CROWD))
    put(lake, "interest_words", [])


def otherwise(lake: Lake, rules: Interests) -> DataFrame:
    """Stands in for the stage, which makes profiles by other rules."""
    if rules.weighting == "label_score":
        raise ConfigError("there are no scores")
    option = LOG_ODDS if rules.domain_weighting == "log_odds" else f"lookup={rules.lookup}"
    return crowd.frame(lake.spark, evaluate.PROFILES, crowd.profiles(CROWD, option))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live.make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def tracker(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    made = live.store(template, tmp_path / "mlflow")
    monkeypatch.setattr(tracking, "place", lambda config: made)
    return tracking.connect(made, "profilelake")


@pytest.fixture
def config(make_lake_config: Callable[..., Config]) -> Callable[..., Config]:
    return lambda *arguments: make_lake_config(*SMALL, *arguments)


@pytest.fixture
def interests(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    lay_interests(lake)
    monkeypatch.setattr(stage, "interests", otherwise)
    return lake


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting and drawing have tests of their own, and take time."""
    monkeypatch.setattr(evaluate, "measure", lambda *_: BY_HAND)
    monkeypatch.setattr(prints, "write_all", lambda *_: [])


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("power cut")


def rows(lake: Lake, table: str) -> list[Row]:
    return lake.spark.table(lake.name(table)).collect()


def told(of: Sequence[Row | Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Rows without the ids of runs."""
    plain = [row.asDict() if isinstance(row, Row) else row for row in of]
    return sorted(tuple(str(row.get(key)) for key in sorted(row) if not key.endswith("run_id")) for row in plain)


def expected(config: Config) -> results.Found:
    return results.found(BY_HAND, evaluation.variants(config.interests), crowd.BINS, evaluate.plan_of(config))


def test_an_evaluation_fills_its_tables_once(
    interests: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = config()
    report = evaluate.run(spark, given)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 16, 16)
    assert (report.counters["compared"], list(report.warnings)) == (12, [FAULT])

    # what is written is what the counts by hand give
    found = expected(given)
    written = rows(interests, "evaluations")
    assert told(written) == told([asdict(row) | {"paper": 2} for row in found.rows])
    assert told(rows(interests, "figure_data")) == told([asdict(row) | {"paper": 2} for row in found.figures])
    same = {row["variant"]: row for row in written if row["metric"] == "mean_f1_difference" and row["task"] == "posted"}
    assert (same[f"vgg16, {LOG_ODDS}"]["value"], same[f"vgg16, {LOG_ODDS}"]["low"]) == (0.0, 0.0)
    assert same[f"vgg16, {FAULTY}"]["note"] == FAULT

    # tracked: a run, in it one a case
    (parent,) = [one for one in tracker._search("", 100) if evaluate.NAME in one.tags["mlflow.runName"]]
    parts = tracker.parts(parent.run_id)
    assert set(parts) == set(found.evaluations)
    assert {row["mlflow_run_id"] for row in written} == {part.run_id for part in parts.values()}
    pins = {entry["table"]: entry["version"] for row in rows(interests, "runs") for entry in row["inputs"] or []}
    assert set(pins) == set(evaluate.INPUTS)
    assert parent.tags["table.user_interests"] == f"user_interests@{pins['user_interests']}"
    run = tracker._client.get_run(parts["vgg16, lookup=synset"].run_id)
    assert (run.data.params["network"], run.data.params["lookup"]) == ("vgg16", "synset")
    (f1,) = [
        row for row in found.evaluations["vgg16, lookup=synset"] if (row.task, row.metric) == ("posted", "mean_f1")
    ]
    assert run.data.metrics["posted/mean_f1"] == f1.value
    assert run.data.metrics["posted/mean_f1_chance"] == f1.baseline
    files = {path.name for path in Path(given.report.path, "interests").iterdir()}
    assert {"figure_4.svg", "figure_4.pdf", "mean_F1.png", "table_1.csv", "table_1.tex", "domains.csv"} <= files
    assert {file.path for file in tracker._client.list_artifacts(parent.run_id)} == {"figures", "measured.json"}

    # the same again: nothing is counted, MLflow is not asked, nothing is written
    counted = interests.versions(OUTPUTS)
    monkeypatch.setattr(evaluate, "measure", broken)
    monkeypatch.setattr(tracking, "connect", broken)
    assert evaluate.pending(interests, given) == {"comparisons": 0}
    again = evaluate.run(spark, given)
    assert (again.rows_in, again.rows_out) == (16, 16)
    assert interests.versions(OUTPUTS) == counted


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The tracking server is down until this is undone."""
    with live.closed_server(monkeypatch) as patch:
        yield patch


@pytest.mark.usefixtures("_measured")
def test_what_its_server_and_a_kill_kept_from_it_comes_later(
    interests: Lake, config: Callable[..., Config], tracker: Tracker, spark: SparkSession,
    closed: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with pytest.raises(TrackingError, match=r"does not answer; what was measured is in the tables: run this again"):
        evaluate.run(spark, config())
    assert "secret" not in json.dumps([row.asDict() for row in rows(interests, "runs")], default=str)
    first, drawn = rows(interests, "evaluations"), rows(interests, "figure_data")
    assert told(first) == told([asdict(row) | {"paper": 2} for row in expected(config()).rows])
    assert {row["mlflow_run_id"] for row in first} == {None}

    # the server is back, but somebody presses Ctrl-C
    closed.undo()
    made, calls = evaluate._metrics, list[object]()

    def dying(of: Any) -> Any:
        calls.append(of)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return made(of)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "_metrics", dying)
        with pytest.raises(KeyboardInterrupt):
            evaluate.run(spark, config())
    (parent,) = [one for one in tracker._search("", 100) if evaluate.NAME in one.tags["mlflow.runName"]]
    done = {name: run.run_id for name, run in tracker.parts(parent.run_id).items() if run.status == tracking.FINISHED}
    assert (parent.status, len(done)) == (tracking.KILLED, 3)
    assert told(rows(interests, "evaluations")) == told(first)

    # what was counted, and the parts that were done, are kept with the run
    monkeypatch.setattr(evaluate, "measure", broken)
    assert evaluate.run(spark, config()).status == "done"
    parts = tracker.parts(parent.run_id)
    assert {name: parts[name].run_id for name in done} == done
    last = rows(interests, "evaluations")
    assert told(last) == told(first)
    assert {row["mlflow_run_id"] for row in last} == {run.run_id for run in parts.values()}
    assert told(rows(interests, "figure_data")) == told(drawn)


@pytest.mark.usefixtures("tracker")
def test_without_interests_or_with_those_of_other_rules_nothing_is_evaluated(
    lake: Lake, config: Callable[..., Config], spark: SparkSession
) -> None:
    report = evaluate.run(spark, config())
    assert (report.status, report.reason) == (
        "skipped", "no user has interests yet: run jobs/build_profiles.py first",
    )  # fmt: skip

    lay_interests(lake)
    assert evaluate.pending(lake, config()) == {"comparisons": 2 * 2 * 4}
    settings = json.dumps({"lookup": "word", "weighting": "none", "prior": None, "words": "digest"})
    built = {"run_id": "r", "stage": "interests", "job": "build", "status": "done", "started_at": WHEN}
    lay(lake, "runs", [{**built, "settings": settings}])
    said = (
        r"were made with lookup word, not synset, prior None, not 10\.0, another lexicon or other lists of words: build"
    )
    with pytest.raises(ConfigError, match=said):
        evaluate.run(spark, config("interests.lookup=synset", "interests.domain_weighting=log_odds"))
    assert rows(lake, "evaluations") == []

    # as the stage leaves it, and then a later picture has labels
    rules = config().interests
    of = {"settings": json.dumps(stage.made_by(rules, stage.known(rules)))}
    read = [{"table": table, "version": at} for table, at in lake.versions(stage.INPUTS).items()]
    lay(lake, "runs", [{**built, **of, "run_id": "s", "started_at": WHEN + timedelta(hours=1), "inputs": read}])
    lay(lake, "image_labels", [], anew=True)
    with pytest.raises(ConfigError, match=r"^image_labels changed since the profiles of this lake were made: run"):
        evaluate.run(spark, config())

    put(lake, evaluate.EVIDENCE, [row for row in crowd.evidence(CROWD) if row["basis"] == "tags"])
    report = evaluate.run(spark, config())
    assert (report.status, report.reason) == (
        "skipped", "no picture has a label: name networks in images.label and run jobs/build_profiles.py first",
    )  # fmt: skip
    assert evaluate.pending(lake, config()) == {"comparisons": 0}
