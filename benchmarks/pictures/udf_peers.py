"""How others run a network over a column of pictures in Spark. Runs on executors, which import it by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, FloatType

from benchmarks.pictures.networks import our_network, torch_network
from udfs.networks import BACKBONES
from udfs.picture_pass import PassSpec, ready

VECTOR = ArrayType(FloatType())
# Pictures that go through the network together in the usual recipe.
_BATCH = 32


def recipe_udf(name: str, path: str | None) -> Any:
    """The usual recipe: an iterator pandas UDF that loads the network once a task, PIL, torchvision's transforms, and
    torch as it comes (float32, eager)."""

    @pandas_udf(VECTOR)  # type: ignore[call-overload, untyped-decorator]
    def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        embed_batch = torch_network(name, path)
        for contents in batches:
            made = [
                vector
                for at in range(0, len(contents), _BATCH)
                for vector in embed_batch(list(contents.iloc[at : at + _BATCH]))
            ]
            yield pd.Series(made)

    return embed


def batch_udf(spec: PassSpec) -> Any:
    """pyspark.ml's `predict_batch_udf` around our decode and our runtime."""

    def make_predict() -> Callable[[npt.NDArray[np.object_]], npt.NDArray[np.float32]]:
        embed = our_network(spec)

        def predict(contents: npt.NDArray[np.object_]) -> npt.NDArray[np.float32]:
            return embed(list(contents))

        return predict

    return predict_batch_udf(make_predict, return_type=VECTOR, batch_size=spec.batch_size)


def warm(batches: Iterable[pa.RecordBatch], spec: PassSpec) -> Iterator[pa.RecordBatch]:
    """Load a pass's models in this worker and run them on blank pictures. For `mapInArrow`."""
    models = ready(spec)
    for batch in batches:
        for name in spec.networks:
            side = BACKBONES[name].crop
            for _ in range(4):
                models.networks.forward(name, np.zeros((spec.batch_size, side, side, 3), np.uint8))
        yield batch


def swallow(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take pictures over from the JVM and do nothing with them. For `mapInArrow`."""
    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([batch.num_rows])], names=["n"])
