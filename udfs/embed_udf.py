"""Embeddings as a pandas UDF, for DataFrames and SQL over pictures of any table. Runs on executors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from udfs.decode import DecodeError, decode
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.picture_pass import Loader, Models, PassSpec, load_models, ready

Embed = Callable[[Iterator[pd.Series]], Iterator[pd.Series]]


def embed_udf(spec: PassSpec, loader: Loader = load_models) -> Any:
    """An iterator pandas UDF from encoded pictures to the embedding of a backbone.

    `embed_udf(pin(spec))` is a function of a binary column; `spark.udf.register("embed_resnet50", ...)` makes it one of
    SQL. A picture that cannot be decoded, NULL and empty bytes give NULL: unlike the pass, a UDF has no row for the
    reason. Vectors are those of the pass with the same spec.

    Args:
        spec: has one network in `embed`, and nothing else is made of it; `udfs.picture_pass.pin` it on the driver, so
            that all executors use the same weights and precision.
        loader: makes the models; called once a worker.

    Returns:
        A pandas UDF, array<float> of the backbone's width.

    Raises:
        ValueError: `spec` names no network to embed with, or several.
    """
    from pyspark.sql.pandas.functions import pandas_udf

    return pandas_udf(embedding(spec, loader), "array<float>")  # type: ignore[call-overload]


def embedding(spec: PassSpec, loader: Loader = load_models) -> Embed:
    """The function behind `embed_udf`: iterators of series of bytes to series of float32 arrays or None."""
    if len(spec.embed) != 1:
        raise ValueError(f"embed_udf takes one network, not {len(spec.embed)}: {', '.join(spec.embed)}")
    (name,) = spec.embed
    alone = replace(spec, label=(), faces=None, picture_timeout=0)

    def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        models: Models | None = None
        for contents in batches:
            if models is None and len(contents):
                models = ready(alone, loader)
            yield pd.Series(_vectors(contents, name, alone, models) if models is not None else [], dtype=object)

    # pyspark tells the kind of a pandas UDF by its hints, which are names here (PEP 563) and not importable there.
    embed.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return embed


def _vectors(contents: pd.Series, name: str, spec: PassSpec, models: Models) -> list[np.ndarray[Any, Any] | None]:
    made: list[np.ndarray[Any, Any] | None] = [None] * len(contents)
    for begin in range(0, len(contents), spec.batch_size):
        crops = {}
        for at, content in enumerate(contents.iloc[begin : begin + spec.batch_size], begin):
            square = _crop(content, name, spec)
            if square is not None:
                crops[at] = square
        if crops:
            vectors = models.networks.forward(name, np.stack(list(crops.values()))).embeddings
            for at, vector in zip(crops, vectors, strict=True):
                made[at] = vector
    return made


def _crop(content: bytes | None, name: str, spec: PassSpec) -> np.ndarray[Any, Any] | None:
    try:
        return crop(decode(content, spec.max_pixels, spec.min_side), BACKBONES[name])
    except DecodeError:
        return None
