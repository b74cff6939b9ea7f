"""The stage that asks the live models of paper 1 about every user: behaviour_scores."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake import freshness
from profilelake.behaviour import tasks
from profilelake.behaviour.contest import PREFIX
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage
from profilelake.tables import TABLES
from profilelake.training import champions, models, tracking
from profilelake.training.champions import Champion
from profilelake.training.models import Loaded
from profilelake.training.tracking import NotTracked, TrackingError
from udfs import scoring

log = logging.getLogger("profilelake.behaviour")

NAME = "score"
INPUTS = ("user_categories", "user_features", "selfie_measures", "champions")
OUTPUT = "behaviour_scores"
# Columns of features that are no category.
NO_CATEGORIES = frozenset(tasks.columns("I+S+measures", ()))


@dataclass(frozen=True)
class _Basis:
    """What a model is asked with: its features, and their columns in its order."""

    features: str
    columns: tuple[str, ...]


@stage(NAME)
def run(context: Context) -> StageReport:
    """Score every user of whom any of a model's features is known, those outside the quarters that it was trained on
    too. How much a score rests on stands beside it. Rows are scores; those of earlier versions stay, those of a live
    version go with what they rested on.

    A tracking server that is down skips the stage: the profiles keep the scores that there are.

    Raises:
        ProfilelakeError: a model's file is not the one that went live.
        ConfigError: models are live, but nothing says where they are kept.
    """
    lake = context.lake
    last = freshness.unchanged(lake, NAME, (*INPUTS, OUTPUT))
    if last is not None:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    live = champions.current(lake, PREFIX)
    if not live:
        return skipped(NAME, f"no model {PREFIX}<task> has a champion yet: run jobs/train_selfie.py")
    if lake.is_empty("user_features"):
        return skipped(NAME, "no user has features yet")
    warnings: list[str] = []
    try:
        loaded = _load(context.config, live, warnings)
    except TrackingError as error:
        return skipped(NAME, f"the models cannot be loaded, the scores stay as they are: {error}")
    usable = _usable(lake, loaded, warnings)
    if not usable:
        return StageReport(NAME, status="skipped", reason="no live model fits this lake", warnings=warnings)
    rows, gone, broadcasts = _scores(lake, usable)
    try:
        changed = lake.write(OUTPUT, rows).changed + lake.delete(OUTPUT, gone).changed
    finally:
        for sent in broadcasts:
            sent.destroy()
    asked = [_is_of(name.removeprefix(PREFIX), live[name].version) for name in usable]
    scored = lake.read(OUTPUT).where(reduce(Column.__or__, asked)).count()
    return StageReport(
        NAME,
        rows_in=scored,
        rows_out=scored,
        counters={"models": len(usable), "rows_changed": changed},
        warnings=warnings,
    )


def _load(config: Config, live: Mapping[str, Champion], warnings: list[str]) -> dict[str, tuple[Champion, Loaded]]:
    tracker = tracking.connect(tracking.place(config), config.mlflow.experiment)
    found = {}
    for name, champion in sorted(live.items()):
        with tempfile.TemporaryDirectory(prefix="profilelake-model-") as folder:
            try:
                files = tracker.download(name, champion.version, Path(folder))
            except NotTracked as error:
                warnings.append(f"{name} version {champion.version} is live, but its files are gone: {error}")
                continue
            found[name] = (champion, models.load(files, champion.model_sha256))
    return found


def _usable(
    lake: Lake, loaded: Mapping[str, tuple[Champion, Loaded]], warnings: list[str]
) -> dict[str, tuple[Champion, Loaded]]:
    """The models whose categories the lake still has: the others would take what is missing for never posted."""
    categories = {row["category"] for row in lake.read("user_categories").select("category").distinct().collect()}
    known = categories | NO_CATEGORIES
    found = {}
    for name, (champion, model) in loaded.items():
        lost = sorted(set(model.metadata["columns"]) - known)
        if lost:
            warnings.append(
                f"{name} version {champion.version} rests on {', '.join(lost)}, which the lake has no more: it scores "
                "nobody until jobs/train_selfie.py has trained a new one"
            )
        else:
            found[name] = (champion, model)
    return found


def _scores(lake: Lake, usable: Mapping[str, tuple[Champion, Loaded]]) -> tuple[DataFrame, DataFrame, list[Any]]:
    """Rows of `behaviour_scores`, keys of rows whose users have no features any more, and the broadcasts that the rows
    rest on."""
    by_basis: dict[_Basis, dict[tuple[str, str], Any]] = {}
    for name, (champion, model) in usable.items():
        basis = _Basis(str(model.metadata["features"]), tuple(model.metadata["columns"]))
        by_basis.setdefault(basis, {})[name.removeprefix(PREFIX), champion.version] = model.estimator
    of_nobody = lake.spark.table(lake.name("user_attributes"))  # no attribute is asked for
    users = tasks.study_users(lake.read("user_features"), lake.read("selfie_measures"), of_nobody, (), 0)
    scored, gone, broadcasts = [], [], []
    for basis, of in by_basis.items():
        categories = [column for column in basis.columns if column not in NO_CATEGORIES]
        features = tasks.feature_frame(users, lake.read("user_categories"), basis.features, categories)
        known = features.where(F.exists("features", lambda value: value.isNotNull()))
        asked = known.join(users.select("user_id", _evidence(basis).alias("evidence")), on="user_id", how="inner")
        held = lake.spark.sparkContext.broadcast(of)
        broadcasts.append(held)
        scored.append(asked.select("user_id", "evidence", "features").mapInArrow(scoring.scorer(held), scoring.SCHEMA))
        of_these = reduce(Column.__or__, [_is_of(*model) for model in of])
        held_rows = lake.read(OUTPUT).where(of_these).select(*TABLES[OUTPUT].key)
        gone.append(held_rows.join(known.select("user_id"), on="user_id", how="left_anti"))
    return reduce(DataFrame.unionByName, scored), reduce(DataFrame.unionByName, gone), broadcasts


def _is_of(task: str, version: str) -> Column:
    return (F.col("task") == task) & (F.col("model_version") == version)


def _evidence(basis: _Basis) -> Column:
    """Occurrences that features rest on. Measures are of all categories, F, I and S never see a selfie."""
    return F.col("occurrences" if basis.features == tasks.ALL_MEASURES else "other_occurrences")


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Scores that a run would make: one a user and live model, or none where nothing changed."""
    tables = (*INPUTS, OUTPUT)
    if not all(lake.exists(table) for table in tables) or freshness.unchanged(lake, NAME, tables) is not None:
        return {"scores": 0}
    return {"scores": len(champions.current(lake, PREFIX)) * lake.read("user_features").count()}
