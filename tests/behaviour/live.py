"""Lakes with the user tables of planted users, stores of models that cost no start-up, and models put live by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from profilelake.lake import Lake
from profilelake.training import crossval, models, tracking
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


def store(template: Path, folder: Path) -> Place:
    """A copy of an empty embedded store, which `Place` describes."""
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes((template / "mlflow.db").read_bytes())
    return Place(f"sqlite:///{folder / 'mlflow.db'}", folder)


def make_template(folder: Path) -> Path:
    """An empty store with all its tables, which take MLflow seconds to make."""
    tracking.connect(Place(f"sqlite:///{folder / 'mlflow.db'}", folder), "template")
    return folder


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
