"""How well pictures tell what tags tell of a user's interests (paper 2, section 4), and what the paper lacks: chance,
intervals, comparisons on the same users.

A user's two profiles are sets of at most five domains, so whatever is measured of a user depends on a few small whole
numbers: the matches, the two sizes, the group by number of pictures. Spark counts the users who are alike in these
(`count`), and the counts are all that comes to the driver, however many users there are. Resampling users is drawing
those counts from a multinomial, so intervals cost no more for a million users than for a hundred.

Chance is what the tags of another user would give. It is no estimate: the mean over all ordered pairs of different
users follows from how many users have each domain from pictures and from tags, by size of their profiles. A derangement
would be one draw of it, with a seed and an error of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.config import Interests
from profilelake.interests.counting import TAGS, TOP

LEVEL = 95.0  # per cent of the resamples that an interval holds

# What a count counts, and what its numbers a to d are then.
CELL = "cell"  # every user: matches, domains from pictures, domains from tags, group
PAIR = "pair"  # users with both sides, here and in the reference: matches, sum of both sizes; the reference's
OF_PICTURES = "pictures"  # users with both sides who have the domain from pictures: how many they have, group
OF_TAGS = "tags"  # users with both sides who have the domain from tags: how many they have
OF_BOTH = "both"  # users who have the domain from both
_COUNTED = "struct<case: int, kind: string, domain: string, a: int, b: int, c: int, d: int>"


@dataclass(frozen=True)
class Case:
    """One way to make profiles: from the labels of a network, counted as configured or, with an option such as
    `lookup=synset`, otherwise in one respect."""

    network: str
    option: str = ""

    @property
    def name(self) -> str:
        return f"{self.network}, {self.option}" if self.option else self.network


# What profiles are made otherwise by, one at a time: the key of the configuration, and all its values.
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"lookup": ("word", "synset"), "weighting": ("none", "label_score"), "domain_weighting": ("none", "log_odds")}
)


def variants(rules: Interests) -> dict[str, Interests]:
    """By option the rules that differ in it; the rules themselves under ""."""
    others = [(key, value) for key, values in OPTIONS.items() for value in values if value != getattr(rules, key)]
    return {"": rules, **{f"{key}={value}": rules.model_copy(update={key: value}) for key, value in others}}


def cases(networks: Iterable[str], options: Iterable[str] = ()) -> list[Case]:
    """Every network as configured, then every network by each option."""
    named = list(networks)
    return [Case(network, option) for option in ("", *options) for network in named]


def reference(case: Case, primary: str) -> Case | None:
    """What a case is compared with on the same users: an option with its network as configured, a network with the
    primary one; None for that one."""
    if case.option:
        return Case(case.network)
    return None if case.network == primary else Case(primary)


def groups(bins: Sequence[int]) -> list[str]:
    """What the groups of users by number of pictures are called, for the numbers at which they begin."""
    return [
        f"below {bins[0]} pictures",
        *(f"{low} to {high - 1} pictures" for low, high in pairwise(bins)),
        f"{bins[-1]} pictures or more",
    ]


class Count(NamedTuple):
    """How many users of a relation are alike, in a case (by its place) and in one of the kinds above. A kind that says
    nothing of a number or the domain has 0 and "" there."""

    relation: str
    case: int
    kind: str
    domain: str
    a: int
    b: int
    c: int
    d: int
    users: int


def count(
    profiles: Mapping[str, DataFrame], evidence: DataFrame, asked: Sequence[Case], primary: str, bins: Sequence[int]
) -> DataFrame:
    """Users by all that their figures depend on: the columns of `Count` in its order, the rows in none.

    One shuffle, of a row a user. What comes out is bounded: of a case and relation at most 91 cells a group, 900 pairs,
    and the 34 domains by sizes and groups.

    Args:
        profiles: by option, those as configured under "": `user_id`, `relation`, `basis`, `domain`, `rank` as in
            `user_interests`; ranks above 5 are passed over.
        evidence: `user_id`, `relation`, `basis`, `given` as in `user_interest_evidence`. A relation's users are those
            who have a row here or in a profile; who has none here of a network has no pictures by it.
        asked: cases whose options, and those of their references, are in `profiles`.
        primary: the network that others are compared with.
        bins: numbers of pictures at which groups begin, rising; one more group is of those below all.
    """
    against = {case: reference(case, primary) for case in asked}
    wanted = sorted({*asked, *(case for case in against.values() if case is not None)}, key=lambda case: case.name)
    users = _users(profiles, evidence, sorted({case.network for case in wanted}))
    sides = sorted({(case.option, basis) for case in wanted for basis in (case.network, TAGS)})
    users = users.withColumns({_side(*side): _domains(*side) for side in sides})
    users = users.withColumns({_matches(case): F.size(_matching(case)) for case in wanted})
    counted = [_counted(place, case, other, bins) for place, (case, other) in enumerate(against.items())]
    alike = [name for name in Count._fields if name != "users"]
    return users.select("relation", F.inline(F.concat(*counted))).groupBy(*alike).agg(F.count("*").alias("users"))


def _users(profiles: Mapping[str, DataFrame], evidence: DataFrame, networks: Sequence[str]) -> DataFrame:
    """A row a user of a relation: all domains of the profiles as `named`, pictures by network as `given <network>`."""
    columns = ("relation", "user_id", "option", "basis", "domain", "given")
    rows = [
        made.where(F.col("rank") <= TOP).withColumns({"option": F.lit(option), "given": F.lit(None).cast("bigint")})
        for option, made in profiles.items()
    ]
    rows.append(evidence.withColumns({name: F.lit(None).cast("string") for name in ("option", "domain")}))
    named = F.when(F.col("domain").isNotNull(), F.struct("option", "basis", "domain"))
    return (
        reduce(DataFrame.unionByName, [frame.select(*columns) for frame in rows])
        .groupBy("relation", "user_id")
        .agg(F.collect_set(named).alias("named"), *[_most(network).alias(_given(network)) for network in networks])
    )


def _given(network: str) -> str:
    return f"given {network}"


def _side(option: str, basis: str) -> str:
    return f"{basis} by {option}"


def _matches(case: Case) -> str:
    return f"matches {case.name}"


def _most(network: str) -> Column:
    return F.coalesce(F.max(F.when(F.col("basis") == network, F.col("given"))), F.lit(0))


def _domains(option: str, basis: str) -> Column:
    mine = F.filter("named", lambda one: (one["option"] == option) & (one["basis"] == basis))
    return F.transform(mine, lambda one: one["domain"])


def _sides(case: Case) -> tuple[Column, Column]:
    return F.col(f"`{_side(case.option, case.network)}`"), F.col(f"`{_side(case.option, TAGS)}`")


def _matching(case: Case) -> Column:
    return F.array_intersect(*_sides(case))


def _group(network: str, bins: Sequence[int]) -> Column:
    given = F.col(f"`{_given(network)}`")
    return reduce(lambda a, b: a + b, [(given >= begin).cast("int") for begin in bins])


def _counted(place: int, case: Case, against: Case | None, bins: Sequence[int]) -> Column:
    """What one user counts for in a case, an array of `_COUNTED`."""

    def one(kind: str, *numbers: Column, domain: Column | None = None) -> Column:
        padded = [*numbers, *[F.lit(0)] * (4 - len(numbers))]
        return F.struct(F.lit(place), F.lit(kind), F.lit("") if domain is None else domain, *padded).cast(_COUNTED)

    pictures, tags = (F.size(side) for side in _sides(case))
    matches = F.col(f"`{_matches(case)}`")
    whole = (pictures > 0) & (tags > 0)
    group = _group(case.network, bins)
    cell = F.array(one(CELL, matches, pictures, tags, group))
    domains = F.concat(
        F.transform(_sides(case)[0], lambda domain: one(OF_PICTURES, pictures, group, domain=domain)),
        F.transform(_sides(case)[1], lambda domain: one(OF_TAGS, tags, domain=domain)),
        F.transform(_matching(case), lambda domain: one(OF_BOTH, domain=domain)),
    )
    none = F.array().cast(f"array<{_COUNTED}>")
    found = F.concat(cell, F.when(whole, domains).otherwise(none))
    if against is None:
        return found
    its_pictures, its_tags = (F.size(side) for side in _sides(against))
    pair = one(PAIR, matches, pictures + tags, F.col(f"`{_matches(against)}`"), its_pictures + its_tags)
    comparable = whole & (its_pictures > 0) & (its_tags > 0)
    return F.concat(found, F.when(comparable, F.array(pair)).otherwise(none))


# -- from counts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How intervals are made."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class Estimate:
    """A mean over n users, with its percentile interval; without one where there are not two of them."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Score:
    """How well pictures tell tags, over the users who have domains from both.

    Attributes:
        shares: of the users with 0 to 5 matches.
        matches: the mean of matches.
        f1: the mean of F1 = 2 matches / (domains from pictures + domains from tags).
        chance_matches, chance_f1: the same with the tags of each other user; None where there is no other one.
    """

    shares: tuple[Estimate, ...]
    matches: Estimate
    f1: Estimate
    chance_matches: float | None
    chance_f1: float | None


@dataclass(frozen=True)
class LeftOut:
    """Users who leave the means since they have domains from tags alone, from pictures alone, or from neither."""

    no_pictures: int
    no_tags: int
    neither: int

    @property
    def users(self) -> int:
        return self.no_pictures + self.no_tags + self.neither


@dataclass(frozen=True)
class Confusion:
    """Users whose profiles have a domain from both, from pictures alone, and from tags alone."""

    domain: str
    both: int
    pictures_only: int
    tags_only: int


@dataclass(frozen=True, eq=False)
class Agreement:
    """The counts of one relation and case, by their numbers."""

    cells: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    pairs: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    of_pictures: dict[tuple[str, int, int], int] = field(default_factory=dict)
    of_tags: dict[tuple[str, int], int] = field(default_factory=dict)
    of_both: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> dict[tuple[int, int, int, int], int]:
        """The cells of users with domains from both sides."""
        return {cell: users for cell, users in self.cells.items() if cell[1] and cell[2]}


def agreements(counts: Iterable[Count]) -> dict[tuple[str, int], Agreement]:
    """By relation and place of the case, in order: what is drawn at random doesn't depend on the order of rows."""
    found: dict[tuple[str, int], Agreement] = {}
    for one in sorted(counts):
        into = found.setdefault((one.relation, one.case), Agreement())
        if one.kind == CELL:
            into.cells[one.a, one.b, one.c, one.d] = one.users
        elif one.kind == PAIR:
            into.pairs[one.a, one.b, one.c, one.d] = one.users
        elif one.kind == OF_PICTURES:
            into.of_pictures[one.domain, one.a, one.b] = one.users
        elif one.kind == OF_TAGS:
            into.of_tags[one.domain, one.a] = one.users
        elif one.kind == OF_BOTH:
            into.of_both[one.domain] = one.users
        else:
            raise ValueError(f"there are no counts of kind {one.kind!r}")
    return found


def left_out(agreement: Agreement) -> LeftOut:
    """Who has an empty side."""

    def of(pictures: bool, tags: bool) -> int:
        return sum(users for (_, p, t, _), users in agreement.cells.items() if (p > 0, t > 0) == (pictures, tags))

    return LeftOut(of(False, True), of(True, False), of(False, False))


def score(agreement: Agreement, plan: Plan, group: int | None = None) -> Score | None:
    """Over all users, or over those of one group by number of pictures; None where nobody has both sides."""
    cells = {cell: users for cell, users in agreement.whole.items() if group in (None, cell[3])}
    if not cells:
        return None
    shares = [[float(matches == k) for k in range(TOP + 1)] for matches, *_ in cells]
    values = [[*of, matches, _f1(matches, p + t)] for of, (matches, p, t, _) in zip(shares, cells, strict=True)]
    found = _estimates(values, list(cells.values()), plan)
    chance = _chance(agreement, cells, group)
    return Score(tuple(found[: TOP + 1]), found[-2], found[-1], *(chance or (None, None)))


def difference(agreement: Agreement, plan: Plan) -> Estimate | None:
    """Mean F1 minus that of the reference, on the users who have all four sides; None where there is nobody."""
    if not agreement.pairs:
        return None
    values = [[_f1(a, b) - _f1(c, d)] for a, b, c, d in agreement.pairs]
    return _estimates(values, list(agreement.pairs.values()), plan)[0]


def confusions(agreement: Agreement) -> list[Confusion]:
    """Of every domain that somebody has, over the users with both sides: those that most users have on one side alone
    first, then by name."""
    pictures, tags = dict[str, int](), dict[str, int]()
    for (domain, *_), users in agreement.of_pictures.items():
        pictures[domain] = pictures.get(domain, 0) + users
    for (domain, _), users in agreement.of_tags.items():
        tags[domain] = tags.get(domain, 0) + users
    found = []
    for domain in pictures | tags:
        both = agreement.of_both.get(domain, 0)
        found.append(Confusion(domain, both, pictures.get(domain, 0) - both, tags.get(domain, 0) - both))
    return sorted(found, key=lambda one: (-one.pictures_only - one.tags_only, one.domain))


def _f1(matches: int, sizes: int) -> float:
    return 2 * matches / sizes


def _estimates(values: Sequence[Sequence[float]], users: Sequence[int], plan: Plan) -> list[Estimate]:
    """Means over users of several values, (cells, values), with percentile intervals over resampled users."""
    of, counts = np.array(values, np.float64), np.array(users, np.int64)
    n = int(counts.sum())
    means = counts @ of / n
    if n < 2:
        return [Estimate(float(mean), None, None, n) for mean in means]
    rng = np.random.default_rng(plan.seed)
    drawn: npt.NDArray[np.float64] = rng.multinomial(n, counts / n, size=plan.resamples) @ of / n
    low, high = np.percentile(drawn, [(100 - LEVEL) / 2, (100 + LEVEL) / 2], axis=0)
    found = zip(means.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(mean, below, above, n) for mean, below, above in found]


def _chance(
    agreement: Agreement, cells: Mapping[tuple[int, int, int, int], int], group: int | None
) -> tuple[float, float] | None:
    """Mean matches and mean F1 of the pictures of the users in `cells` with the tags of every other user with both
    sides, of whatever group: all pairs, less those of users with themselves."""
    others = sum(agreement.whole.values()) - 1
    if others < 1:
        return None
    tags: dict[str, list[tuple[int, int]]] = {}
    for (domain, size), users in agreement.of_tags.items():
        tags.setdefault(domain, []).append((size, users))
    matches = -sum(own * users for (own, *_), users in cells.items())
    f1 = -sum(_f1(own, p + t) * users for (own, p, t, _), users in cells.items())
    for (domain, size, its_group), users in agreement.of_pictures.items():
        if group in (None, its_group):
            for other_size, other_users in tags.get(domain, ()):
                matches += users * other_users
                f1 += users * other_users * _f1(1, size + other_size)
    pairs = sum(cells.values()) * others
    return matches / pairs, f1 / pairs
