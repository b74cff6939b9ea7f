"""The benchmark of paper 1's measures: its crawl, and that the yardstick measures what the paper defines."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.behaviour.compare import DifferError, compare
from benchmarks.behaviour.data import CATEGORIES, CLUSTERS, KINDS, SAME, SELFIE, crawl, made
from benchmarks.behaviour.definitions import INPUTS, RESULTS, statements
from benchmarks.behaviour.targets import growth
from profilelake.behaviour.published import TABLE_1

ATTRIBUTES = {"Travel": ("Landscape Photo", "Building", "Not of this lake"), "Food": ("Snack", "Meal")}


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return made(2000)


@pytest.fixture(scope="module")
def rows(tables: dict[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    return {name: table.to_pylist() for name, table in tables.items()}


def test_a_crawl_has_the_counts_that_it_says(rows: dict[str, list[dict[str, Any]]]) -> None:
    posts, shown, clusters = rows["posts"], rows["post_images"], rows["image_clusters"]
    assert (len(posts), len(shown)) == (2000, 6000)
    assert len({post["post_id"] for post in posts}) == 2000
    owned = Counter(post["user_id"] for post in posts)
    assert len(owned) == 40
    assert sum(n for _, n in owned.most_common(4)) > 1000
    assert {post["relation"] for post in posts} == {"posted", "favourite"}
    places: dict[str, list[int]] = defaultdict(list)
    for picture in shown:
        places[picture["post_id"]].append(picture["position"])
    assert set(places) == {post["post_id"] for post in posts}
    assert all(place == list(range(len(place))) for place in places.values())
    pictures = {picture["image_id"] for picture in shown}
    assert 5900 <= len(pictures) < 6000
    assert all(len(image) == 64 and set(image) <= set("0123456789abcdef") for image in pictures)
    for purpose, n in (("categories", CLUSTERS), ("selfie", 4)):
        mine = [row for row in clusters if row["purpose"] == purpose]
        assert {row["cluster_id"] for row in mine} == set(range(n))
        assert len({row["image_id"] for row in mine} & pictures) == len(mine)


def test_a_crawl_has_the_papers_categories_and_selfies_with_kinds_and_faces(
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    assert (len(CATEGORIES), len(KINDS), len(TABLE_1)) == (47, 4, 50)
    name = {(row["purpose"], row["cluster_id"]): row["category"] for row in rows["cluster_centroids"]}
    assert set(name.values()) == {*CATEGORIES, *KINDS}
    of: dict[str, dict[str, str]] = {"categories": {}, "selfie": {}}
    for row in rows["image_clusters"]:
        of[row["purpose"]][row["image_id"]] = name[row["purpose"], row["cluster_id"]]
    selfies = {image for image, category in of["categories"].items() if category == SELFIE}
    assert 300 < len(selfies) < 1200
    faces = {row["image_id"]: row["faces"] for row in rows["image_faces"]}
    assert all(len(row["boxes"]) == row["faces"] for row in rows["image_faces"])
    assert {faces.get(image) for image in selfies} >= {None, 0, 1, 2, 3}


def test_a_crawl_is_the_same_every_time_and_made_once(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    import pyarrow.parquet as pq

    folder = crawl(tmp_path, 2000)
    assert {path.stem for path in folder.iterdir()} == set(tables) == set(SAME)
    for name, table in tables.items():
        assert pq.read_table(folder / f"{name}.parquet").equals(table)
    before = folder.stat().st_mtime_ns
    assert crawl(tmp_path, 2000) == folder
    assert folder.stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def measured(rows: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What the yardstick's SQL finds, done by SQLite."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.row_factory = sqlite3.Row
        for name in INPUTS:
            columns = [c for c in rows[name][0] if c not in ("boxes", "centroid")]
            values = [[row[c] for c in columns] for row in rows[name]]
            if "purpose" in columns:
                columns, values = [*columns, "fit_id"], [[*v, f"fit-{v[columns.index('purpose')]}"] for v in values]
            _lay(db, name, columns, values)
        listed = [[attribute, category] for attribute, names in ATTRIBUTES.items() for category in names]
        _lay(db, "attributes", ["attribute", "category"], listed)
        for statement in statements():
            db.execute(statement)
        yield {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in RESULTS}


def _lay(db: sqlite3.Connection, name: str, columns: list[str], values: list[list[Any]]) -> None:
    db.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in columns)})", values)


Picture = tuple[str, str | None, int | None]  # category, kind and faces of a selfie


@pytest.fixture(scope="module")
def moments(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[list[Picture]]]:
    """By user the categorised pictures of each Moment that has one, straight from the tables."""
    name = {(row["purpose"], row["cluster_id"]): row["category"] for row in rows["cluster_centroids"]}
    category, kind = (
        {
            row["image_id"]: name[purpose, row["cluster_id"]]
            for row in rows["image_clusters"]
            if row["purpose"] == purpose
        }
        for purpose in ("categories", "selfie")
    )
    faces = {row["image_id"]: row["faces"] for row in rows["image_faces"]}
    shown: dict[str, list[Picture]] = defaultdict(list)
    for row in rows["post_images"]:
        image = row["image_id"]
        if image in category:
            shown[row["post_id"]].append((category[image], kind.get(image), faces.get(image)))
    found: dict[str, list[list[Picture]]] = defaultdict(list)
    for post in rows["posts"]:
        if post["relation"] == "posted" and post["post_id"] in shown:
            found[post["user_id"]].append(shown[post["post_id"]])
    return found


def ratio(above: int, below: int) -> float | None:
    return above / below if below else None


def test_the_yardstick_counts_categories_as_defined(
    measured: dict[str, list[dict[str, Any]]], moments: dict[str, list[list[Picture]]]
) -> None:
    found = {(row["user_id"], row["category"]): row for row in measured["user_categories"]}
    assert set(found) == {(user, picture[0]) for user, his in moments.items() for m in his for picture in m}
    for (user, category), row in found.items():
        sets = [{picture[0] for picture in m} for m in moments[user]]
        occurrences, total = sum(category in names for names in sets), sum(map(len, sets))
        images = sum(picture[0] == category for m in moments[user] for picture in m)
        others = sum(len(names - {SELFIE}) for names in sets)
        alone = sum(names == {category} for names in sets)
        assert (row["images"], row["occurrences"]) == (images, occurrences)
        assert (row["frequency"], row["inertia"]) == (occurrences / total, images / occurrences)
        assert row["singleness"] == alone / occurrences
        assert row["frequency_without_selfie"] == (None if category == SELFIE else occurrences / others)


def test_the_yardstick_measures_features_and_selfies_as_defined(
    measured: dict[str, list[dict[str, Any]]], moments: dict[str, list[list[Picture]]]
) -> None:
    features = {row["user_id"]: row for row in measured["user_features"]}
    selfies = {row["user_id"]: row for row in measured["selfie_measures"]}
    assert set(features) == set(selfies) == set(moments)
    for user, his in moments.items():
        sets = [{picture[0] for picture in m} for m in his]
        without = [names for names in sets if SELFIE not in names]
        with_selfie = [names for names in sets if SELFIE in names]
        others = sum(len(names - {SELFIE}) for names in sets)
        row = features[user]
        assert (row["posts"], row["occurrences"], row["other_occurrences"]) == (len(his), sum(map(len, sets)), others)
        assert row["other_inertia"] == ratio(sum(p[0] != SELFIE for m in his for p in m), others)
        assert row["other_singleness"] == ratio(sum(len(names) == 1 for names in without), len(without))
        row = selfies[user]
        assert row["selfie_frequency"] == len(with_selfie) / sum(map(len, sets))
        assert row["selfie_inertia"] == ratio(sum(p[0] == SELFIE for m in his for p in m), len(with_selfie))
        assert row["selfie_singleness"] == ratio(sum(names == {SELFIE} for names in with_selfie), len(with_selfie))
        shown = [[picture for picture in m if picture[0] == SELFIE] for m in his]
        multi = sum(any(faces is not None and faces > 1 for _, _, faces in m) for m in shown)
        one = sum(any(faces is not None and faces < 2 for _, _, faces in m) for m in shown)
        assert (row["one_face_occurrences"], row["multi_face_occurrences"]) == (one, multi)
        assert row["group_tendency"] == ratio(multi, one + multi)
        kinds = Counter(kind for m in shown for kind in {kind for _, kind, _ in m})
        indoor = kinds["Indoor Ordinary Selfie"]
        for kind, measure in (
            ("Outdoor Selfie", "outdoor"),
            ("Holding Something Selfie", "holding_something"),
            ("Face Mask Selfie", "face_mask"),
        ):
            assert row[f"{measure}_tendency"] == ratio(kinds[kind], kinds[kind] + indoor)
            assert row[f"{measure}_occurrences"] == kinds[kind]


def test_the_yardstick_adds_attributes_up(
    measured: dict[str, list[dict[str, Any]]], moments: dict[str, list[list[Picture]]]
) -> None:
    assert len(measured["user_attributes"]) == len(ATTRIBUTES) * len(moments)
    for row in measured["user_attributes"]:
        sets = [{picture[0] for picture in m} - {SELFIE} for m in moments[row["user_id"]]]
        wanted, others = ATTRIBUTES[row["attribute"]], sum(map(len, sets))
        occurrences = sum(category in names for names in sets for category in wanted)
        assert row["occurrences"] == occurrences
        assert row["value"] == pytest.approx(occurrences / others)


def test_results_are_compared_by_key_and_to_the_last_digits() -> None:
    ours = pa.table({"user_id": ["a", "b"], "selfie_inertia": [0.5, None], "missing": [[], ["x"]]})
    theirs = pa.table({"selfie_inertia": [None, 0.5 + 1e-15], "user_id": ["b", "a"]})
    compare("selfie_measures", ours, theirs)
    for name, wrong in (
        ("a value", {"selfie_inertia": [None, 0.5001], "user_id": ["b", "a"]}),
        ("NULL", {"selfie_inertia": [1.0, 0.5], "user_id": ["b", "a"]}),
        ("a user", {"selfie_inertia": [None, 0.5], "user_id": ["c", "a"]}),
        ("a row", {"selfie_inertia": [0.5], "user_id": ["a"]}),
    ):
        with pytest.raises(DifferError, match="selfie_measures"):
            compare("selfie_measures", ours, pa.table(wrong))
        assert name


def test_growth_is_told_with_the_start_up_off() -> None:
    assert growth(many=[41.0, 43.0], few=[5.0, 6.0], start=[1.0, 2.0]) == pytest.approx([10.0, 10.25])
    assert growth(many=[9.0], few=[1.0], start=[1.5]) == []  # too small to tell
    assert np.isfinite(growth(many=[9.0], few=[2.0], start=[1.5])).all()
