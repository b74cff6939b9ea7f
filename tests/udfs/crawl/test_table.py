"""The table format: a column map over rows of any table."""

import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from udfs.crawl.jsonl import KEYS, parse_line
from udfs.crawl.records import Defaults, Fault, Record
from udfs.crawl.table import FIELDS, from_row

COLUMNS = {"post_id": "photo", "user_id": "author", "posted_at": "taken", "images": "file"}
ROW = {"photo": 17, "author": "ann", "taken": datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC), "file": "ann/17.jpg"}


def parse(row: dict[str, Any], columns: dict[str, str] | None = None, key: int | str = 5) -> Record | Fault:
    return from_row(row, COLUMNS if columns is None else columns, "table", key, Defaults("photos"))


def record(row: dict[str, Any], columns: dict[str, str] | None = None, key: int | str = 5) -> Record:
    found = parse(row, columns, key)
    assert isinstance(found, Record), found
    return found


def test_a_mapped_row() -> None:
    found = record({**ROW, "colour": "blue"})
    assert (found.post_id, found.user_id, found.source) == ("photos:17", "photos:ann", "photos")
    assert found.posted_at == ROW["taken"]
    assert (found.images, found.has_bytes) == ([(0, "ann/17.jpg")], False)
    assert (found.source_ref, found.line, found.part) == ("table:5", 5, False)


def test_a_key_that_is_no_number() -> None:
    found = record(ROW, key="k9")
    assert (found.source_ref, found.line) == ("table:k9", 1)
    bad = parse({**ROW, "taken": None}, key="k9")
    assert isinstance(bad, Fault)
    assert (bad.record_id, bad.reason, bad.user_id) == ("table:k9", "missing_field", "photos:ann")


def test_a_field_that_is_not_mapped_is_read_from_its_own_column() -> None:
    found = record({**ROW, "caption": "#Sea", "likes": 3, "source": "flickr"})
    assert (found.caption, found.likes, found.post_id) == ("#Sea", 3, "flickr:17")
    assert record({**ROW, "caption": "x", "text": "y"}, {**COLUMNS, "caption": "text"}).caption == "y"


def test_an_unknown_field_in_the_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown fields pictures; known are"):
        parse(ROW, {**COLUMNS, "pictures": "file"})
    assert KEYS | {"user_name", "followers", "url", "image_bytes"} == FIELDS


def test_the_same_post_as_a_jsonl_line() -> None:
    line = (
        b'{"post_id": 17, "user_id": "ann", "posted_at": "2022-10-10T13:30:10Z", "likes": 4, "tags": ["a"],'
        b' "images": ["x.jpg", null, "y.jpg"], "owner_id": 9, "caption": "#b"}'
    )
    row = {
        "post_id": 17,
        "user_id": "ann",
        "posted_at": datetime(2022, 10, 10, 15, 30, 10, tzinfo=timezone(timedelta(hours=2))),
        "likes": np.int32(4),
        "tags": np.array(["a"], dtype=object),
        "images": ["x.jpg", None, "y.jpg"],
        "owner_id": 9.0,
        "caption": "#b",
    }
    assert record(row, {}) == parse_line(line, "table", 5, Defaults("photos"))


def test_bytes_are_marked_and_keep_their_places() -> None:
    columns = {**COLUMNS, "image_bytes": "content"}
    one = record({**ROW, "content": b"\xff\xd8"}, columns)
    assert (one.images, one.n_images, one.has_bytes) == ([(0, "ann/17.jpg")], 1, True)
    several = record({**ROW, "file": None, "content": [b"a", None, bytearray(b"c")]}, columns)
    assert (several.images, several.n_images, several.has_bytes) == ([(0, None), (2, None)], 2, True)
    none = record({**ROW, "content": None}, columns)
    assert (none.images, none.has_bytes) == ([(0, "ann/17.jpg")], False)
    for wrong in ("text", [1], {"a": b""}):
        bad = parse({**ROW, "content": wrong}, columns)
        assert isinstance(bad, Fault)
        assert bad.reason == "bad_value"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"photo": None}, "missing_field"),
        ({"photo": float("nan")}, "missing_field"),
        ({"author": ""}, "missing_field"),
        ({"taken": datetime(2022, 10, 10)}, "bad_timestamp"),
        ({"taken": "2022-10-10"}, "bad_timestamp"),
        ({"photo": 1.5}, "bad_value"),
        ({"photo": 2.0**60}, "bad_value"),  # a double does not hold such an id
        ({"photo": True}, "bad_value"),
        ({"file": 5}, "bad_value"),
        ({"likes": "x"}, "bad_value"),
    ],
)
def test_faults(changes: dict[str, Any], reason: str) -> None:
    found = parse({**ROW, **changes})
    assert isinstance(found, Fault)
    assert (found.reason, found.record_id) == (reason, "table:5")


@pytest.mark.parametrize(
    "taken", [1665408610, 1665408610.0, Decimal("1665408610.000000"), np.float64(1665408610), "2022-10-10T13:30:10Z"]
)
def test_instants(taken: Any) -> None:
    assert record({**ROW, "taken": taken}).posted_at == ROW["taken"]


def test_pandas_nulls_are_null() -> None:
    assert record({**ROW, "likes": float("nan"), "caption": np.nan}).likes is None


def test_any_row_is_a_row() -> None:
    dice = random.Random(12)
    values: list[Any] = [
        None, "", "x", 1, -1, 1.5, float("inf"), True, b"x", [], [None], [b"x"], {}, object(), np.array([]),
        np.array([[1]]), np.datetime64("2022-01-01"), Decimal("NaN"),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ]  # fmt: skip
    for _ in range(3000):
        row = {**ROW, **{field: dice.choice(values) for field in FIELDS if dice.random() < 0.3}}
        assert isinstance(parse(row, {}), Record | Fault)
