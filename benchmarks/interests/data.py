"""A crawl as paper 2 would find it on a larger site: what the tables of a lake hold of it, as Parquet.

A post has one picture, which every network has labelled, and a few tags. A few users own many posts, most own few.
Users are of sorts with classes and tags of their own, which come again and again. Most of what people write are words
of the lexicon, in several spellings; the rest is in no dictionary.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ids import ids_of, numbered, owners
from benchmarks.interests.sizes import NETWORKS, TAGS_A_POST
from profilelake.interests import lexicon

_SEED = 2
_RANKS, _CLASSES = 5, 1000
_WORDS = 300_000  # that people write, at most
_SKEW = 0.8  # the user of rank r owns posts in proportion to r to the power of minus this
_ZIPF = 1.05  # of the tag of rank r, likewise
_FAVOURITES = 0.1
_SORTS = 40  # of users; each has classes of its own
_ROWS = 1_000_000  # of labels that are made at a time

Ints = np.ndarray[Any, np.dtype[np.int64]]


def crawl(cache: Path, posts: int, users: int) -> Path:
    """A folder with <table>.parquet for each of posts, post_images and image_labels; made once."""
    folder = cache / f"crawl-{_SEED}-{posts}-{users}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, parts in made(posts, users).items():
            writer = None
            for part in parts:
                writer = writer or pq.ParquetWriter(unfinished / f"{name}.parquet", part.schema)
                writer.write_table(part)
            if writer is not None:
                writer.close()
        unfinished.rename(folder)
    return folder


def made(posts: int, users: int) -> dict[str, Iterator[pa.Table]]:
    """The tables in parts, with the columns that differ from row to row. Every user has a post at least."""
    rng = np.random.default_rng(_SEED)
    owner = owners(rng, posts, users, _SKEW)
    ids = ids_of(rng, posts)
    sort = rng.integers(0, _SORTS, users)[owner]
    post_ids = numbered("bench:p", posts)
    relation = np.where(rng.random(posts) < _FAVOURITES, "favourite", "posted")
    tagged = pa.ListArray.from_arrays(
        np.arange(0, TAGS_A_POST * posts + 1, TAGS_A_POST, dtype=np.int32), _tags(rng, np.repeat(sort, TAGS_A_POST))
    )
    whole = pa.table(
        {
            "post_id": post_ids,
            "user_id": numbered("bench:u", users).take(pa.array(owner)),
            "relation": relation,
            "tags": tagged,
        }
    )
    return {
        "posts": iter([whole]),
        "post_images": iter([pa.table({"post_id": post_ids, "image_id": ids})]),
        "image_labels": _labels(rng, ids, sort),
    }


def _tags(rng: np.random.Generator, sort: Ints) -> pa.StringArray:
    """A tag for each of a list of sorts of users; every sort has another order of the words, so other favourites."""
    words = _written()
    shares = np.arange(1, len(words) + 1) ** -_ZIPF
    drawn = rng.choice(len(words), len(sort), p=shares / shares.sum())
    return words.take(pa.array((drawn * 7919 + sort * 104_729) % len(words)))


@functools.cache
def _written() -> pa.StringArray:
    """What people write, each once."""
    rng = np.random.default_rng(_SEED)
    known = sorted(lexicon.packaged().entries)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    found: dict[str, None] = {}
    for word in rng.permutation(known):
        spelt = (word, word.title(), "#" + word.replace(" ", ""), word + "s")
        found.update(dict.fromkeys(spelt[: 1 + int(rng.integers(len(spelt)))]))
    while len(found) < _WORDS:
        found["".join(rng.choice(letters, int(rng.integers(4, 12))))] = None
    texts = list(found)[:_WORDS]
    return pa.array([texts[at] for at in rng.permutation(len(texts))])


def _labels(rng: np.random.Generator, ids: pa.StringArray, sort: Ints) -> Iterator[pa.Table]:
    """Five labels of every picture by each network; networks agree on most best ones."""
    each = _ROWS // (_RANKS * len(NETWORKS))
    for first in range(0, len(ids), each):
        part, own = ids.slice(first, each), sort[first : first + each]
        seen = own * 25 + rng.geometric(0.2, len(own)) - 1
        per_network = []
        for _ in NETWORKS:
            best = np.where(rng.random(len(own)) < 0.8, seen, rng.integers(0, _CLASSES, len(own))) % _CLASSES
            # neighbours of the best one: five different classes
            per_network.append((best[:, None] + np.arange(_RANKS) * 37) % _CLASSES)
        n = len(part) * len(NETWORKS) * _RANKS
        index = np.stack(per_network, axis=1).reshape(n)
        rank = np.tile(np.arange(1, _RANKS + 1), len(part) * len(NETWORKS))
        yield pa.table(
            {
                "image_id": part.take(pa.array(np.repeat(np.arange(len(part)), n // len(part)))),
                "network": pa.array(NETWORKS).take(
                    pa.array(np.tile(np.repeat(np.arange(len(NETWORKS)), _RANKS), len(part)))
                ),
                "rank": rank.astype("i4"),
                "class_index": index.astype("i4"),
                "score": (rng.random(n) / rank).astype("f4"),
            }
        )


# Columns of the tables that are the same in every row, as SQL; a column that is neither here nor in `made` is NULL.
SAME: Mapping[str, Mapping[str, str]] = {
    "posts": {
        "source": "'bench'", "posted_at": "TIMESTAMP '2024-01-01'", "hashtags": "array()", "n_images": "1",
        "crawled_at": "TIMESTAMP '2024-01-02'", "last_seen_at": "TIMESTAMP '2024-01-02'",
        "source_ref": "'bench/posts.jsonl:1'",
    },
    "post_images": {"position": "0", "source_ref": "'bench/picture.jpg'"},
    "image_labels": {"label": "'made'", "weights_sha256": "repeat('w', 64)"},
}  # fmt: skip
