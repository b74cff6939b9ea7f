"""A crawl as paper 1 would find it fifty times larger: what the tables of a lake hold of it, as Parquet.

Posts, pictures and users grow together: whatever the number of posts, there is one user for fifty of them, and three
pictures a post. A few users own most posts, as in every crawl. Users are of five sorts with a taste each, so that
there are types to be found.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ids import ids_of, numbered, owners
from profilelake.behaviour.published import TABLE_1, TABLE_3

_SEED = 1
POSTS_A_USER, PICTURES_A_POST = 50, 3
SELFIE = "Selfie"
KINDS = tuple(name for name in TABLE_1 if name in TABLE_3)
CATEGORIES = (*(name for name in TABLE_1 if name not in TABLE_3), SELFIE)
CLUSTERS = 60  # more than categories, as in the paper: several clusters are one category
CENTROID = 2048  # numbers, as ResNet-50's
_SORTS = 5
_SHARED, _UNCATEGORISED, _FAVOURITES, _UNSEEN, _KINDLESS = 0.01, 0.01, 0.01, 0.01, 0.02
_SKEW = 1.1  # the user of rank r owns posts in proportion to r to the power of minus this
_CHUNK = 200_000

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def crawl(cache: Path, posts: int) -> Path:
    """A folder with <table>.parquet for each table of `made`; made once."""
    folder = cache / f"crawl-{_SEED}-{posts}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, table in made(posts).items():
            # Dictionaries are of no use where every value is another.
            pq.write_table(table, unfinished / f"{name}.parquet", use_dictionary=_repeated(table), row_group_size=2**18)
        unfinished.rename(folder)
    return folder


def _repeated(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name not in ("post_id", "image_id")]


def made(posts: int) -> dict[str, pa.Table]:
    """The tables, by name, with the columns that differ from row to row.

    One picture in a hundred slots is one that another post shows too; one picture in a hundred has no category; one
    post in a hundred is a favourite; of one picture in a hundred nobody has counted the faces; of fifty selfies one
    has no kind.
    """
    rng = np.random.default_rng(_SEED)
    users = max(_SORTS, posts // POSTS_A_USER)
    owner = owners(rng, posts, users, _SKEW)
    tastes = _tastes(rng, users)
    post_of, position = _slots(rng, posts)
    image_of, shown_first = _pictures(rng, len(post_of))
    main = _drawn(rng, tastes, owner)
    at = post_of[shown_first]
    category = np.where(rng.random(len(at)) < 0.55, main[at], _drawn(rng, tastes, owner[at]))
    ids = ids_of(rng, len(category))
    post_ids = numbered("bench:p", posts)
    relation = np.where(rng.random(posts) < _FAVOURITES, "favourite", "posted")
    return {
        "posts": pa.table(
            {"post_id": post_ids, "user_id": numbered("bench:u", users).take(owner), "relation": relation}
        ),
        "post_images": pa.table(
            {"post_id": post_ids.take(post_of), "position": position.astype("i4"), "image_id": ids.take(image_of)}
        ),
        "image_clusters": _clusters(rng, ids, category),
        "image_faces": _faces(rng, ids, category),
        "cluster_centroids": _centroids(rng),
        "cluster_fits": pa.table({"purpose": ["categories", "selfie"], "k": pa.array([CLUSTERS, len(KINDS)], "i4")}),
    }


def _tastes(rng: np.random.Generator, users: int) -> Floats:
    """(users, categories): sums along a row of how probable each category is. The last one is Selfie."""
    popular = np.array([TABLE_1[name] for name in CATEGORIES[:-1]], float)
    sorts = rng.dirichlet(20 * popular / popular.sum(), _SORTS)
    sort = rng.choice(_SORTS, users, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    weights = rng.gamma(12 * sorts[sort] + 0.1) + 1e-9
    selfies = rng.beta(1.2, 10, users)
    selfies[rng.random(users) < 0.05] = 0
    selfies[rng.random(users) < 0.002] = 1
    others = weights / weights.sum(axis=1, keepdims=True) * (1 - selfies[:, None])
    return np.cumsum(np.column_stack([others, selfies]), axis=1)


def _slots(rng: np.random.Generator, posts: int) -> tuple[Ints, Ints]:
    """Of every picture in a post the post, and its place there."""
    weights = rng.gamma(0.7, size=posts)
    n = 1 + rng.multinomial((PICTURES_A_POST - 1) * posts, weights / weights.sum())
    return np.repeat(np.arange(posts), n), np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)


def _pictures(rng: np.random.Generator, slots: int) -> tuple[Ints, Ints]:
    """Of every slot its picture's number, and of every picture the slot that it is from."""
    again = rng.random(slots) < _SHARED
    own = np.flatnonzero(~again)
    image_of = np.cumsum(~again) - 1
    image_of[again] = rng.choice(len(own), int(again.sum()))
    return image_of, own


def _drawn(rng: np.random.Generator, tastes: Floats, user: Ints) -> Ints:
    """A category for each user of a list, after their tastes."""
    found = [
        (tastes[some] < rng.random((len(some), 1))).sum(axis=1)
        for some in np.array_split(user, -(-len(user) // _CHUNK))
    ]
    # a sum of shares may end a little below 1
    return np.asarray(np.minimum(np.concatenate(found), len(CATEGORIES) - 1))


def _clusters(rng: np.random.Generator, ids: pa.StringArray, category: Ints) -> pa.Table:
    """The cluster of each picture that has a category, and again of each selfie that has a kind."""
    more = CLUSTERS - len(CATEGORIES)
    other = (category < more) & (rng.random(len(category)) < 0.5)
    cluster = np.where(other, category + len(CATEGORIES), category)
    known = np.flatnonzero(rng.random(len(category)) >= _UNCATEGORISED)
    selfies = np.flatnonzero((category == len(CATEGORIES) - 1) & (rng.random(len(category)) >= _KINDLESS))
    shares = np.array([TABLE_3[name] for name in KINDS], float)
    kind = rng.choice(len(KINDS), len(selfies), p=shares / shares.sum())
    return pa.table(
        {
            "image_id": pa.concat_arrays([ids.take(known), ids.take(selfies)]),
            "purpose": ["categories"] * len(known) + ["selfie"] * len(selfies),
            "cluster_id": np.concatenate([cluster[known], kind]).astype("i4"),
        }
    )


def _faces(rng: np.random.Generator, ids: pa.StringArray, category: Ints) -> pa.Table:
    """How many faces each picture has that was looked at, with a box each."""
    seen = np.flatnonzero(rng.random(len(category)) >= _UNSEEN)
    of_selfie = rng.choice(5, len(seen), p=[0.03, 0.80, 0.11, 0.04, 0.02])
    faces = np.where(category[seen] == len(CATEGORIES) - 1, of_selfie, rng.poisson(0.25, len(seen))).astype("i4")
    n = int(faces.sum())
    names = ("x", "y", "width", "height", "score")
    box = pa.StructArray.from_arrays([pa.array(rng.random(n).round(4)) for _ in names], names=list(names))
    offsets = np.concatenate([[0], np.cumsum(faces)]).astype("i4")
    return pa.table({"image_id": ids.take(seen), "faces": faces, "boxes": pa.ListArray.from_arrays(offsets, box)})


def _centroids(rng: np.random.Generator) -> pa.Table:
    """The clusters of both purposes and what they are called."""
    more = CLUSTERS - len(CATEGORIES)
    names = [*CATEGORIES, *CATEGORIES[:more], *KINDS]
    return pa.table(
        {
            "purpose": ["categories"] * CLUSTERS + ["selfie"] * len(KINDS),
            "cluster_id": np.concatenate([np.arange(CLUSTERS), np.arange(len(KINDS))]).astype("i4"),
            "category": names,
            "centroid": list(rng.random((len(names), CENTROID), np.float32)),
        }
    )


# Columns of the tables that are the same in every row, as SQL; a column that is neither here nor in `made` is NULL.
SAME: Mapping[str, Mapping[str, str]] = {
    "posts": {
        "source": "'bench'", "posted_at": "TIMESTAMP '2024-01-01'", "hashtags": "array()", "n_images": "3",
        "crawled_at": "TIMESTAMP '2024-01-02'", "last_seen_at": "TIMESTAMP '2024-01-02'",
        "source_ref": "'bench/posts.jsonl:1'",
    },
    "post_images": {"source_ref": "'bench/picture.jpg'"},
    "image_clusters": {
        "fit_id": "concat('fit-', purpose)", "distance": "0.5", "silhouette": "0.25", "fitted": "true",
    },
    "image_faces": {"largest_face_share": "0.1", "detector_sha256": "repeat('d', 64)"},
    "cluster_fits": {
        "fit_id": "concat('fit-', purpose)",
        "backbone": "'resnet50'",
        "weights_sha256": "repeat('w', 64)",
        "preprocessing": "'made'",
        "basis": "'all pictures'",
        "fitted_at": "TIMESTAMP '2024-01-02'",
        "current": "true",
        "images": "1",
        "mean_distance": "0.5",
    },
    "cluster_centroids": {
        "fit_id": "concat('fit-', purpose)", "size": "1", "proposed_category": "category", "reviewed": "true",
        "evidence": "'made'", "exemplar_image_ids": "array()",
    },
}  # fmt: skip
