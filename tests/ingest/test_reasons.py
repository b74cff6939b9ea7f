"""One crawl with a bad record and a bad picture of every kind: each becomes a row with its reason, the rest is read."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Place
from tests.ingest.crawls import WHEN, Outcome, ingest, picture, post, put, settings


def huge_png() -> bytes:
    """A PNG that promises 20,000 x 20,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


AVIF = b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B" + b"\0" * 64

LINES = [
    post(post_id="ok", images=["good.jpg", "good.png", "sub/../good.jpg", "_hidden.jpg", ".dot/x.jpg"]),
    "",
    "{not json",
    post(post_id=None),
    post(post_id="t", posted_at="2024-01-02T03:04:05"),
    post(post_id="v", likes="many"),
    post(post_id="missing", images=["none.jpg"]),
    post(
        post_id="up", images=["../outside.jpg", "/etc/hostname", "sub/../../crawl/good.jpg", "link.jpg", "away/x.jpg"]
    ),
    post(post_id="text", images=["text.jpg", "empty.jpg"]),
    post(post_id="cut", images=["cut.jpg"]),
    post(post_id="heavy", images=["heavy.jpg"]),
    post(post_id="wide", images=["wide.png"]),
    post(post_id="avif", images=["new.avif"]),
    post(post_id="inner", images=["inside/good2.jpg"]),
    post(post_id="hidden", likes=-1, comments=3, strange="key", other=1),
]


@pytest.fixture(scope="module")
def read(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    base = tmp_path_factory.mktemp("reasons")
    crawl = base / "crawl"
    put(crawl, "a.jsonl", LINES)
    put(crawl, "good.jpg", picture(1))
    put(crawl, "good.png", picture(2, "PNG"))
    put(crawl, "_hidden.jpg", picture(3))
    put(crawl, ".dot/x.jpg", picture(4))
    put(crawl, "real/good2.jpg", picture(5))
    (crawl / "sub").mkdir()
    put(crawl, "text.jpg", "not a picture")
    put(crawl, "empty.jpg", b"")
    put(crawl, "cut.jpg", picture(6)[:-2])
    put(crawl, "heavy.jpg", picture(7) + b"\0" * 70_000)
    put(crawl, "wide.png", huge_png())
    put(crawl, "new.avif", AVIF)
    put(
        crawl,
        "b.JSONL.gz",
        gzip.compress(b"".join(b'{"post_id": "g%d", "user_id": 5, "posted_at": 1}\n' % n for n in range(3)))[:-5],
    )
    put(crawl, "_skipped.jsonl", [post(post_id="no")])
    put(crawl, ".git/skipped.jsonl", [post(post_id="no")])
    put(base / "elsewhere", "x.jpg", picture(8))
    put(base / "elsewhere", "more.jsonl", [post(post_id="no")])
    put(base, "outside.jpg", picture(9))
    (crawl / "link.jpg").symlink_to(base / "outside.jpg")
    (crawl / "linked.jsonl").symlink_to(base / "elsewhere" / "more.jsonl")
    (crawl / "away").symlink_to(base / "elsewhere")
    (crawl / "inside").symlink_to(crawl / "real")
    (crawl / "loop").symlink_to(crawl)
    place.put_down()
    return ingest(place.spark, settings(place, crawl, "crawl.max_image_bytes=60000", "crawl.max_image_pixels=1000000"))


@pytest.mark.parametrize(
    ("record_id", "reason"),
    [
        ("crawl/a.jsonl:3", "bad_json"),
        ("crawl/a.jsonl:4", "missing_field"),
        ("crawl/a.jsonl:5", "bad_timestamp"),
        ("crawl/a.jsonl:6", "bad_value"),
        ("crawl/b.JSONL.gz:4", "bad_json"),
        ("crawl/linked.jsonl:1", "path_outside_crawl"),
        ("crawl/away:1", "path_outside_crawl"),
        ("jsonl:missing#0", "image_missing"),
        ("jsonl:up#0", "path_outside_crawl"),
        ("jsonl:up#1", "path_outside_crawl"),
        ("jsonl:up#2", "path_outside_crawl"),
        ("jsonl:up#3", "path_outside_crawl"),
        ("jsonl:up#4", "path_outside_crawl"),
        ("jsonl:text#0", "not_an_image"),
        ("jsonl:text#1", "not_an_image"),
        ("jsonl:cut#0", "image_truncated"),
        ("jsonl:heavy#0", "image_too_many_bytes"),
        ("jsonl:wide#0", "image_too_many_pixels"),
        ("jsonl:avif#0", "unsupported_format"),
    ],
)
def test_a_reason(read: Outcome, record_id: str, reason: str) -> None:
    row = read.by("quarantine", "record_id")[record_id]
    assert row["reason"] == reason
    assert row["stage"] == "ingest"
    assert row["attempts"] == 1
    assert row["detail"]
    if "#" in record_id:
        assert row["user_id"] == "jsonl:ann"


def test_nothing_else_is_refused(read: Outcome) -> None:
    assert len(read.reasons) == 19


def test_a_post_with_bad_pictures_is_kept(read: Outcome) -> None:
    assert read.posts["jsonl:up"]["n_images"] == 5
    assert not [key for key in read.shown if key[0] == "jsonl:up"]
    assert set(read.posts) == {
        f"jsonl:{name}"
        for name in ["ok", "missing", "up", "text", "cut", "heavy", "wide", "avif", "inner", "hidden", "g0", "g1", "g2"]
    }


def test_good_pictures_are_shown_under_their_positions(read: Outcome) -> None:
    assert read.shown == {
        ("jsonl:ok", 0): "crawl/good.jpg",
        ("jsonl:ok", 1): "crawl/good.png",
        ("jsonl:ok", 2): "crawl/good.jpg",
        ("jsonl:ok", 3): "crawl/_hidden.jpg",
        ("jsonl:ok", 4): "crawl/.dot/x.jpg",
        ("jsonl:inner", 0): "crawl/inside/good2.jpg",
    }
    by_id = read.by("images", "image_id")
    assert {row["content"] for row in by_id.values()} == {
        picture(1), picture(2, "PNG"), picture(3), picture(4), picture(5)
    }  # fmt: skip
    for row in by_id.values():
        opened = Image.open(io.BytesIO(row["content"]))
        assert (row["format"], row["width"], row["height"]) == (str(opened.format).lower(), *opened.size)
        assert row["n_bytes"] == len(row["content"])


def test_everything_is_accounted_for(read: Outcome) -> None:
    report = read.report
    assert report is not None
    # 14 lines that aren't blank, three of a gzip and its break, two links to outside
    assert (report.rows_in, report.rows_out, report.rows_quarantined, report.rows_superseded) == (20, 13, 7, 0)
    counters = report.counters
    assert counters["pictures_read"] == 18
    assert counters["pictures_quarantined"] == 12
    assert counters["hidden_likes"] == 1
    assert counters["unknown_keys"] == 2


def test_hidden_likes_are_null(read: Outcome) -> None:
    assert (read.posts["jsonl:hidden"]["likes"], read.posts["jsonl:hidden"]["comments"]) == (None, 3)


def test_what_was_seen_is_remembered(read: Outcome) -> None:
    files = read.by("source_files", "path")
    assert (files["crawl/a.jsonl"]["status"], files["crawl/a.jsonl"]["records"]) == ("read", 14)
    assert files["crawl/a.jsonl"]["modified_at"] == WHEN
    assert files["crawl/linked.jsonl"]["status"] == "bad"
    assert files["crawl/good.jpg"]["status"] == "read"
    assert files["crawl/cut.jpg"]["status"] == "bad"
    assert "crawl/none.jpg" not in files
    assert not [path for path in files if "skipped" in path or "elsewhere" in path]


def test_no_scratch_is_left(read: Outcome, tmp_path: Path) -> None:
    assert read.versions["posts"] == 1
