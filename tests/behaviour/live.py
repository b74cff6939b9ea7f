"""Lakes with the user tables of planted users, stores of models that cost no start-up, and models put live by hand."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from profilelake.behaviour import tasks
from profilelake.behaviour.questions import Asked, Question
from profilelake.lake import Lake
from profilelake.training import crossval, models, tracking
from profilelake.training.crossval import Cell, Plan, Score
from profilelake.training.tracking import Place, Tracker, Version
from tests.behaviour import planted
from tests.lakes import FIT, WHEN, lay

TABLES = ("user_categories", "user_features", "selfie_measures", "user_attributes")
PLAN = crossval.Plan(5, 20, 1.0, "scale", False, 0, 600, 10, seed=1)


def lay_users(lake: Lake, made: planted.Frames, *, anew: bool = False) -> None:
    """The tables that the behaviour stage fills."""
    for table in TABLES:
        found: pd.DataFrame = getattr(made, table)
        rows = found.astype(object).where(found.notna(), None).to_dict("records")
        common: dict[str, Any] = {"missing": [], "fit_id": FIT}
        lay(lake, table, rows, anew=anew, **common)


def asked(made: planted.Frames) -> Asked:
    """R1 and R2 over users, as `questions.ask` makes them of the tables, computed here without Spark."""
    categories = tuple(sorted(set(made.user_categories["category"]) - {"Selfie"}))
    wide = made.user_categories.pivot(index="user_id", columns="category", values="frequency_without_selfie")
    wide = wide.reindex(columns=list(categories)).fillna(0.0)
    wide = wide.join(made.user_features.set_index("user_id")[["other_inertia", "other_singleness"]])
    sides = {
        "R1": planted.labels(made, "selfie_frequency"),
        "R2": planted.labels(made, "selfie_inertia", ["selfie_occurrences"], 3),
    }
    questions = {}
    for task in tasks.tasks(()):
        if task.name in sides:
            label = sides[task.name].sort_index()
            columns = tasks.columns(max(task.feature_sets, key=len), categories)
            x = wide.loc[label.index, list(columns)].to_numpy(np.float64)
            users = label.index.to_numpy(np.str_)
            matrix = tasks.Matrix(columns, users, x, label.to_numpy(np.int8))
            cut: Any = None  # nobody asks for the frame where figures are stubs
            questions[task.name] = Question(
                task, tasks.Sides(cut, 2 * len(label), len(label) // 2, None, None, None), matrix, categories
            )
    return Asked(cut, cut, categories, (), questions)


class Here:
    """What `crossval.evaluate` asks of a session, done in this process: its own context, broadcasts and partitions."""

    defaultParallelism = 1

    def __init__(self, value: Any = None) -> None:
        self.value = value

    @property
    def sparkContext(self) -> Here:
        return self

    def broadcast(self, value: Any) -> Here:
        return Here(value)

    def destroy(self) -> None:
        """Nothing was sent."""

    def parallelize(self, rows: Any, _: int) -> Here:
        return Here(rows)

    def mapPartitions(self, work: Callable[[Any], Any]) -> Here:
        return Here(list(work(self.value)))

    def collect(self) -> Any:
        return self.value


_evaluate = crossval.evaluate  # tests put `evaluate` in its place


def evaluate(spark: object, cells: Sequence[Cell], plan: Plan) -> list[Score]:
    """As `crossval.evaluate`, without Spark."""
    return _evaluate(cast(SparkSession, Here()), cells, plan)


def store(template: Path, folder: Path) -> Place:
    """A copy of an empty embedded store, which `Place` describes."""
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes((template / "mlflow.db").read_bytes())
    return Place(f"sqlite:///{folder / 'mlflow.db'}", folder)


def make_template(folder: Path) -> Path:
    """An empty store with all its tables, which take MLflow seconds to make."""
    tracking.connect(Place(f"sqlite:///{folder / 'mlflow.db'}", folder), "template")
    return folder


@contextmanager
def closed_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Every place of models is a server that is down; undo what it yields, and it is up."""
    connect = tracking.connect
    with socket.socket() as taken, monkeypatch.context() as patch:
        taken.bind(("127.0.0.1", 0))
        down = Place(f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}")
        patch.setattr(tracking, "connect", lambda where, experiment: connect(down, experiment))
        yield patch


def put_live(
    lake: Lake,
    tracker: Tracker,
    task: str,
    features: str,
    columns: Sequence[str],
    x: np.ndarray,
    y: np.ndarray,
    users: Sequence[str],
) -> Version:
    """Fit a model to rows, register it, and lay down that it is live and whom it was trained on."""
    model = f"selfie_{task}"
    fitted = crossval.fitted(x, y, PLAN)
    with tracker.training("by hand", f"by hand {task}", {}) as run, tempfile.TemporaryDirectory() as folder:
        noted = {"task": task, "features": features, "columns": list(columns), "c": 1.0, "gamma": "scale"}
        example = pd.DataFrame(x[:2], columns=list(columns))
        sha256 = models.save(fitted, example, Path(folder, "model"), {**noted, "search": False})
        run.folder(Path(folder, "model"), models.FOLDER)
    version = tracker.register(model, run.run_id, models.FOLDER, {})
    tracker.set_champion(model, version.version)
    lay(
        lake,
        "champions",
        [
            {
                "model": model,
                "version": version.version,
                "since": WHEN,
                "metric": "accuracy",
                "value": 0.5,
                "mlflow_run_id": run.run_id,
                "reason": "laid down",
                "model_sha256": sha256,
            }
        ],
    )
    trained = [{"model": model, "mlflow_run_id": run.run_id, "user_id": user, "part": "train"} for user in users]
    lay(lake, "training_splits", trained)
    return version
