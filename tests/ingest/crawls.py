"""Small crawls on disk, and what an ingest of them leaves in a lake."""

from __future__ import annotations

import io
import json
import lzma
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image
from pyspark.sql import SparkSession

from profilelake import config as configuration
from profilelake.config import Config
from profilelake.ingest import stage
from profilelake.lake import open_lake
from profilelake.ledger import StageReport
from tests.conftest import SMALL, Place

TABLES = ("source_files", "users", "posts", "post_counts", "post_images", "images", "quarantine")
WHEN = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
POST = {"post_id": "1", "user_id": "ann", "posted_at": "2024-01-02T03:04:05Z"}

Row = dict[str, Any]


def post(**changes: Any) -> Row:
    """A valid jsonl record with some values changed; None takes a key out."""
    return {key: value for key, value in {**POST, **changes}.items() if value is not None}


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    """A small picture; each number is another one."""
    held = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number // 256 * 53 % 256)
    Image.new("RGB", size, colour).save(held, kind)
    return held.getvalue() if kind != "JPEG" else _with_comment(held.getvalue(), number)


def _with_comment(jpeg: bytes, number: int) -> bytes:
    """A JPEG made distinct by a comment segment (ITU T.81, B.2.4.5)."""
    text = f"picture {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def instagram(code: str, **changes: Any) -> bytes:
    """A sidecar as instaloader writes it."""
    node = {
        "__typename": "GraphImage",
        "id": "9" + code,
        "shortcode": code,
        "taken_at_timestamp": 1_700_000_000,
        "owner": {"id": "42", "username": "ann"},
        "edge_media_to_caption": {"edges": [{"node": {"text": "hello #Sun"}}]},
        "edge_media_preview_like": {"count": 7},
        "edge_media_to_comment": {"count": 2},
        **changes,
    }
    return lzma.compress(json.dumps({"node": node, "instaloader": {"node_type": "Post", "version": "4.9"}}).encode())


def put(folder: Path, name: str, content: bytes | str | list[Any], at: datetime = WHEN) -> Path:
    """Write a file of the crawl with a modification time; a list is lines of JSON (text in it is a raw line)."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(
            (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in content
        )
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def settings(place: Place, crawl: Path | str, *arguments: str) -> Config:
    """A configuration for the lake that stands there."""
    places = (f"crawl.path={crawl}", f"lake.path={place.path}", f"report.path={place.path}-report")
    return configuration.load(arguments=[*SMALL, *places, *arguments])


@dataclass(frozen=True)
class Outcome:
    """What a run reported, and every table of the lake behind it (without run_id), by table."""

    report: StageReport | None
    tables: Mapping[str, list[Row]]
    versions: Mapping[str, int] = field(default_factory=dict)

    def by(self, table: str, *key: str) -> dict[Any, Row]:
        """A table's rows by key."""
        rows = self.tables[table]
        found = {tuple(row[name] for name in key) if len(key) > 1 else row[key[0]]: row for row in rows}
        assert len(found) == len(rows)
        return found

    @property
    def posts(self) -> dict[str, Row]:
        return self.by("posts", "post_id")

    @property
    def reasons(self) -> dict[str, str]:
        """record_id to reason."""
        return {record_id: row["reason"] for record_id, row in self.by("quarantine", "record_id").items()}

    @property
    def shown(self) -> dict[tuple[str, int], str]:
        """(post_id, position) to the picture's file."""
        return {(row["post_id"], row["position"]): row["source_ref"] for row in self.tables["post_images"]}


def look(spark: SparkSession, config: Config, report: StageReport | None = None) -> Outcome:
    """The lake as it is."""
    lake = open_lake(spark, config)
    tables = {}
    for table in TABLES:
        rows = [row.asDict(recursive=True) for row in lake.read(table).drop("run_id").collect()]
        for row in rows:
            for key, value in row.items():
                if isinstance(value, datetime):
                    row[key] = value.astimezone(UTC)
                elif isinstance(value, bytearray):
                    row[key] = bytes(value)
        tables[table] = sorted(rows, key=repr)
    return Outcome(report, tables, lake.versions(TABLES))


def ingest(spark: SparkSession, config: Config) -> Outcome:
    """Run the stage and look at the lake."""
    return look(spark, config, stage.run(spark, config))


def comparable(outcome: Outcome) -> dict[str, list[Row]]:
    """The tables without the time at which a row was first refused."""
    return {
        table: [{k: v for k, v in row.items() if k != "first_seen_at" or table != "quarantine"} for row in rows]
        for table, rows in outcome.tables.items()
    }
