"""The benchmark of interests: that its crawl is what it says, and as large."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.interests.data import SAME, crawl, made
from benchmarks.interests.sizes import FULL, NETWORKS, SMALL, TAGS_A_POST
from benchmarks.interests.targets import targets
from profilelake.interests import cleaning, lexicon
from profilelake.tables import TABLES

POSTS, USERS = 1_500, 120


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = crawl(tmp_path_factory.mktemp("bench"), POSTS, USERS)
    return {path.stem: pq.read_table(path).to_pylist() for path in folder.iterdir()}


def test_the_target_rests_on_ten_million_labels_and_tags_of_200_000_users() -> None:
    assert (FULL.words, FULL.users) == (10_000_000, 200_000)
    (target,) = targets(FULL)
    assert (target.subject, target.limit, target.above) == ("10,000,000 labels and tags", 90, False)
    assert SMALL.words < 20_000


def test_the_crawl_is_what_the_tables_take(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert set(rows) == set(SAME)
    for name, found in rows.items():
        declared = {column.name: column for column in TABLES[name].columns}
        given = {*found[0], *SAME[name], "run_id"}
        assert given <= set(declared)
        assert {column for column in declared if not declared[column].nullable} <= given
        key = [tuple(row.get(part) for part in TABLES[name].key) for row in found]
        assert len(set(key)) == len(key), name


def test_every_picture_has_five_labels_by_each_network_and_every_post_its_tags(
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    assert len(rows["posts"]) == len(rows["post_images"]) == POSTS
    assert {len(row["tags"]) for row in rows["posts"]} == {TAGS_A_POST}
    assert len({row["user_id"] for row in rows["posts"]}) == USERS
    ranks: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in rows["image_labels"]:
        ranks[row["image_id"], row["network"]].append((row["rank"], row["class_index"]))
    images = {row["image_id"] for row in rows["post_images"]}
    assert set(ranks) == {(image, network) for image in images for network in NETWORKS}
    for labels in ranks.values():
        assert [rank for rank, _ in labels] == [1, 2, 3, 4, 5]
        assert len({index for _, index in labels}) == 5
        assert all(0 <= index < 1000 for _, index in labels)


def test_tags_are_of_every_sort_and_some_come_again(rows: dict[str, list[dict[str, Any]]]) -> None:
    tags = Counter(tag for row in rows["posts"] for tag in row["tags"])
    assert max(tags.values()) > 10
    rules = Counter(row.rule for row in cleaning.rows(tags, lexicon.packaged()))
    assert 0.3 < rules["kept"] / sum(rules.values()) < 0.95
    assert rules["not_in_lexicon"] > 10


def test_the_same_crawl_is_made_again(tmp_path: Path) -> None:
    one, two = ({name: pa.concat_tables(parts) for name, parts in made(200, 20).items()} for _ in range(2))
    assert all(one[name].equals(two[name]) for name in one)
    folder = crawl(tmp_path, 200, 20)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert crawl(tmp_path, 200, 20) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
