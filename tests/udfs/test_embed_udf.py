"""Embeddings by UDF against those of the pass."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skimage.data
from PIL import Image
from pyspark.sql import SparkSession

from udfs import worker_cache
from udfs.embed_udf import embed_udf, embedding
from udfs.faces import FaceSettings
from udfs.networks import BACKBONES
from udfs.picture_pass import PassSpec, pin, run_pass

LITE0 = "efficientnet_lite0"
SPEC = PassSpec(embed=(LITE0,), label=(LITE0,), faces=FaceSettings(), device="cpu", batch_size=3)


def jpeg(name: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(getattr(skimage.data, name)()).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


GOOD = [jpeg(name) for name in ("astronaut", "chelsea", "coffee", "rocket", "camera")]


def by_the_pass(contents: list[bytes]) -> np.ndarray:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(map(str, range(len(contents)))), pa.array(contents), pa.nulls(len(contents), pa.list_(pa.string()))],
        names=["image_id", "content", "need"],
    )
    (spec,) = (PassSpec(embed=(LITE0,), label=(), faces=None, device="cpu"),)
    rows = [row for out in run_pass(iter([batch]), spec) for row in out.to_pylist()]
    return np.array([row["embeddings"][0]["embedding"] for row in rows])


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    made: np.ndarray = (found * expected).sum(axis=1) / lengths
    return made


@pytest.mark.model
def test_in_a_dataframe_and_in_sql(spark: SparkSession) -> None:
    function = embed_udf(pin(SPEC))
    rows = [(n, bytearray(content)) for n, content in enumerate(GOOD)]
    frame = spark.createDataFrame(
        [*rows, (5, None), (6, bytearray()), (7, bytearray(GOOD[0][:500]))], "n int, content binary"
    )
    expected = by_the_pass(GOOD)
    spark.udf.register("embed_lite0", function)
    frame.createOrReplaceTempView("pictures")
    for answer in (
        frame.select("n", function("content").alias("vector")),
        spark.sql("select n, embed_lite0(content) as vector from pictures"),
    ):
        found = {row["n"]: row["vector"] for row in answer.collect()}
        assert [found[n] for n in (5, 6, 7)] == [None, None, None]
        assert cosines(np.array([found[n] for n in range(5)]), expected).min() > 0.99999


@pytest.mark.model
def test_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    worker_cache.clear()

    def batches() -> Iterator[pd.Series]:
        yield pd.Series([], dtype=object)
        yield pd.Series([GOOD[0], b"no picture", *GOOD[1:4], None], index=range(10, 16))
        yield pd.Series([None])
        yield pd.Series([GOOD[4]])

    made = list(embedding(pin(SPEC))(batches()))
    assert [len(part) for part in made] == [0, 6, 1, 1]
    flat = [vector for part in made for vector in part]
    assert [vector is None for vector in flat] == [False, True, False, False, False, True, True, False]
    vectors = np.array([vector for vector in flat if vector is not None])
    assert vectors.shape == (5, BACKBONES[LITE0].width)
    assert cosines(vectors, by_the_pass(GOOD)).min() > 0.99999
    assert list(embedding(pin(SPEC))(iter([]))) == []


def test_one_network_at_a_time() -> None:
    with pytest.raises(ValueError, match="takes one network, not 2: efficientnet_lite0, vgg16"):
        embed_udf(PassSpec(embed=(LITE0, "vgg16"), label=(), faces=None))
