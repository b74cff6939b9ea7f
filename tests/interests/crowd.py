"""Random users with interests, and what is to be found of them, reckoned from their sets one user at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from profilelake.interests.counting import TAGS
from profilelake.interests.evaluation import Case, Count

DOMAINS = ("animals", "art", "food and drink", "games", "history", "music", "religion", "sport", "warfare")
NETWORKS = ("resnet50", "vgg16")
OPTION = "lookup=synset"
BINS = (3, 10)


@dataclass(frozen=True)
class User:
    """Domains by (option, basis), most first, longer than a profile at times; pictures by network."""

    user_id: str
    relation: str
    ranked: Mapping[tuple[str, str], Sequence[str]]
    given: Mapping[str, int]

    def side(self, option: str, basis: str) -> frozenset[str]:
        return frozenset(self.ranked.get((option, basis), ())[:5])

    def sides(self, case: Case) -> tuple[frozenset[str], frozenset[str]]:
        return self.side(case.option, case.network), self.side(case.option, TAGS)

    def f1(self, case: Case) -> float:
        pictures, tags = self.sides(case)
        return 2 * len(pictures & tags) / (len(pictures) + len(tags))

    def group(self, network: str) -> int:
        return sum(self.given.get(network, 0) >= begin for begin in BINS)


def users(count: int, seed: int, relation: str = "favourite") -> list[User]:
    """Some have one picture, some no domain on a side or on both, some nothing by one network; many are alike."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        liked = rng.sample(DOMAINS, rng.randint(0, 7))
        ranked: dict[tuple[str, str], list[str]] = {}
        for option in ("", OPTION):
            for basis in (*NETWORKS, TAGS):
                if rng.random() < 0.85:
                    noise = rng.sample(DOMAINS, rng.randint(0, 2))
                    ranked[option, basis] = list(dict.fromkeys([*rng.sample(liked, len(liked)), *noise]))
        given = {network: rng.choice((0, 1, 2, 3, 9, 10, 40)) for network in NETWORKS if rng.random() < 0.9}
        found.append(User(f"u{number:03d}", relation, ranked, given))
    return found


def whole(crowd: Sequence[User], case: Case) -> list[User]:
    """Those with domains on both sides."""
    return [user for user in crowd if all(user.sides(case))]


def counts(crowd: Sequence[User], asked: Sequence[Case], against: Sequence[Case | None]) -> list[Count]:
    """What `evaluation.count` makes of them, by hand."""
    found: Counter[tuple[Any, ...]] = Counter()
    for user in crowd:
        for place, (case, other) in enumerate(zip(asked, against, strict=True)):
            pictures, tags = user.sides(case)
            own = (len(pictures & tags), len(pictures) + len(tags))
            group = user.group(case.network)
            found[user.relation, place, "cell", "", own[0], len(pictures), len(tags), group] += 1
            if not pictures or not tags:
                continue
            for domain in pictures:
                found[user.relation, place, "pictures", domain, len(pictures), group, 0, 0] += 1
            for domain in tags:
                found[user.relation, place, "tags", domain, len(tags), 0, 0, 0] += 1
            for domain in pictures & tags:
                found[user.relation, place, "both", domain, 0, 0, 0, 0] += 1
            if other is not None and all(user.sides(other)):
                its_pictures, its_tags = user.sides(other)
                its = (len(its_pictures & its_tags), len(its_pictures) + len(its_tags))
                found[user.relation, place, "pair", "", *own, *its] += 1
    return [Count(*alike, users) for alike, users in found.items()]


_KEY = {"user_id": pa.string(), "relation": pa.string(), "basis": pa.string()}
_COLUMNS: Mapping[str, Mapping[str, pa.DataType]] = {
    "user_interests": {
        **_KEY, "domain": pa.string(), "occurrences": pa.int64(), "score": pa.float64(), "rank": pa.int32(),
    },
    "user_interest_evidence": {**_KEY, "given": pa.int64(), "named": pa.int64()},
    "interest_words": {"word": pa.string()},
}  # fmt: skip


def frame(spark: SparkSession, table: str, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Rows of a table, as much of it as an evaluation reads. No Python worker is needed."""
    return spark.createDataFrame(pa.Table.from_pylist(list(rows), schema=pa.schema(dict(_COLUMNS[table])))).coalesce(1)


def profiles(crowd: Sequence[User], option: str) -> list[dict[str, Any]]:
    """Rows of `user_interests`, ranks beyond the profile too."""
    return [
        {
            "user_id": user.user_id, "relation": user.relation, "basis": basis, "domain": domain,
            "occurrences": 9 - rank, "score": 9.0 - rank, "rank": rank,
        }
        for user in crowd
        for (held, basis), domains in user.ranked.items()
        if held == option
        for rank, domain in enumerate(domains, 1)
    ]  # fmt: skip


def evidence(crowd: Sequence[User]) -> list[dict[str, Any]]:
    """Rows of `user_interest_evidence`."""
    return [
        {"user_id": user.user_id, "relation": user.relation, "basis": basis, "given": given, "named": 0}
        for user in crowd
        for basis, given in {**user.given, TAGS: 3}.items()
    ]
