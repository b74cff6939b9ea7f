"""The pass with networks that tell which pictures they were fed, and once with real ones."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from profilelake.images.classes import imagenet_labels
from udfs import picture_pass, worker_cache
from udfs.embedder import Output
from udfs.faces import Face, FaceSettings
from udfs.networks import BACKBONES
from udfs.picture_pass import OUTPUT_DDL, Models, PassSpec, describe, output_schema, pin, run_pass
from udfs.weights import WeightsError

LITE0, LITE1 = "efficientnet_lite0", "efficientnet_lite1"
SPEC = PassSpec(embed=(LITE0,), label=(LITE0,), faces=FaceSettings(), batch_size=4)
CRASHING = (13, 13, 13)  # the colour of a picture that no network survives
STRANGE = (77, 77, 77)  # the colour of a picture that gives NaN


class FakeNetworks:
    """A vector is the mean colour of the crop; the class is its red. Remembers what it was fed."""

    def __init__(self, broken: bool = False) -> None:
        self.calls: list[tuple[str, int]] = []
        self.broken = broken

    def forward(self, name: str, pixels: np.ndarray) -> Output:
        self.calls.append((name, len(pixels)))
        side = BACKBONES[name].crop
        assert pixels.shape[1:] == (side, side, 3)
        colours = pixels.mean(axis=(1, 2)).astype(np.float32)
        if self.broken or (np.rint(colours) == CRASHING).all(axis=1).any():
            raise RuntimeError("out of memory:\n tried to allocate")
        vectors = np.zeros((len(pixels), BACKBONES[name].width), np.float32)
        vectors[:, :3] = colours
        vectors[(np.rint(colours) == STRANGE).all(axis=1)] = np.nan
        logits = np.zeros((len(pixels), 1000), np.float32)
        logits[np.arange(len(pixels)), np.rint(colours[:, 0]).astype(int)] = 3.0
        return Output(vectors, logits)


class FakeDetector:
    """One face in every picture; raises for a red one."""

    def detect(self, pictures: Sequence[np.ndarray]) -> list[list[Face]]:
        if any((picture[0, 0] == (255, 0, 0)).all() for picture in pictures):
            raise IndexError("no such box")
        return [[Face(0.25, 0.5, 0.5, 0.25, 0.99)] for _ in pictures]


made: list[FakeNetworks] = []


def fake_loader(spec: PassSpec, where: str) -> Models:
    made.append(FakeNetworks())
    return Models(made[-1], FakeDetector() if spec.faces is not None else None)


def broken_loader(spec: PassSpec, where: str) -> Models:
    return Models(FakeNetworks(broken=True), None)


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    worker_cache.clear()
    made.clear()
    yield
    worker_cache.clear()


def picture(colour: tuple[int, int, int], kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def batch(rows: Sequence[tuple[str, bytes | None, list[str] | None]]) -> pa.RecordBatch:
    ids, contents, needs = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.RecordBatch.from_arrays(
        [pa.array(ids, pa.string()), pa.array(contents, pa.binary()), pa.array(needs, pa.list_(pa.string()))],
        names=["image_id", "content", "need"],
    )


def passed(batches: list[pa.RecordBatch], spec: PassSpec = SPEC, loader: Any = fake_loader) -> list[dict[str, Any]]:
    rows = []
    for out in run_pass(iter(batches), spec, loader):
        assert out.schema.equals(output_schema())
        rows += out.to_pylist()
    return rows


ALL = [LITE0, "faces"]


def test_one_row() -> None:
    (row,) = passed([batch([("a", picture((200, 100, 50)), ALL)])])
    assert row["image_id"] == "a"
    assert row["error"] is None
    (vector,) = row["embeddings"]
    assert vector["backbone"] == LITE0
    assert len(vector["embedding"]) == 1280
    assert vector["embedding"][:3] == [200, 100, 50]
    assert [label["rank"] for label in row["labels"]] == [1, 2, 3, 4, 5]
    best = row["labels"][0]
    assert (best["network"], best["class_index"]) == (LITE0, 200)
    # softmax of one 3 and 999 zeros
    assert best["score"] == pytest.approx(np.exp(3) / (np.exp(3) + 999), rel=1e-6)
    assert row["labels"][1]["score"] == pytest.approx(1 / (np.exp(3) + 999), rel=1e-6)
    # equal scores: the lower class first
    assert [label["class_index"] for label in row["labels"][1:]] == [0, 1, 2, 3]
    assert row["faces"] == {
        "faces": 1,
        "boxes": [{"x": 0.25, "y": 0.5, "width": 0.5, "height": 0.25, "score": 0.99}],
        "largest_face_share": 0.125,
    }
    assert row["decode_seconds"] > 0
    assert row["network_seconds"] > 0
    assert row["face_seconds"] > 0
    assert row["peak_bytes"] > 10 * 2**20


def test_empty_partition_loads_nothing() -> None:
    assert passed([]) == []
    assert passed([batch([]), batch([])]) == []
    assert worker_cache.load_count() == 0


def test_null_image() -> None:
    good, bad = passed([batch([("a", picture((1, 2, 3)), ALL), ("b", None, ALL)])])
    assert good["error"] is None
    assert bad["error"]["reason"] == "image_failed"
    assert (bad["embeddings"], bad["labels"], bad["faces"]) == ([], [], None)


def test_truncated_file_does_not_hurt_its_batch() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    out = io.BytesIO()
    noise.save(out, "JPEG")
    whole = out.getvalue()
    rows = passed(
        [
            batch(
                [
                    ("a", picture((10, 0, 0)), [LITE0]),
                    ("b", whole[: len(whole) // 2], [LITE0]),
                    ("c", picture((20, 0, 0)), [LITE0]),
                    ("d", b"no picture", [LITE0]),
                    ("e", picture((30, 0, 0), size=(400, 400)), [LITE0]),
                ]
            )
        ],
        PassSpec(embed=(LITE0,), label=(), faces=None, max_pixels=100_000),
    )
    reasons = {row["image_id"]: row["error"] and row["error"]["reason"] for row in rows}
    assert reasons == {
        "a": None,
        "b": "image_truncated",
        "c": None,
        "d": "image_failed",
        "e": "image_too_many_pixels",
    }
    assert [row["embeddings"][0]["embedding"][0] for row in rows if row["error"] is None] == [10, 20]
    assert all(row["error"]["detail"] for row in rows if row["error"])


def test_model_batches_do_not_follow_arrow_batches() -> None:
    content = {f"{n:02}": picture((n, 0, 0)) for n in range(11)}
    rows = [(name, data, [LITE0]) for name, data in content.items()]
    found = passed([batch(rows[:3]), batch([]), batch(rows[3:4]), batch(rows[4:])])
    assert [row["image_id"] for row in found] == list(content)
    assert [row["embeddings"][0]["embedding"][0] for row in found] == list(range(11))
    assert made[0].calls == [(LITE0, 4), (LITE0, 4), (LITE0, 3)]


def test_only_what_a_picture_needs_is_made_and_a_network_in_both_runs_once() -> None:
    spec = PassSpec(embed=(LITE0,), label=(LITE0, LITE1), faces=FaceSettings(), batch_size=8)
    rows = passed(
        [
            batch(
                [
                    ("faces", picture((1, 1, 1)), ["faces"]),
                    ("both", picture((2, 2, 2)), [LITE1, LITE0]),
                    ("one", picture((3, 3, 3)), [LITE1]),
                    ("nothing", picture((4, 4, 4)), []),
                    ("all", picture((5, 5, 5)), None),
                ]
            )
        ],
        spec,
    )
    made_of = {
        row["image_id"]: (
            [vector["backbone"] for vector in row["embeddings"]],
            sorted({label["network"] for label in row["labels"]}),
            row["faces"] is not None,
        )
        for row in rows
    }
    assert made_of == {
        "faces": ([], [], True),
        "both": ([LITE0], [LITE0, LITE1], False),
        "one": ([], [LITE1], False),
        "nothing": ([], [], False),
        "all": ([LITE0], [LITE0, LITE1], True),
    }
    assert made[0].calls == [(LITE0, 2), (LITE1, 3)]
    assert all(row["error"] is None for row in rows)


def test_a_need_that_the_pass_does_not_have() -> None:
    with pytest.raises(ValueError, match="picture a needs vgg16; this pass has efficientnet_lite0, faces"):
        passed([batch([("a", picture((1, 1, 1)), ["vgg16"])])])


def test_a_picture_that_crashes_a_network_fails_alone() -> None:
    rows = passed(
        [
            batch(
                [
                    ("a", picture((10, 0, 0)), ALL),
                    ("b", picture(CRASHING), ALL),
                    ("c", picture((20, 0, 0)), ALL),
                    ("d", picture(STRANGE), ALL),
                ]
            )
        ]
    )
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert rows[1]["error"] == {
        "reason": "image_failed",
        "detail": "efficientnet_lite0 failed: out of memory: tried to allocate",
    }
    assert "not finite" in rows[3]["error"]["detail"]
    assert [row["embeddings"][0]["embedding"][0] for row in (rows[0], rows[2])] == [10, 20]
    # Nothing of a failed picture is kept, its faces neither.
    assert (rows[1]["embeddings"], rows[1]["labels"], rows[1]["faces"]) == ([], [], None)


def test_a_network_that_fails_for_every_picture_fails_the_task() -> None:
    spec = PassSpec(embed=(LITE0,), label=(), faces=None)
    with pytest.raises(RuntimeError, match="out of memory"):
        passed([batch([("a", picture((1, 1, 1)), None)])], spec, broken_loader)


def test_a_picture_that_crashes_the_face_detector_fails_alone() -> None:
    rows = passed([batch([("a", picture((255, 0, 0)), ALL), ("b", picture((1, 1, 1)), ALL)])])
    assert rows[0]["error"] == {"reason": "image_failed", "detail": "face detection failed: no such box"}
    assert rows[0]["embeddings"] == []
    assert rows[1]["error"] is None


def test_models_load_once_a_worker_whatever_changes_but_the_models() -> None:
    rows = [batch([("a", picture((1, 1, 1)), [LITE0])])]
    for spec in (
        SPEC,
        SPEC,
        PassSpec(embed=(LITE0,), label=(), faces=FaceSettings(), batch_size=4, max_pixels=5000, decode_margin=2),
    ):
        passed(rows, spec)
    assert worker_cache.load_count() == 1
    passed(rows, PassSpec(embed=(LITE0,), label=(LITE1,), faces=FaceSettings(), batch_size=4))
    assert worker_cache.load_count() == 2


def test_the_two_forms_of_the_schema_agree(spark: SparkSession) -> None:
    def shape(kind: pa.DataType) -> Any:
        if pa.types.is_struct(kind):
            return [(kind[at].name, shape(kind[at].type)) for at in range(kind.num_fields)]
        return [shape(kind.value_type)] if pa.types.is_list(kind) else str(kind)

    spark_form = to_arrow_schema(spark.createDataFrame([], OUTPUT_DDL).schema)
    assert [(f.name, shape(f.type)) for f in spark_form] == [(f.name, shape(f.type)) for f in output_schema()]


def test_the_spec_travels() -> None:
    assert pickle.loads(pickle.dumps(SPEC)) == SPEC  # noqa: S301  our own bytes
    assert hash(SPEC) == hash(pickle.loads(pickle.dumps(SPEC)))  # noqa: S301


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed": ("resnet51",)}, "no network is called 'resnet51'; there are alexnet"),
        ({"label": (LITE0, LITE0)}, "named twice"),
        ({"weights": (("resnet18", "x"),)}, "no network is called 'resnet18'"),
        ({"embed": (), "label": (), "faces": None}, "nothing to do"),
        ({"device": "tpu"}, "auto, cpu, cuda, not 'tpu'"),
        ({"precision": "fp8"}, "auto, fp32, bf16, fp16, not 'fp8'"),
        ({"device_decode": True}, "needs images.device=cuda, not auto"),
        ({"batch_size": 0}, "at least 1"),
        ({"decode_margin": -1}, "at least 0"),
    ],
)
def test_impossible_specs(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PassSpec(**{"embed": (LITE0,), "label": (), "faces": None, **change})


def test_describe_says_weights_preprocessing_and_width() -> None:
    spec = PassSpec(embed=(LITE0,), label=(LITE1,), faces=FaceSettings())
    described = describe(spec)
    assert list(described) == [LITE0, LITE1]
    assert described[LITE0].weights_sha256.startswith("57934424")
    assert described[LITE0].preprocessing == "resize256-bicubic-crop224-fullsize-fp32"
    assert described[LITE1].preprocessing == "resize272-bicubic-crop240-fullsize-fp32"
    assert described[LITE1].width == 1280


@pytest.mark.parametrize(
    ("margin", "long_side", "min_side"), [(0, 320, 0), (1, 320, 320), (1, None, 320), (2, 320, 640), (1, 400, 400)]
)
def test_the_decode_margin_starves_nobody(margin: int, long_side: int | None, min_side: int) -> None:
    faces = None if long_side is None else FaceSettings(long_side=long_side)
    spec = PassSpec(embed=(LITE0,), label=(), faces=faces, decode_margin=margin)
    assert spec.min_side == min_side
    expected = f"minside{min_side}" if min_side else "fullsize"
    assert describe(spec)[LITE0].preprocessing == f"resize256-bicubic-crop224-{expected}-fp32"


@pytest.mark.parametrize(
    ("asked", "device", "processor", "settled"),
    [
        ("fp32", "auto", True, "fp32"),
        ("bf16", "auto", False, "bf16"),
        ("auto", "auto", True, "bf16"),
        ("auto", "cpu", False, "fp32"),
        ("auto", "cuda", False, "bf16"),
    ],
)
def test_the_precision_is_settled_once_for_all_executors(
    monkeypatch: pytest.MonkeyPatch, asked: Any, device: str, processor: bool, settled: str
) -> None:
    monkeypatch.setattr(picture_pass, "has_bf16", lambda: processor)
    spec = PassSpec(embed=(LITE0,), label=(), faces=None, device=device, precision=asked)
    assert pin(spec).precision == settled
    assert describe(spec)[LITE0].preprocessing.endswith(f"-{settled}")


def test_decoding_ahead_changes_nothing_but_time() -> None:
    rows = [(str(n), picture((n, 0, 0)) if n % 5 else b"bad", [LITE0]) for n in range(40)]
    batches = [batch(rows[:7]), batch(rows[7:])]
    timeless = [
        [{key: value for key, value in row.items() if "seconds" not in key and key != "peak_bytes"} for row in found]
        for found in (
            passed(batches, PassSpec(embed=(LITE0,), label=(), faces=None, batch_size=4, threads=threads))
            for threads in (1, 3)
        )
    ]
    assert timeless[0] == timeless[1]
    assert [row["image_id"] for row in timeless[1]] == [name for name, _, _ in rows]


def test_describe_refuses_wrong_weights(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")
    base = {"embed": ("resnet50",), "label": (), "faces": None, "weights": (("resnet50", str(path)),)}
    assert describe(PassSpec(**base))["resnet50"].weights_sha256 == hashlib.sha256(b"mine").hexdigest()
    with pytest.raises(WeightsError, match=r"images\.weights\.resnet50.*mine\.pth has sha256 .*, expected 00"):
        describe(PassSpec(**base, weights_sha256=(("resnet50", "0" * 64),)))


def test_a_pinned_pass_refuses_other_weights_on_an_executor(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")
    spec = pin(PassSpec(embed=("resnet50",), label=(), faces=None, weights=(("resnet50", str(path)),)))
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="not the expected ones"):
        picture_pass.load_models(spec, "cpu")


@pytest.mark.model
def test_real_networks_on_real_photographs() -> None:
    def jpeg(pixels: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=92)
        return out.getvalue()

    rows = passed(
        [
            batch([("cat", jpeg(skimage.data.chelsea()), ALL), ("bad", b"\xff\xd8\xff\xe0", ALL)]),
            batch([("person", jpeg(skimage.data.astronaut()), ALL)]),
        ],
        PassSpec(embed=(LITE0,), label=(LITE0,), faces=FaceSettings(), device="cpu"),
        picture_pass.load_models,
    )
    cat, bad, person = rows
    assert imagenet_labels()[cat["labels"][0]["class_index"]] in {"tabby", "tiger cat", "Egyptian cat"}
    assert 0 < cat["labels"][0]["score"] <= 1
    assert cat["faces"] == {"faces": 0, "boxes": [], "largest_face_share": 0.0}
    assert person["faces"]["faces"] == 1
    assert 0.02 < person["faces"]["largest_face_share"] < 0.1
    assert bad["error"]["reason"] == "image_truncated"


@pytest.mark.model
def test_models_load_once_a_python_worker(spark: SparkSession) -> None:
    """Two jobs of six tasks each in two workers: whoever ran tasks loaded once."""
    spec = PassSpec(embed=(), label=(), faces=FaceSettings(min_score=0.123), device="cpu")  # no other test's

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        before = worker_cache.load_count()
        n = sum(out.num_rows for out in run_pass(batches, spec))
        loads = worker_cache.load_count() - before
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "loads": [loads], "n": [n]})

    content = picture((9, 9, 9), "JPEG", (64, 64))
    frame = spark.createDataFrame(
        [(str(n), bytearray(content), ["faces"]) for n in range(24)],
        "image_id string, content binary, need array<string>",
    ).repartition(6)
    seen = [row for _ in range(2) for row in frame.mapInArrow(counted, "pid long, loads long, n long").collect()]
    assert sum(row["n"] for row in seen) == 48
    workers = {row["pid"] for row in seen if row["n"]}
    assert len(workers) < len(seen)
    assert {pid: sum(row["loads"] for row in seen if row["pid"] == pid) for pid in workers} == dict.fromkeys(workers, 1)
