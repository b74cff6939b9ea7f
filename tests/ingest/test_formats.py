"""Crawls of the formats that other programs write: sidecars of two crawlers, tables, and the real samples."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from profilelake.ingest import stage
from profilelake.lake import open_lake
from tests.conftest import SHARED_DATA, Place
from tests.ingest.crawls import ingest, instagram, picture, put, settings


def test_an_instaloader_crawl(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    stem = "ann/2023-11-14_22-13-20_UTC"
    put(crawl, f"{stem}.json.xz", instagram("one", __typename="GraphSidecar"))
    put(crawl, f"{stem}_1.jpg", picture(1))
    put(crawl, f"{stem}_2.jpg", picture(2))
    put(crawl, f"{stem}.txt", "another caption #Moon")
    put(crawl, "ann/2023-11-15_00-00-00_UTC.json.xz", b"\xfd7zXZ\0 cut short")
    put(crawl, "ann/2023-11-15_00-00-00_UTC.jpg", picture(3))
    put(crawl, "ann/2023-11-16_00-00-00_UTC.jpg", picture(4))
    put(crawl, "ann/2023-11-17_00-00-00_UTC.json.xz", b"")
    put(crawl, "ann/2023-11-17_00-00-00_UTC.jpg", picture(5))
    config = settings(empty, crawl, "crawl.format=instaloader")
    found = ingest(spark, config)
    assert found.report is not None
    assert set(found.posts) == {"instagram:one"}
    post = found.posts["instagram:one"]
    assert (post["user_id"], post["likes"], post["comments"], post["n_images"]) == ("instagram:42", 7, 2, 2)
    assert post["posted_at"] == datetime.fromtimestamp(1_700_000_000, UTC)
    assert found.shown == {
        ("instagram:one", 0): f"crawl/{stem}_1.jpg",
        ("instagram:one", 1): f"crawl/{stem}_2.jpg",
    }
    assert found.by("users", "user_id")["instagram:42"]["user_name"] == "ann"
    assert found.reasons == {
        "crawl/ann/2023-11-15_00-00-00_UTC.json.xz:1": "bad_json",
        "crawl/ann/2023-11-16_00-00-00_UTC.jpg:1": "missing_field",
        "crawl/ann/2023-11-17_00-00-00_UTC.json.xz:1": "bad_json",
    }
    assert ingest(spark, config).versions == found.versions


def test_a_gallery_dl_crawl_joins_the_files_of_a_post(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    pin = {
        "category": "pinterest",
        "subcategory": "board",
        "id": "858146903966145189",
        "pinner": {"id": "11", "username": "greta"},
        "board": {"id": "5", "name": "Stuff", "owner": {"id": "11", "username": "greta"}},
        "description": "Red chair #Design",
        "created_at": "Tue, 01 Jan 2019 12:34:56 +0000",
        "num": 1,
        "count": 1,
        "extension": "jpg",
    }
    gram = {
        "category": "instagram",
        "subcategory": "posts",
        "post_id": "1875629777499953996",
        "post_shortcode": "BoHk1haB5tM",
        "owner_id": "25025320",
        "username": "hedda",
        "likes": 12,
        "description": "Weekend",
        "post_date": "2018-09-24 16:27:01",
        "date": "2018-09-24 16:27:02",
        "type": "post",
        "count": 2,
        "extension": "jpg",
    }
    put(crawl, "pinterest/a.jpg", picture(1))
    put(crawl, "pinterest/a.jpg.json", json.dumps(pin))
    for number in (1, 2):
        put(crawl, f"instagram/{number}.jpg", picture(10 + number))
        put(crawl, f"instagram/{number}.jpg.json", json.dumps({**gram, "num": number}))
    put(crawl, "instagram/3.jpg.json", "[1, 2")
    config = settings(empty, crawl, "crawl.format=gallery_dl")
    found = ingest(spark, config)
    by_user = {row["user_id"]: row for row in found.tables["posts"]}
    assert set(by_user) == {"pinterest:11", "instagram:25025320"}
    assert by_user["pinterest:11"]["board"] == "Stuff"
    assert by_user["pinterest:11"]["hashtags"] == ["design"]
    one = by_user["instagram:25025320"]
    assert (one["likes"], one["n_images"]) == (12, 2)
    assert one["posted_at"] == datetime(2018, 9, 24, 16, 27, 1, tzinfo=UTC)
    assert {key[1]: ref for key, ref in found.shown.items() if key[0] == one["post_id"]} == {
        0: "crawl/instagram/1.jpg",
        1: "crawl/instagram/2.jpg",
    }
    assert list(found.reasons.values()) == ["bad_json"]
    assert ingest(spark, config).versions == found.versions


def test_a_table_with_bytes_and_a_column_map(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    rows = pa.table(
        {
            "id": ["1", "2", "3"],
            "author": ["ann", "ben", None],
            "at": pa.array([1_700_000_000] * 3, pa.int64()),
            "hearts": pa.array([5, None, 1], pa.int64()),
            "jpeg": pa.array([picture(1), picture(2), picture(3)], pa.binary()),
        }
    )
    spark.createDataFrame(rows).write.parquet(str(tmp_path / "table"))
    mapped = "crawl.columns={post_id: id, user_id: author, posted_at: at, likes: hearts, image_bytes: jpeg}"
    config = settings(empty, tmp_path / "table", "crawl.format=table", "crawl.source=shop", mapped)
    found = ingest(spark, config)
    assert {key: (row["user_id"], row["likes"]) for key, row in found.posts.items()} == {
        "shop:1": ("shop:ann", 5),
        "shop:2": ("shop:ben", None),
    }
    assert {row["content"] for row in found.tables["images"]} == {picture(1), picture(2)}
    assert list(found.reasons.values()) == ["missing_field"]
    assert ingest(spark, config).versions == found.versions


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real samples are not here")
def test_the_real_instaloader_sample_agrees_with_its_sidecars(spark: SparkSession, empty: Place) -> None:
    folder = SHARED_DATA / "instaloader_sample"
    expected = {}
    for path in folder.glob("*/*.json.xz"):
        node = json.loads(lzma.decompress(path.read_bytes()))["node"]
        caption = node["edge_media_to_caption"]["edges"]
        likes = node.get("edge_media_preview_like") or node["edge_liked_by"]
        expected[f"instagram:{node['shortcode']}"] = (
            f"instagram:{node['owner']['id']}",
            likes["count"] if likes["count"] >= 0 else None,
            node["edge_media_to_comment"]["count"],
            caption[0]["node"]["text"] if caption else None,
            datetime.fromtimestamp(node["taken_at_timestamp"], UTC),
        )
    found = ingest(spark, settings(empty, folder, "crawl.format=instaloader"))
    assert len(expected) == 40
    assert {
        key: (row["user_id"], row["likes"], row["comments"], row["caption"], row["posted_at"])
        for key, row in found.posts.items()
    } == expected
    assert {row["image_id"] for row in found.tables["images"]} == {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*/*.jpg")
    }
    assert not found.reasons


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real samples are not here")
def test_a_folder_of_labelled_pictures_as_a_table(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    folder = SHARED_DATA / "caltech101_sample"
    files = sorted(folder.glob("*/*.jpg"))
    frame = pd.DataFrame(
        {
            "post_id": [f"{path.parent.name}/{path.stem}" for path in files],
            "user_id": [path.parent.name for path in files],
            "posted_at": 1_700_000_000,
            "images": [str(path.relative_to(folder)) for path in files],
        }
    )
    table = tmp_path / "posts.parquet"
    frame.to_parquet(table)
    columns = "crawl.columns={post_id: post_id, user_id: user_id, posted_at: posted_at, images: images}"
    config = settings(empty, str(table), "crawl.format=table", "crawl.source=caltech", columns)
    # paths in a table are taken from the folder that holds it
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    report = stage.run(spark, config)
    lake = open_lake(spark, config)
    assert report.rows_out == len(files) == 1250
    assert lake.read("users").where(F.col("posts") == 25).count() == 50
    assert lake.read("quarantine").isEmpty()
