"""The stage that scores: every user, by what is live, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import Row, SparkSession

from profilelake.behaviour import score, tasks
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.training import crossval, models, tracking
from profilelake.training.tracking import TrackingError
from tests.behaviour import live, planted
from tests.conftest import versions
from udfs import scoring

PICTURES = planted.plant(60, 12, seed=4).pictures


class Held:
    """What looks like a broadcast."""

    def __init__(self, value: Any) -> None:
        self.value = value


def test_the_scorer_asks_every_model_about_every_row() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 2)), np.arange(40) % 2
    x[3, 1] = np.nan
    fitted = {name: crossval.fitted(x, y, live.PLAN) for name in "ab"}
    features = [[None if np.isnan(v) else v for v in row] for row in x.tolist()]
    batch = pa.RecordBatch.from_pydict(
        {
            "user_id": [f"u{n}" for n in range(40)],
            "evidence": list(range(40)),
            "features": pa.array(features, pa.list_(pa.float64())),
        }
    )
    of = {("R1", "1"): fitted["a"], ("R4", "3"): fitted["b"]}
    found = pa.Table.from_batches(scoring.scorer(Held(of))([batch, batch.slice(0, 0)])).to_pydict()
    assert found["task"] == ["R1"] * 40 + ["R4"] * 40
    assert found["model_version"] == ["1"] * 40 + ["3"] * 40
    assert found["user_id"][40:] == found["user_id"][:40] == [f"u{n}" for n in range(40)]
    assert found["evidence"][:40] == list(range(40))
    np.testing.assert_array_equal(found["probability"][:40], fitted["a"].predict_proba(x)[:, 1])
    # a slice begins elsewhere in its buffers
    (part,) = scoring.scorer(Held({("R1", "1"): fitted["a"]}))([batch.slice(30, 5)])
    np.testing.assert_array_equal(part.column("probability"), fitted["a"].predict_proba(x[30:35])[:, 1])


def rows(lake: Lake, table: str) -> list[Row]:
    return lake.spark.table(lake.name(table)).collect()


@pytest.mark.slow
@pytest.mark.usefixtures("unlocked")
def test_everybody_is_scored_by_what_is_live(
    lake: Lake,
    lake_config: Config,
    spark: SparkSession,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = live.store(live.make_template(tmp_path_factory.mktemp("template")), tmp_path / "mlflow")
    monkeypatch.setattr(tracking, "place", lambda config: where)
    # the first user posts nothing but selfies: there is nothing to tell from
    only = (PICTURES["user_id"] != "u000000") | (PICTURES["category"] == "Selfie")
    made = planted.frames(PICTURES[only])
    live.lay_users(lake, made)
    before = versions(lake)

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "connect", None)  # with no champion, MLflow is not asked
        report = score.run(spark, lake_config)
    assert (report.status, report.reason) == (
        "skipped", "no model selfie_<task> has a champion yet: run jobs/train_selfie.py",
    )  # fmt: skip
    assert versions(lake) == before

    tracker = tracking.connect(where, "profilelake")
    categories = tasks.columns("F", list(made.user_categories["category"]))
    wide = made.user_categories.pivot(index="user_id", columns="category", values="frequency_without_selfie")
    wide = wide.reindex(columns=list(categories)).fillna(0.0)
    wide.loc["u000000"] = np.nan
    y = np.arange(60) % 2
    known = wide.index != "u000000"
    one = live.put_live(lake, tracker, "R1", "F", categories, wide[known].to_numpy(), y[known], ["u000001"])
    measures = made.selfie_measures.set_index("user_id")[list(tasks.MEASURES)]
    live.put_live(lake, tracker, "R7_Travel", "measures", tasks.MEASURES, measures.to_numpy(), y, ["u000001"])
    assert score.pending(lake, lake_config) == {"scores": 120}
    report = score.run(spark, lake_config)
    assert (report.status, report.rows_out, report.counters["models"]) == ("done", 119, 2)
    found = {(row["task"], row["user_id"]): row for row in rows(lake, "behaviour_scores")}
    assert len(found) == 119
    assert ("R1", "u000000") not in found
    with_folder = tracker.download(one.model, one.version, tmp_path)
    estimator = models.load(with_folder, None).estimator
    expected = dict(zip(wide.index, estimator.predict_proba(np.nan_to_num(wide.to_numpy()))[:, 1], strict=True))
    of_user = made.user_features.set_index("user_id")
    for user in wide.index[1:]:
        row = found["R1", user]
        assert row["probability"] == pytest.approx(expected[user], abs=1e-12)
        # what they post beside selfies is seen alone, the measures see all
        assert (row["evidence"], row["model_version"]) == (of_user.loc[user, "other_occurrences"], "1")
        assert found["R7_Travel", user]["evidence"] == of_user.loc[user, "occurrences"]
    current = lake.spark.table(lake.name("behaviour_scores_current"))
    assert current.count() == 119

    # the same again: MLflow is not asked, nothing is written
    counted = versions(lake)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "connect", None)
        assert score.pending(lake, lake_config) == {"scores": 0}
        assert score.run(spark, lake_config).rows_out == 119
    assert versions(lake) == counted

    # somebody comes to post nothing but selfies: what was told from the rest is told no more
    fewer = only & ((PICTURES["user_id"] != "u000002") | (PICTURES["category"] == "Selfie"))
    live.lay_users(lake, planted.frames(PICTURES[fewer]), anew=True)
    assert score.run(spark, lake_config).rows_out == 118
    left = {(row["task"], row["user_id"]) for row in rows(lake, "behaviour_scores")}
    assert found.keys() - left == {("R1", "u000002")}

    # new users, while the server is down: the scores stay, and the stage says why
    live.lay_users(lake, planted.frames(PICTURES[only & (PICTURES["category"] != "Pet")]), anew=True)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "connect", down)
        report = score.run(spark, lake_config)
    assert report.status == "skipped"
    assert "the scores stay as they are: MLflow at nowhere does not answer" in str(report.reason)
    assert len(rows(lake, "behaviour_scores")) == 118

    # a category that a model rests on is gone: it is not asked any more, the other is
    report = score.run(spark, lake_config)
    assert report.counters["models"] == 1
    assert "selfie_R1 version 1 rests on Pet, which the lake has no more" in report.warnings[0]

    # another file than the one that went live
    live.lay_users(lake, made, anew=True)
    for file in (where.folder / "artifacts").rglob("model.skops"):  # type: ignore[operator]
        file.write_bytes(b"something else")
    with pytest.raises(models.UnusableModel, match="is not loaded"):
        score.run(spark, lake_config)


def down(*_: Any) -> None:
    raise TrackingError("MLflow at nowhere does not answer")
