"""Probabilities by fitted classifiers that share their features. Runs on executors; numpy and scikit-learn only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from udfs.worker_start import settle

SCHEMA = "user_id string, task string, model_version string, probability double, evidence bigint"
Models = Mapping[tuple[str, str], Any]
Mapper = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class Held(Protocol):
    """A Spark broadcast of fitted classifiers by task and version, or what looks like one."""

    @property
    def value(self) -> Models: ...


def scorer(held: Held) -> Mapper:
    """For `mapInArrow`.

    Batches come with `user_id`, `evidence` and `features` (array<double>, NULL elements where missing); a row a model
    goes out for each (`SCHEMA`): the probability of class 1.
    """

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle()
        with threadpool_limits(1):  # Spark gives a task one core
            for batch in batches:
                if batch.num_rows:
                    yield from _scored(batch, held.value)

    return score


def _scored(batch: pa.RecordBatch, models: Models) -> Iterator[pa.RecordBatch]:
    rows = batch.num_rows
    features = batch.column("features")
    x = features.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(rows, -1)
    for (task, version), model in models.items():
        positive = list(model.classes_).index(1)
        probability = np.clip(model.predict_proba(x)[:, positive], 0.0, 1.0)
        yield pa.RecordBatch.from_arrays(
            [
                batch.column("user_id"),
                pa.array([task] * rows, pa.string()),
                pa.array([version] * rows, pa.string()),
                pa.array(probability, pa.float64()),
                batch.column("evidence"),
            ],
            names=["user_id", "task", "model_version", "probability", "evidence"],
        )
