"""How well pictures tell tags, against plain Python over sets, one user and one pair of users at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import mean, quantiles

import pytest
from pyspark.sql import SparkSession

from profilelake import config as configuration
from profilelake.interests import evaluation, published
from profilelake.interests.evaluation import Agreement, Case, Confusion, Count, Estimate, LeftOut, Plan
from tests.interests import crowd
from tests.interests.crowd import BINS, DOMAINS, NETWORKS, OPTION, User

CASES = evaluation.cases(NETWORKS, [OPTION])
AGAINST = [evaluation.reference(case, NETWORKS[0]) for case in CASES]
PLAN = Plan(resamples=400, seed=3)
CROWD = [*crowd.users(150, 1), *crowd.users(60, 2, "posted")]


def of(people: Sequence[User], case: Case = CASES[0], relation: str = "favourite") -> Agreement:
    found = evaluation.agreements(crowd.counts(people, CASES, AGAINST))
    return found.get((relation, CASES.index(case)), Agreement())


def one(pictures: Sequence[str], tags: Sequence[str], given: int = 7, name: str = "u") -> User:
    ranked = {("", network): pictures for network in NETWORKS} | {("", "tags"): tags}
    return User(name, "favourite", ranked, dict.fromkeys(NETWORKS, given))


# -- what is compared


def test_cases_and_what_they_are_compared_with() -> None:
    assert [case.name for case in CASES] == [
        "resnet50", "vgg16", "resnet50, lookup=synset", "vgg16, lookup=synset",
    ]  # fmt: skip
    assert [None, Case("resnet50"), Case("resnet50"), Case("vgg16")] == AGAINST


@pytest.mark.parametrize(
    ("configured", "options"),
    [
        ((), ["lookup=synset", "weighting=label_score", "domain_weighting=log_odds"]),
        (
            ("interests.lookup=synset", "interests.domain_weighting=log_odds"),
            ["lookup=word", "weighting=label_score", "domain_weighting=none"],
        ),
    ],
)
def test_each_option_differs_in_one_respect(configured: Sequence[str], options: Sequence[str]) -> None:
    rules = configuration.load(arguments=configured).interests
    found = evaluation.variants(rules)
    assert list(found) == ["", *options]
    assert found.pop("") == rules
    for option, others in found.items():
        key, value = option.split("=")
        assert others.model_dump() == rules.model_dump() | {key: value}


def test_groups_have_names() -> None:
    assert evaluation.groups([3, 10]) == ["below 3 pictures", "3 to 9 pictures", "10 pictures or more"]
    assert evaluation.groups([5]) == ["below 5 pictures", "5 pictures or more"]


# -- the figures of one relation and case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("group", [None, 0, 1, 2])
def test_means_and_chance(case: Case, group: int | None) -> None:
    everybody = crowd.whole(CROWD[:150], case)
    people = [user for user in everybody if group in (None, user.group(case.network))]
    assert len(people) > 15
    found = evaluation.score(of(CROWD, case), PLAN, group)
    assert found is not None
    matches = [len(user.sides(case)[0] & user.sides(case)[1]) for user in people]
    assert [share.value for share in found.shares] == pytest.approx([matches.count(k) / len(people) for k in range(6)])
    assert found.matches.value == pytest.approx(mean(matches))
    assert found.f1.value == pytest.approx(mean(user.f1(case) for user in people))
    assert {estimate.n for estimate in (*found.shares, found.matches, found.f1)} == {len(people)}
    pairs = [(user.sides(case)[0], other.sides(case)[1]) for user in people for other in everybody if other is not user]
    assert found.chance_matches == pytest.approx(mean(len(a & b) for a, b in pairs))
    assert found.chance_f1 == pytest.approx(mean(2 * len(a & b) / (len(a) + len(b)) for a, b in pairs))


def test_who_leaves_the_means_is_counted() -> None:
    for case in CASES:
        sides = [tuple(map(bool, user.sides(case))) for user in CROWD[:150]]
        expected = LeftOut(sides.count((False, True)), sides.count((True, False)), sides.count((False, False)))
        assert evaluation.left_out(of(CROWD, case)) == expected
        assert min(expected.no_pictures, expected.no_tags, expected.neither) > 0
        assert expected.users + len(crowd.whole(CROWD[:150], case)) == 150


@pytest.mark.parametrize("place", [1, 2, 3])
def test_differences_are_of_the_same_users(place: int) -> None:
    case, other = CASES[place], AGAINST[place]
    assert other is not None
    people = [user for user in crowd.whole(CROWD[:150], case) if all(user.sides(other))]
    found = evaluation.difference(of(CROWD, case), PLAN)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(mean(u.f1(case) - u.f1(other) for u in people)), len(people))
    assert len(people) < len(crowd.whole(CROWD[:150], case))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_the_first_case_is_compared_with_nothing() -> None:
    assert evaluation.difference(of(CROWD), PLAN) is None


def test_confusions() -> None:
    case = CASES[1]
    people = crowd.whole(CROWD[:150], case)
    found = evaluation.confusions(of(CROWD, case))
    assert {confusion.domain for confusion in found} == set(DOMAINS)
    for confusion in found:
        held = [(confusion.domain in user.sides(case)[0], confusion.domain in user.sides(case)[1]) for user in people]
        expected = (held.count((True, True)), held.count((True, False)), held.count((False, True)))
        assert (confusion.both, confusion.pictures_only, confusion.tags_only) == expected
    order = [(-confusion.pictures_only - confusion.tags_only, confusion.domain) for confusion in found]
    assert order == sorted(order)


def test_intervals_are_those_of_resampled_users() -> None:
    case = CASES[0]
    people = crowd.whole(CROWD[:150], case)
    found = evaluation.score(of(CROWD), Plan(resamples=4000, seed=5))
    assert found is not None
    rng = random.Random(8)
    values = [user.f1(case) for user in people]
    means = [mean(rng.choices(values, k=len(values))) for _ in range(4000)]
    cuts = quantiles(means, n=40, method="inclusive")
    assert (found.f1.low, found.f1.high) == (pytest.approx(cuts[0], abs=0.006), pytest.approx(cuts[-1], abs=0.006))
    for estimate in (*found.shares, found.matches, found.f1):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high


def test_the_same_seed_gives_the_same_intervals_in_whatever_order_counts_come() -> None:
    counts = crowd.counts(CROWD, CASES, AGAINST)
    turned = evaluation.agreements(reversed(counts))["favourite", 0]
    assert evaluation.score(turned, PLAN) == evaluation.score(of(CROWD), PLAN)
    assert evaluation.score(turned, Plan(400, 4)) != evaluation.score(of(CROWD), PLAN)


# -- few users


def test_one_user_has_no_interval_and_no_chance() -> None:
    found = evaluation.score(of([one(["art", "music"], ["music"])]), PLAN)
    assert found is not None
    assert found.f1 == Estimate(2 / 3, None, None, 1)
    assert found.matches == Estimate(1.0, None, None, 1)
    assert (found.chance_matches, found.chance_f1) == (None, None)


def test_two_users_are_each_others_chance() -> None:
    found = evaluation.score(of([one(["art"], ["art"], name="a"), one(["music"], ["music", "art"], name="b")]), PLAN)
    assert found is not None
    assert found.chance_matches == pytest.approx((1 + 0) / 2)  # a's picture with b's tags, b's with a's
    assert found.chance_f1 == pytest.approx((2 * 1 / 3 + 0) / 2)


@pytest.mark.parametrize(
    "people",
    [[], [one([], [])], [one(["art"], [])], [one([], ["art"]), one(["art"], [], name="b")]],
    ids=["nobody", "no side", "pictures alone", "a side each"],
)
def test_without_both_sides_there_is_no_figure(people: list[User]) -> None:
    agreement = of(people)
    assert evaluation.score(agreement, PLAN) is None
    assert evaluation.score(agreement, PLAN, 0) is None
    assert evaluation.difference(agreement, PLAN) is None
    assert evaluation.confusions(agreement) == []
    assert evaluation.left_out(agreement).users == len(people)


def test_five_of_five_is_one_and_a_sixth_domain_counts_nowhere() -> None:
    found = evaluation.score(of([one(DOMAINS[:6], DOMAINS[:5]), one(DOMAINS[1:6], DOMAINS[:5], name="b")]), PLAN)
    assert found is not None
    assert (found.f1.value, found.matches.value) == (pytest.approx((1 + 0.8) / 2), pytest.approx(4.5))
    assert [share.value for share in found.shares] == [0, 0, 0, 0, 0.5, 0.5]
    both = [Confusion(domain, 2, 0, 0) for domain in DOMAINS[1:5]]
    assert evaluation.confusions(of([one(DOMAINS[:6], DOMAINS[:5]), one(DOMAINS[:5], DOMAINS[:5])])) == [
        Confusion(DOMAINS[0], 2, 0, 0), *both,
    ]  # fmt: skip


def test_a_count_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="no counts of kind 'other'"):
        evaluation.agreements([Count("posted", 0, "other", "", 0, 0, 0, 0, 1)])


# -- what the paper printed


@pytest.mark.parametrize("network", published.TABLE_1)
def test_the_papers_means_follow_from_its_counts(network: str) -> None:
    printed = published.TABLE_1[network]
    assert sum(printed.users) == published.USERS
    matches = sum(number * users for number, users in enumerate(printed.users)) / published.USERS
    assert matches == pytest.approx(printed.matches, abs=0.005)
    assert matches / 5 == pytest.approx(printed.f1, abs=0.0001)  # all of its profiles have five domains


# -- counting in Spark


def test_users_are_counted_as_by_hand(spark: SparkSession) -> None:
    profiles = {option: crowd.frame(spark, "user_interests", crowd.profiles(CROWD, option)) for option in ("", OPTION)}
    evidence = crowd.frame(spark, "user_interest_evidence", crowd.evidence(CROWD))
    found = evaluation.count(profiles, evidence, CASES, NETWORKS[0], BINS)
    assert sorted(Count(*row) for row in found.collect()) == sorted(crowd.counts(CROWD, CASES, AGAINST))
