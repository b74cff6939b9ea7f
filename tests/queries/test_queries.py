"""Every query in sql/ on one small lake, against a computation of its own."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import query_lake
from profilelake import ledger, queries
from profilelake.behaviour import stage as behaviour
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.lake import Lake
from profilelake.profiles import stage as profiles
from profilelake.queries import Answer
from tests.conftest import versions
from tests.lakes import WHEN, day, lay, lay_categories, lay_posts

CATEGORY = {"s1": "Selfie", "s2": "Selfie", "m1": "Meal", "m2": "Meal", "p1": "Pet", "f1": "Flower"}
LABEL = {"s1": "wig", "s2": "wig", "m1": "pizza", "m2": "soup", "p1": "tabby", "f1": "daisy"}
# By user and basis the domains, best first, and how many pictures or tags name any.
INTERESTS = {
    ("a", "efficientnet_lite0"): (["animals", "food and drink", "music", "media", "history", "farming"], 60),
    ("a", "tags"): (["music", "animals"], 9),
    ("b", "efficientnet_lite0"): (["history", "animals"], 70),
    ("b", "tags"): (["history", "animals"], 5),
    ("c", "efficientnet_lite0"): (["biology"], 4),
    ("c", "tags"): (["biology"], 50),
    ("d", "efficientnet_lite0"): (["law and crime"], 9),
    ("d", "tags"): (["media", "music"], 7),
}
HABITS = {"a": ["s1", "s2", "m1"], "b": ["m1", "m2", "p1"], "c": ["f1"], "d": ["s1", "m1", "m2", "p1"]}


class World:
    """Posts and pictures in Python, the other side of every comparison."""

    def __init__(self) -> None:
        rng = random.Random(11)
        self.posts: list[dict[str, Any]] = []
        self.pictures: dict[str, list[str]] = {}
        for user, number in (("a", 60), ("b", 70), ("c", 5), ("d", 9)):
            for n in range(number):
                post = f"{user}{n}"
                self.posts.append(
                    {
                        "post_id": post,
                        "user_id": user,
                        "posted_at": day(rng.randrange(90)),
                        "likes": rng.choice([None, *range(40)]),
                        "relation": "favourite" if n % 20 == 19 else "posted",
                        "caption": "a\nb",
                    }
                )
                self.pictures[post] = rng.choices([*HABITS[user], "x"], k=rng.randrange(1, 4))

    def posted(self, user: str | None = None) -> list[dict[str, Any]]:
        return [p for p in self.posts if p["relation"] == "posted" and user in (None, p["user_id"])]

    def categories(self, post: dict[str, Any]) -> set[str]:
        return {CATEGORY[image] for image in self.pictures[post["post_id"]] if image in CATEGORY}

    def frequency(self, user: str) -> dict[str, float]:
        counted = Counter(name for post in self.posted(user) for name in self.categories(post))
        return {name: n / counted.total() for name, n in counted.items()}


def filled(lake: Lake, config: Config) -> World:
    world = World()
    lay_posts(lake, world.posts, world.pictures)
    lay_categories(lake, CATEGORY)
    labels = [{"image_id": image, "label": label} for image, label in LABEL.items()]
    lay(lake, "image_labels", [*labels, {"image_id": "s1", "rank": 2, "label": "never counted"}])
    lay(lake, "image_clusters", [{"image_id": "y", "cluster_id": 0, "fitted": False}])
    lay(
        lake,
        "cluster_fits",
        [{"images": 6, "drift": 0.12345}, {"fit_id": "old", "current": False}],
    )
    lay(
        lake,
        "behaviour_scores",
        [
            {"user_id": user, "task": task, "model_version": version, "probability": p, "evidence": 9}
            for user, task, version, p in (
                ("a", "R1", "2", 0.91234), ("b", "R1", "2", 0.5), ("d", "R1", "1", 0.9), ("d", "R4", "2", 0.9),
                ("d", "R1", "2", 0.75),
            )
        ],
    )  # fmt: skip
    live = {"since": WHEN, "metric": "accuracy", "value": 0.8, "mlflow_run_id": "r", "reason": "laid down"}
    lay(
        lake,
        "champions",
        [
            {**live, "model": "selfie_R1", "version": "1", "until": WHEN},
            {**live, "model": "selfie_R1", "version": "2"},
            {**live, "model": "selfie_R4", "version": "1"},
        ],
    )
    lay(
        lake,
        "user_interests",
        [
            {"user_id": user, "basis": basis, "domain": domain, "occurrences": 9, "score": 9.0, "rank": rank}
            for (user, basis), (names, _) in INTERESTS.items() for rank, domain in enumerate(names, 1)
        ],
        relation="posted",
    )  # fmt: skip
    lay(
        lake,
        "user_interest_evidence",
        [{"user_id": user, "basis": basis, "given": 90, "named": n} for (user, basis), (_, n) in INTERESTS.items()],
        relation="posted",
    )
    quarantined = [("ingest", "b.jsonl:3", "bad_json", "u"), ("ingest", "b.jsonl:2", "bad_json", None)]
    lay(
        lake,
        "quarantine",
        [
            {"stage": stage, "record_id": record, "reason": reason, "user_id": user, "detail": f"of {record}"}
            for stage, record, reason, user in [*quarantined, ("images", "p#0", "image_failed", "u")]
        ],
    )
    with ledger.run(lake.spark, config, "test"):
        behaviour.run(lake.spark, config)
        profiles.run(lake.spark, config)
    return world


@pytest.mark.slow
def test_every_packaged_query(lake: Lake, lake_config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    spark = lake.spark
    world = filled(lake, lake_config)
    before = versions(lake)
    texts = {query.name: query.text for query in queries.packaged()}

    def ask(name: str, **parameters: str) -> list[dict[str, Any]]:
        found = queries.answer(queries.run_query(spark, lake_config, texts.pop(name), parameters), 1000)
        return [dict(zip(found.names, row, strict=True)) for row in found.rows]

    # the profile of one user
    (row,) = ask("profile_of_a_user", user_id="b")
    assert (row["user_id"], row["posts"]) == ("b", len(world.posted("b")))

    # users like d
    mine = world.frequency("d")
    similar = {}
    for user in "abc":
        other = world.frequency(user)
        product = sum(mine[name] * other[name] for name in mine.keys() & other.keys())
        if mine.keys() & other.keys():
            similar[user] = product / math.hypot(*mine.values()) / math.hypot(*other.values())
    found = ask("users_like", user_id="d")
    assert [row["user_id"] for row in found] == sorted(similar, key=lambda user: -similar[user])
    assert {row["user_id"]: row["similarity"] for row in found} == pytest.approx(similar, abs=1e-4)

    # top categories a month
    months: dict[str, Counter[str]] = {}
    for post in world.posted():
        months.setdefault(f"{post['posted_at']:%Y-%m}", Counter()).update(world.categories(post))
    expected = [
        (month, place, name, n, pytest.approx(n / counted.total(), abs=1e-4))
        for month, counted in sorted(months.items())
        for place, (name, n) in enumerate(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:5], 1)
    ]
    found = ask("top_categories_by_month")
    assert [(r["month"], r["place"], r["category"], r["occurrences"], r["share"]) for r in found] == expected

    # most selfie-prone users: only a and b have 50 occurrences
    found = ask("most_selfie_prone_users")
    assert [row["user_id"] for row in found] == ["a", "b"]
    assert found[0]["selfie_frequency"] == pytest.approx(world.frequency("a")["Selfie"], abs=1e-4)
    assert found[1]["selfie_frequency"] == 0

    # selfie addicts, by the live version of R1 alone: what they post more than all users on average
    without = {user: Counter(n for post in world.posted(user) for n in world.categories(post) if n != "Selfie")
               for user in "abcd"}  # fmt: skip
    shares = {user: {n: count / counted.total() for n, count in counted.items()} for user, counted in without.items()}
    mean = {n: sum(share.get(n, 0) for share in shares.values()) / 4 for n in set(CATEGORY.values()) - {"Selfie"}}
    expected = []
    for user, probability in (("a", 0.9123), ("d", 0.75)):
        above = sorted((mean[n] - share, n) for n, share in shares[user].items() if share > mean[n])[:3]
        why = ", ".join(f"{n} {100 * shares[user][n]:.0f} % (all {100 * mean[n]:.0f} %)" for _, n in above)
        expected.append((user, probability, "2", 9, why, pytest.approx(world.frequency(user)["Selfie"], abs=1e-4)))
    found = ask("selfie_addicts")
    columns = ("user_id", "probability", "model_version", "other_occurrences", "posts_more_of", "selfie_frequency")
    assert [tuple(row[name] for name in columns) for row in found] == expected
    assert all(row["posts_more_of"] and row["selfie_occurrences"] for row in found)

    # interests from pictures and from tags: c has too few pictures, and a's sixth domain is not of the five
    expected = []
    for user in "abd":
        pictures, tags = (INTERESTS[user, basis][0][:5] for basis in ("efficientnet_lite0", "tags"))
        common = [domain for domain in pictures if domain in tags]
        f1 = pytest.approx(2 * len(common) / (len(pictures) + len(tags)), abs=1e-4)
        expected.append((user, ", ".join(pictures), ", ".join(tags), ", ".join(common), len(common), f1))
    found = ask("interests_from_pictures_and_tags")
    columns = ("user_id", "from_pictures", "from_tags", "in_common", "matches", "f1")
    assert [tuple(row[name] for name in columns) for row in found] == [expected[1], expected[0], expected[2]]
    assert [(row["relation"], row["network"], row["pictures"], row["tags"]) for row in found] == [
        ("posted", "efficientnet_lite0", INTERESTS[user, "efficientnet_lite0"][1], INTERESTS[user, "tags"][1])
        for user in "bad"
    ]

    # the best posts within each user: c has not 8 posts
    expected = []
    for user in "abd":
        known = [post for post in world.posted(user) if post["likes"] is not None]
        median = statistics.median(post["likes"] for post in known)
        if len(known) >= 8:
            known.sort(key=lambda post: (-post["likes"], post["posted_at"], post["post_id"]))
            for place, post in enumerate(known[:3], 1):
                times = pytest.approx(post["likes"] / median, abs=0.006)
                expected.append((user, place, post["post_id"], post["likes"], median, times))
    found = ask("best_posts_of_each_user")
    columns = ("user_id", "place", "post_id", "likes", "median_likes", "times_median")
    assert [tuple(row[name] for name in columns) for row in found] == expected
    assert len(expected) >= 6

    # quarantine by reason
    found = ask("quarantine_by_reason")
    columns = ("stage", "reason", "refused", "users", "example", "detail")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("ingest", "bad_json", 2, 1, "b.jsonl:2", "of b.jsonl:2"),
        ("images", "image_failed", 1, 1, "p#0", "of p#0"),
    ]

    # purity by label: a category of two labels is half pure, ties go to the greater name
    found = ask("category_purity")
    columns = ("category", "pictures", "clusters", "silhouette", "label", "label_share", "labels")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("Flower", 2, 1, 0.25, "daisy", 1.0, 1),
        ("Pet", 1, 1, 0.25, "tabby", 1.0, 1),
        ("Selfie", 2, 1, 0.25, "wig", 1.0, 1),
        ("Meal", 2, 1, 0.25, "soup", 0.5, 2),
    ]

    # purity where users are the truth
    pairs = {
        (image, post["user_id"])
        for post in world.posted()
        for image in world.pictures[post["post_id"]]
        if image in CATEGORY
    }
    by_category = {
        name: Counter(user for image, user in pairs if CATEGORY[image] == name) for name in CATEGORY.values()
    }
    found = ask("purity_against_users")
    assert {row["category"]: (row["pictures"], row["users"], row["share"]) for row in found} == {
        name: (counted.total(), len(counted), pytest.approx(max(counted.values()) / counted.total(), abs=1e-4))
        for name, counted in by_category.items()
    }
    purity = sum(max(counted.values()) for counted in by_category.values()) / len(pairs)
    assert [row["purity"] for row in found] == pytest.approx([purity] * len(found), abs=1e-4)

    # what is missing
    found = ask("what_is_missing")
    counted = {(row["column"], row["reason"]): row["users"] for row in found}
    assert counted[("personality_openness", "stage has not run")] == 4
    assert counted[("behaviour_selfie_inertia", "no selfie")] == 2

    # drift: of current fits only
    found = ask("drift")
    columns = ("purpose", "fit_id", "fitted_pictures", "pictures_since", "drift")
    assert [tuple(row[name] for name in columns) for row in found] == [("categories", "fit-1", 6, 1, 0.1235)]

    # the history: a run and its stages
    found = ask("run_history")
    assert [(row["stage"], row["status"]) for row in found] == [
        ("run", "done"),
        ("behaviour", "done"),
        ("profiles", "done"),
    ]

    assert texts == {}, "these queries of sql/ are not tested"
    assert versions(lake) == before

    # one statement by name, as the job prints it
    arguments = [f"lake.path={lake_config.lake.path}", "--file", "profile_of_a_user", "--param", "user_id=b", "--csv"]
    assert query_lake.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("user_id,source,")
    assert lines[1].startswith("b,test,")
    assert query_lake.main([f"lake.path={lake_config.lake.path}", "--limit", "3", "SELECT post_id FROM posts"]) == 0
    assert capsys.readouterr().out.endswith("3 rows, and there are more\n")
    assert query_lake.main([f"lake.path={lake_config.lake.path}", "--file", "profile_of_a_user"]) == 2
    assert "the query needs a value for :user_id" in capsys.readouterr().out


def test_statements_that_cannot_run(lake: Lake, lake_config: Config) -> None:
    spark = lake.spark
    for text, message in (
        ("SELECT nonsense FROM posts", "nonsense"),
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("SELECT * FORM posts", "FORM|posts"),
    ):
        with pytest.raises(ConfigError, match=message) as raised:
            queries.run_query(spark, lake_config, text)
        assert "JVM" not in str(raised.value)
    with pytest.raises(ConfigError, match="DROP is refused"):
        queries.run_query(spark, lake_config, "DROP TABLE posts")
    assert queries.run_query(spark, lake_config, "SHOW TABLES").where("tableName = 'posts'").count() == 1
    assert "post_id" in {row["col_name"] for row in queries.run_query(spark, lake_config, "DESCRIBE posts").collect()}
    assert spark.catalog.currentDatabase() == "default"


def test_without_a_lake_there_is_no_answer(spark: SparkSession, make_config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"there is no lake at .*lake: run jobs/build_profiles\.py first"):
        queries.run_query(spark, make_config(), "SELECT 1")


def test_values_are_fit_to_be_shown(spark: SparkSession) -> None:
    result = spark.sql(
        "SELECT 1 AS a, 2.5D AS a, TIMESTAMP'2024-03-01 12:00:00+02:00' AS t, array(struct(1 AS x, NULL AS y)) AS l, "
        "X'0102' AS b, CAST(NULL AS string) AS n, true AS k"
    )
    assert queries.answer(result, 5) == Answer(
        ["a", "a", "t", "l", "b", "n", "k"],
        [(1, 2.5, "2024-03-01 10:00:00", '[{"x":1,"y":null}]', "2 bytes", None, True)],
        False,
    )
    many = queries.answer(spark.range(10), 10)
    assert (len(many.rows), many.more) == (10, False)
    assert queries.answer(spark.range(11), 10).more
