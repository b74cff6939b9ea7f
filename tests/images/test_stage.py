"""The picture pass on Spark, on real photographs with a real network."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
import torch
from PIL import Image
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from profilelake.config import Config
from profilelake.errors import ConfigError, TooManyBadRecords
from profilelake.images import stage as images
from profilelake.lake import Lake
from tests.conftest import Place, contents, versions
from tests.lakes import lay, lay_posts
from tests.udfs import crashing
from udfs.picture_pass import PassSpec, run_pass

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("unlocked")]


def jpeg(name: str) -> bytes:
    held = io.BytesIO()
    Image.fromarray(getattr(skimage.data, name)()).convert("RGB").save(held, "JPEG", quality=90)
    return held.getvalue()


def plain(shade: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (60, 60), (shade, 90, 90)).save(held, "JPEG")
    return held.getvalue()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


GOOD = [jpeg(name) for name in ("astronaut", "chelsea", "coffee", "rocket")]
BROKEN = GOOD[1][: len(GOOD[1]) // 2]


def put(lake: Lake, pictures: list[bytes]) -> None:
    lay(
        lake,
        "images",
        [{"image_id": sha(content), "content": bytearray(content), "n_bytes": len(content)} for content in pictures],
    )


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put(lake, [*GOOD, BROKEN])
    lay_posts(
        lake,
        [{"post_id": "test:1", "user_id": "test:a"}, {"post_id": "test:2", "user_id": "test:b"}],
        {"test:1": [sha(content) for content in (*GOOD, BROKEN)], "test:2": [sha(BROKEN)]},
    )
    return lake


def test_every_new_picture_is_looked_at_once(filled: Lake, lake_config: Config) -> None:
    report = images.run(filled.spark, lake_config)
    assert (report.rows_in, report.rows_out, report.rows_quarantined) == (5, 4, 1)

    vectors = filled.read("image_embeddings").collect()
    assert {row.image_id for row in vectors} == {sha(content) for content in GOOD}
    assert {len(row.embedding) for row in vectors} == {1280}
    assert all(np.isfinite(row.embedding).all() for row in vectors)

    best = {row.image_id: row.label for row in filled.read("image_labels").where("rank = 1").collect()}
    assert best[sha(GOOD[1])] in ("tabby", "Egyptian cat", "tiger cat", "lynx")
    assert best[sha(GOOD[2])] in ("espresso", "cup", "coffee mug")
    ranks = filled.read("image_labels").groupBy("image_id").agg(F.sort_array(F.collect_list("rank")).alias("ranks"))
    assert {tuple(row.ranks) for row in ranks.collect()} == {(1, 2, 3, 4, 5)}

    faces = {row.image_id: row for row in filled.read("image_faces").collect()}
    assert faces[sha(GOOD[0])].faces == 1
    assert faces[sha(GOOD[0])].largest_face_share == pytest.approx(0.035, abs=0.02)
    assert faces[sha(GOOD[3])].faces == 0

    refused = filled.read("quarantine").orderBy("record_id").collect()
    assert [(row.stage, row.record_id, row.user_id, row.reason, row.attempts) for row in refused] == [
        ("images", "test:1#4", "test:a", "image_truncated", 1),
        ("images", "test:2#0", "test:b", "image_truncated", 1),
    ]


def test_every_picture_is_looked_at_once_for_all_tables(
    filled: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = filled.spark.sparkContext.accumulator(0)

    def counting(batches: Iterable[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
        def counted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                looked.add(batch.num_rows)
                yield batch

        return run_pass(counted(), spec)

    monkeypatch.setattr(images, "_on_executor", counting)
    images.run(filled.spark, lake_config)
    assert looked.value == 5


def test_a_table_of_new_pictures_is_looked_at_where_it_lies(
    lake: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_PICTURES_A_TASK", 2)
    pictures = [*GOOD, jpeg("camera")]
    put(lake, pictures)
    plans: list[str] = []

    def noting(pictures: DataFrame, spec: PassSpec) -> object:
        plans.append(pictures._jdf.queryExecution().executedPlan().toString())  # type: ignore[operator]
        return real(pictures, spec)

    real = images._look_at
    monkeypatch.setattr(images, "_look_at", noting)
    assert images.run(lake.spark, lake_config).rows_out == 5
    put(lake, [plain(shade) for shade in range(0, 200, 50)])
    assert images.run(lake.spark, lake_config).rows_out == 4
    moved = ["hashpartitioning(image_id" in plan for plan in plans]
    assert moved == [False, True]  # the second time most of the table was known
    assert lake.read("image_embeddings").count() == 9


@pytest.mark.slow
def test_a_rerun_writes_nothing_and_new_pictures_leave_old_rows_alone(filled: Lake, lake_config: Config) -> None:
    images.run(filled.spark, lake_config)
    before = versions(filled)
    again = images.run(filled.spark, lake_config)
    assert again.rows_in == 0
    assert versions(filled) == before

    old = filled.read("image_embeddings").select("image_id", "run_id").collect()
    new = jpeg("camera")
    put(filled, [new])
    assert images.run(filled.spark, lake_config).rows_in == 1
    after = {row.image_id: row.run_id for row in filled.read("image_embeddings").collect()}
    assert {row.image_id: row.run_id for row in old}.items() <= after.items()
    assert set(after) == {sha(content) for content in (*GOOD, new)}


@pytest.mark.slow
def test_a_killed_pass_goes_on_where_it_stopped(
    filled: Lake, make_lake_config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_lake_config("images.chunk=2")  # type: ignore[operator]
    original = Lake.write
    calls = []

    def dies_later(self: Lake, table: str, *arguments: object, **named: object) -> object:
        calls.append(table)
        if table == "image_embeddings" and calls.count(table) == 2:
            raise RuntimeError("the plug was pulled")
        return original(self, table, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "write", dies_later)
    with pytest.raises(RuntimeError, match="plug"):
        images.run(filled.spark, config)
    monkeypatch.setattr(Lake, "write", original)
    assert 0 < filled.spark.table(filled.name("image_embeddings")).count() < 4
    images.run(filled.spark, config)
    killed = {name: contents(filled, name) for name in ("image_labels", "image_faces", "quarantine")}
    assert len(killed["image_labels"]) == 20
    assert len(killed["image_faces"]) == 4
    assert len(killed["quarantine"]) == 2


@pytest.mark.slow
def test_other_face_settings_make_faces_anew_and_nothing_else(filled: Lake, make_lake_config: object) -> None:
    images.run(filled.spark, make_lake_config())  # type: ignore[operator]
    before = versions(filled)
    report = images.run(filled.spark, make_lake_config("images.face_min_score=0.5"))  # type: ignore[operator]
    after = versions(filled)
    assert report.rows_in == 4  # the broken picture stays refused
    assert {name for name in after if after[name] != before[name]} == {"image_faces"}


def test_too_many_bad_pictures_end_the_run(filled: Lake, make_lake_config: object) -> None:
    with pytest.raises(TooManyBadRecords, match=r"1 of 5 new pictures \(20.0%\) cannot be decoded"):
        images.run(filled.spark, make_lake_config("quarantine.max_share=0.1"))  # type: ignore[operator]


@pytest.mark.slow
def test_a_picture_that_ends_its_worker_costs_no_other(
    filled: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(images, "_on_executor", crashing.run_pass)
    monkeypatch.setattr(images, "_with_care", crashing.run_guarded)
    deadly = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 0, 0)).save(deadly, "PNG")
    put(filled, [deadly.getvalue()])
    lay_posts(filled, [{"post_id": "test:3", "user_id": "test:a"}], {"test:3": [sha(deadly.getvalue())]})

    for attempt in (1, 2, 3):
        report = images.run(filled.spark, lake_config)
        assert (report.rows_in, report.rows_quarantined) == ((6, 2) if attempt == 1 else (1, 1))
        refused = filled.read("quarantine").where("reason = 'image_crashed'").collect()
        assert [(row.record_id, row.attempts) for row in refused] == [("test:3#0", attempt)]
        assert filled.read("image_embeddings").count() == 4
    assert images.run(filled.spark, lake_config).rows_in == 0
    assert "a picture ended the worker" in caplog.text


def test_weights_are_checked_before_spark_starts(make_config: object, tmp_path: Path) -> None:
    wrong = make_config(f"images.weights_sha256.efficientnet_lite0={'0' * 64}")  # type: ignore[operator]
    with pytest.raises(ConfigError, match="efficientnet"):
        images.check(wrong)
    other = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(2)}, other)
    for path, told in (
        (other, "does not hold the weights of efficientnet_lite0"),
        (Path(__file__), "no file of weights"),
    ):
        with pytest.raises(ConfigError, match=told):
            images.check(make_config(f"images.weights.efficientnet_lite0={path}"))  # type: ignore[operator]
    absent = make_config(f"images.weights.efficientnet_lite0={tmp_path / 'absent.pth'}")  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"absent\.pth"):
        images.check(absent)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that the test asks for in vain")
def test_a_gpu_that_is_not_there_is_said_before_spark_starts(make_config: object) -> None:
    with pytest.raises(ConfigError, match=r"images\.device is cuda.*set images\.device=cpu"):
        images.check(make_config("images.device=cuda"))  # type: ignore[operator]
    images.check(make_config("images.device=cuda", "spark.master=yarn"))  # type: ignore[operator]


def test_a_precision_that_the_processor_lacks_is_said(make_config: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udfs.runtime.has_bf16", lambda: False)
    monkeypatch.setattr("udfs.picture_pass.has_bf16", lambda: False)
    with pytest.raises(ConfigError, match=r"images\.precision asks for bf16"):
        images.check(make_config("images.precision=bf16"))  # type: ignore[operator]
    images.check(make_config("images.precision=auto"))  # type: ignore[operator]


@pytest.mark.slow
def test_the_same_lake_comes_out_for_any_batch_size_and_number_of_workers(
    filled: Lake, place: Place, make_lake_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, rest = {}, {}
    for size, tasks in ((1, 2), (7, 1), (64, 2)):
        config = make_lake_config(f"images.batch_size={size}")
        place.put_down()
        put(filled, [*GOOD, BROKEN])
        lay_posts(
            filled,
            [{"post_id": "test:1", "user_id": "test:a"}],
            {"test:1": [sha(content) for content in (*GOOD, BROKEN)]},
        )
        monkeypatch.setattr(images, "_PICTURES_A_TASK", 16 if tasks == 1 else 1)
        assert images.run(filled.spark, config).rows_out == 4
        vectors[size] = {row.image_id: np.array(row.embedding) for row in filled.read("image_embeddings").collect()}
        labels = filled.read("image_labels").select("image_id", "rank", "label").collect()
        faces = filled.read("image_faces").select("image_id", "faces").collect()
        refused = filled.read("quarantine").select("record_id", "reason").collect()
        rest[size] = (sorted(labels), sorted(faces), sorted(refused))
    for size in (7, 64):
        assert vectors[size].keys() == vectors[1].keys()
        for image_id, one in vectors[1].items():
            other = vectors[size][image_id]
            assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.9999
        assert rest[size] == rest[1]


@pytest.mark.slow
def test_a_raised_limit_gives_large_pictures_another_look(lake: Lake, make_lake_config: Callable[..., Config]) -> None:
    lay(
        lake,
        "images",
        [
            {"image_id": sha(content), "content": bytearray(content), "width": width, "height": height}
            for content, (width, height) in ((GOOD[0], (512, 512)), (GOOD[1], (451, 300)))
        ],
    )
    lay_posts(lake, [{"post_id": "test:1", "user_id": "test:a"}], {"test:1": [sha(GOOD[0]), sha(GOOD[1])]})
    low, high = (f"crawl.max_image_pixels={limit}" for limit in (200_000, 300_000))
    for limit, seen, refused in ((low, 2, 1), (low, 0, 0), (high, 1, 0), (high, 0, 0)):
        report = images.run(lake.spark, make_lake_config(limit))
        assert (report.rows_in, report.rows_quarantined) == (seen, refused)
    assert lake.read("quarantine").isEmpty()
