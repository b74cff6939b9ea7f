"""The models of paper 1's tasks: fitted, kept in MLflow, and put before the gate."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from profilelake.behaviour.questions import Question, select
from profilelake.behaviour.results import Measured
from profilelake.lake import Lake
from profilelake.training import champions, crossval, gate, models, splits
from profilelake.training.champions import Champion, Crowned
from profilelake.training.crossval import Cell, Plan, Score
from profilelake.training.models import Loaded, UnusableModel
from profilelake.training.splits import Split
from profilelake.training.tracking import NotTracked, TrackedRun, Tracker

log = logging.getLogger("profilelake.behaviour")

PREFIX = "selfie_"
METRIC = "accuracy"
SHA256 = "model_sha256"
_EXAMPLE = 5  # rows of an input example


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure that was made: the question, its features, its rows and its score, and who is trained on."""

    question: Question
    features: str
    cell: Cell
    score: Score
    split: Split

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return PREFIX + self.question.task.name


def figures(
    questions: Sequence[Question], measured: Measured, held_out: float, min_held_out: int, min_users: int
) -> list[Figure]:
    """Every figure that was made, in the tasks' order."""
    found = []
    for question in questions:
        for features in question.task.feature_sets:
            cell, score = question.cell(features), measured.scores.get(question.name(features))
            if cell is not None and score is not None and score.reason is None:
                split = splits.split(cell.users, cell.y, held_out, min_held_out, min_users)
                found.append(Figure(question, features, cell, score, split))
    return found


@contextmanager
def fits(made: Sequence[Figure], plan: Plan) -> Iterator[Mapping[str, Any]]:
    """The fitted models of figures by name, as futures: they are fitted side by side while a block runs."""

    def fit(figure: Figure) -> Any:
        train = figure.split.train
        return crossval.fitted(figure.cell.x[train], figure.cell.y[train], plan)

    # libsvm lets other threads go on meanwhile
    pool = ThreadPoolExecutor(min(len(made), os.cpu_count() or 1) or 1)
    try:
        yield {figure.cell.name: pool.submit(fit, figure) for figure in made}
    finally:
        pool.shutdown(cancel_futures=True)


def keep(run: TrackedRun, figure: Figure, estimator: Any, plan: Plan) -> str:
    """Keep a fitted model and all that is known of its figure in its tracked run; returns the sha256 of its file."""
    score, columns = figure.score, figure.question.columns(figure.features)
    configuration = {
        "task": figure.question.task.name,
        "features": figure.features,
        "c": plan.c,
        "gamma": plan.gamma,
        "search": plan.search,
    }
    params = {
        **configuration,
        "columns": len(columns),
        "users": score.n,
        "folds": score.folds,
        "seed": plan.seed,
        "trained_on": int(figure.split.train.sum()),
        "held_out": int((~figure.split.train).sum()),
    }
    metrics = {
        METRIC: score.accuracy,
        "low": score.low,
        "high": score.high,
        "baseline": score.baseline,
        "p_value": score.p_value,
        "imputed": float(score.imputed),
    }
    run.log(params, metrics, {"fold_accuracy": score.fold_accuracies})
    example = pd.DataFrame(figure.cell.x[:_EXAMPLE], columns=list(columns))
    with tempfile.TemporaryDirectory(prefix="profilelake-model-") as folder:
        local = Path(folder, models.FOLDER)
        sha256 = models.save(estimator, example, local, {**configuration, "columns": list(columns)})
        run.folder(local, models.FOLDER)
    run.log(tags={SHA256: sha256, "held_out": figure.split.reason or "held-out users took no part"})
    return sha256


@dataclass(frozen=True)
class Kept:
    """Where a figure's model is kept."""

    run_id: str
    model_sha256: str


class Contest:
    """The gate for the models of a training; `run` judges them all, then changes what is live."""

    def __init__(
        self,
        spark: SparkSession,
        lake: Lake,
        tracker: Tracker,
        measured: Measured,
        plan: Plan,
        min_unseen: int,
    ) -> None:
        self._spark, self._lake, self._tracker = spark, lake, tracker
        self._measured, self._plan, self._min_unseen = measured, plan, min_unseen

    def run(self, chosen: Sequence[tuple[Figure, Kept]]) -> tuple[int, list[str]]:
        """How many models went live, and a sentence about each that did not."""
        held = champions.current(self._lake, PREFIX)
        seen = splits.trained_on(self._lake, {champion.mlflow_run_id for champion in held.values()})
        crowned, said = [], []
        for figure, kept in chosen:
            champion = held.get(figure.model)
            if champion is not None and champion.mlflow_run_id == kept.run_id:
                continue  # an earlier attempt came this far
            verdict = self._judge(figure, kept, champion, seen)
            log.info("%s: %s: %s", figure.model, "goes live" if verdict.wins else "does not go live", verdict.reason)
            if verdict.wins:
                version = self._tracker.register(
                    figure.model, kept.run_id, models.FOLDER, {SHA256: kept.model_sha256, "gate": verdict.reason}
                )
                crowned.append(Crowned(version, verdict, kept.model_sha256))
            else:
                stays = "has no champion" if champion is None else f"stays at version {champion.version}"
                said.append(f"{figure.model} {stays}: {verdict.reason}")
        live = {name: champion.version for name, champion in held.items()}
        live |= {one.version.model: one.version.version for one in crowned}
        for model, number in live.items():
            self._follow(model, number)
        champions.crown(self._lake, crowned, datetime.now(UTC))
        return len(crowned), said

    def _follow(self, model: str, version: str) -> None:
        """Let the alias follow the table, also where a run died between the two, or a person moved it."""
        try:
            self._tracker.set_champion(model, version)
        except NotTracked as error:
            log.warning("%s: the alias cannot name version %s: %s", model, version, error)

    def _judge(
        self, figure: Figure, kept: Kept, champion: Champion | None, seen: Mapping[str, set[str]]
    ) -> gate.Verdict:
        score = figure.score
        assert score.accuracy is not None  # it is a figure that was made
        assert score.low is not None
        assert score.baseline is not None
        challenger = gate.Measured(score.accuracy, score.low, score.baseline, score.n)
        rival, gone = None, None
        if champion is not None:
            try:
                rival = self._rival(figure, kept, champion, seen[champion.mlflow_run_id])
            except (NotTracked, UnusableModel) as error:
                gone = f"version {champion.version} can no longer be used ({error}); "
        verdict = gate.judge(challenger, rival, metric=METRIC, min_unseen=self._min_unseen)
        return verdict if gone is None else replace(verdict, reason=gone + verdict.reason)

    def _rival(self, figure: Figure, kept: Kept, champion: Champion, seen: set[str]) -> gate.Champion:
        loaded = self._load(champion)
        matrix = figure.question.matrix
        assert matrix is not None  # it is a figure that was made
        lost = sorted(set(loaded.metadata["columns"]) - set(matrix.columns))
        if lost:
            raise UnusableModel(f"the lake has no {', '.join(lost)} any more")
        new = ~figure.split.train & ~np.isin(matrix.users, sorted(seen))

        def unseen() -> gate.Unseen:
            return gate.Unseen(
                matrix.y[new],
                self._own(figure, kept).estimator.predict(figure.cell.x[new]),
                loaded.estimator.predict(select(matrix, loaded.metadata["columns"])[new]),
            )

        return gate.Champion(
            f"version {champion.version}",
            # whom it was trained on is not known where nobody is on record
            int(new.sum()) if seen else 0,
            unseen,
            lambda: self._refitted(figure.question, loaded.metadata),
        )

    def _load(self, champion: Champion) -> Loaded:
        with tempfile.TemporaryDirectory(prefix="profilelake-model-") as folder:
            found = self._tracker.download(champion.model, champion.version, Path(folder))
            return models.load(found, champion.model_sha256)

    def _own(self, figure: Figure, kept: Kept) -> Loaded:
        with tempfile.TemporaryDirectory(prefix="profilelake-model-") as folder:
            found = self._tracker.kept(kept.run_id).fetch(models.FOLDER, Path(folder))
            return models.load(found, kept.model_sha256)

    def _refitted(self, question: Question, metadata: Mapping[str, Any]) -> float:
        """The cross-validated accuracy of a champion's configuration on today's users and folds."""
        features = str(metadata["features"])
        plan = replace(self._plan, c=metadata["c"], gamma=metadata["gamma"], search=metadata["search"], shuffles=0)
        known = self._measured.scores.get(question.name(features))
        if known is not None and known.accuracy is not None and plan == replace(self._plan, shuffles=0):
            return known.accuracy
        cell = question.cell(features)
        assert cell is not None  # its columns are there
        (score,) = crossval.evaluate(self._spark, [cell], plan)
        assert score.accuracy is not None  # as many rows as the challenger's
        return score.accuracy
