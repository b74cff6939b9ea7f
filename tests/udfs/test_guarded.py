"""Pictures that end the process that looks at them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tests.udfs.crashing import CRASHES, HANGS, Detector
from udfs.embedder import Output
from udfs.faces import FaceSettings
from udfs.guarded import run_guarded
from udfs.networks import BACKBONES
from udfs.picture_pass import Models, PassSpec, run_pass

LITE0 = "efficientnet_lite0"
GOOD = (0, 200, 0)
VOLATILE = ("decode_seconds", "network_seconds", "face_seconds", "peak_bytes")


class Networks:
    """A vector is the mean colour."""

    def forward(self, name: str, pixels: np.ndarray) -> Output:
        vectors = np.zeros((len(pixels), BACKBONES[name].width), np.float32)
        vectors[:, :3] = pixels.mean(axis=(1, 2))
        return Output(vectors, np.zeros((len(pixels), 1000), np.float32))


def loader(spec: PassSpec, where: str) -> Models:
    return Models(Networks(), Detector())


def dying_loader(spec: PassSpec, where: str) -> Models:
    raise ValueError("no such network here")


def spec(timeout: int = 0) -> PassSpec:
    return PassSpec(embed=(LITE0,), label=(), faces=FaceSettings(), batch_size=4, picture_timeout=timeout)


def batch(colours: Sequence[tuple[int, int, int]]) -> pa.RecordBatch:
    contents = []
    for colour in colours:
        out = io.BytesIO()
        Image.new("RGB", (40, 30), colour).save(out, "PNG")
        contents.append(out.getvalue())
    ids = [str(at) for at in range(len(contents))]
    need = pa.nulls(len(ids), pa.list_(pa.string()))
    return pa.RecordBatch.from_arrays([pa.array(ids), pa.array(contents), need], names=["image_id", "content", "need"])


def rows(found: list[pa.RecordBatch]) -> list[dict[str, object]]:
    return [{name: row[name] for name in row if name not in VOLATILE} for part in found for row in part.to_pylist()]


def test_good_pictures_give_what_the_pass_gives() -> None:
    pictures = batch([GOOD, (9, 8, 7), (1, 2, 3), GOOD, (5, 5, 5)])
    expected = rows(list(run_pass(iter([pictures]), spec(), loader)))
    assert rows(list(run_guarded(iter([pictures, pictures.slice(0, 0)]), spec(), loader))) == expected


def test_a_crash_costs_the_picture_and_no_other() -> None:
    found = rows(list(run_guarded(iter([batch([GOOD, CRASHES, GOOD, GOOD, CRASHES, GOOD])]), spec(), loader)))
    assert [row["image_id"] for row in found] == ["0", "1", "2", "3", "4", "5"]
    crashed = {"reason": "image_crashed", "detail": "looking at it ended the process (SIGSEGV)"}
    assert [row["error"] for row in found] == [None, crashed, None, None, crashed, None]
    assert [len(row["embeddings"]) for row in found] == [1, 0, 1, 1, 0, 1]  # type: ignore[arg-type]


def test_a_picture_that_hangs_is_given_up() -> None:
    found = rows(list(run_guarded(iter([batch([HANGS])]), spec(timeout=3), loader)))
    assert [row["error"] for row in found] == [
        {"reason": "image_timeout", "detail": "looking at it took longer than 3 s"}
    ]


def test_what_is_no_pictures_fault_is_raised() -> None:
    with pytest.raises(RuntimeError, match="ValueError: no such network here"):
        list(run_guarded(iter([batch([GOOD])]), spec(), dying_loader))


def test_the_pass_ends_its_process_at_the_limit() -> None:
    child = os.fork()
    if child == 0:
        list(run_pass(iter([batch([HANGS])]), spec(timeout=1), loader))
        os._exit(0)  # not reached
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
