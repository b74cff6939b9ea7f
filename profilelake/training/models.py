"""Fitted scikit-learn models as files: written in MLflow's format, read without running what a file says.

A file is of skops, which builds an object of named types only. MLflow's own loader would take the list of trusted
types from the file that it loads; here it is `TRUSTED`, and the file must have the sha256 that the lake recorded.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from profilelake.errors import ProfilelakeError

FOLDER = "model"
_FILE = "model.skops"
# What a calibrated classifier, and one whose parameters were searched for, holds beside what skops knows.
TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.metrics._classification.accuracy_score",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.StratifiedKFold",
)


class UnusableModel(ProfilelakeError):
    """A model's files are missing, or are not what was written."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that was read, and what was noted of it when it was written."""

    estimator: Any
    metadata: Mapping[str, Any]


def save(estimator: Any, example: pd.DataFrame, folder: Path, metadata: Mapping[str, Any]) -> str:
    """Write a fitted classifier with signature, input example and what else a reader needs to use it.

    Args:
        estimator: has `predict_proba`.
        example: some rows of its input, columns named.
        folder: is made.
        metadata: of what YAML can say.

    Returns:
        sha256 of the model's own file.
    """
    import mlflow.sklearn
    import sklearn
    import skops
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    # every column may be missing: the classifier imputes it
    inputs = Schema([ColSpec("double", name, required=False) for name in example.columns])
    outputs = Schema([ColSpec("double", f"probability_of_{label}") for label in estimator.classes_])
    with warnings.catch_warnings():
        # rows are arrays where we fit and score, and carry names for a reader of the example only
        warnings.filterwarnings("ignore", message="X has feature names")
        mlflow.sklearn.save_model(
            estimator,
            str(folder),
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED),
            signature=ModelSignature(inputs, outputs),
            input_example=example,
            pyfunc_predict_fn="predict_proba",
            # said, since finding them out would start another Python for each model
            pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"skops=={skops.__version__}"],
            metadata=dict(metadata),
        )
    return _sha256(folder / _FILE)


def load(folder: Path, sha256: str | None) -> Loaded:
    """Read what `save` wrote.

    Args:
        folder: the files of one model.
        sha256: what the model's file must hash to; None: it is not known.

    Raises:
        UnusableModel: a file is missing or is another one, or holds types that no model of ours does.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    file = folder / _FILE
    try:
        found = _sha256(file)
        noted = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")).get("metadata") or {}
    except OSError as error:
        raise UnusableModel(f"the model in {folder} cannot be read: {error.strerror or error}") from error
    if sha256 is not None and found != sha256:
        raise UnusableModel(
            f"{_FILE} has sha256 {found}, but the model that went live had {sha256}: its file was changed since, and "
            "is not loaded"
        )
    try:
        return Loaded(skops.io.load(file, trusted=list(TRUSTED)), noted)
    except UntrustedTypesFoundException as error:
        raise UnusableModel(f"{file} holds types that no model of profilelake has: {error}") from error


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
