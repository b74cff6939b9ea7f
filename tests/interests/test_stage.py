"""The stage against the same counts in plain Python, on random posts with ties, bad tags and users without anything."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import Row, SparkSession

from profilelake import ledger, pipeline
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from profilelake.interests import cleaning, counting, lexicon, profile
from profilelake.interests import stage as interests
from profilelake.lake import Lake
from profilelake.ledger import Run
from tests.conftest import versions
from tests.lakes import frame, lay, lay_posts

NETWORKS = ("efficientnet_lite0", "efficientnet_lite1")
LABELLED = f"images.label=[{', '.join(NETWORKS)}]"
OWN = "word\tdomains\ndog\tanimals\njazz\tmusic\ncoffee\tfood and drink\ngoldfish\tanimals|food and drink\nbank\t\n"

# What people write: some of it twice over, some of it no word at all.
WRITTEN = (
    "dog", "Dogs", "golden-retriever", "coffee", "#coffee", "espresso", "jazz", "temple", "red fox", "Canon EOS 5D",
    "bokeh", "portrait", "red", "beautiful", "asdfgh", "entity", "東京", "قطتي", "😀😀", "👩‍👩‍👧‍👦", " ", "", "---",
    "'; DROP TABLE posts;--", "x" * 10_000, "dog " * 2_500, "\u0000", "news", "book", "piano",
)  # fmt: skip
# Labels that name one domain, several, none (orange, tripod), and the two that are called crane.
CLASSES = [0, 1, 2, 3, 134, 207, 281, 300, 340, 402, 463, 487, 517, 559, 604, 701, 817, 872, 950, 985]


class World:
    """Posts, pictures, labels and tags, and what follows from them."""

    def __init__(self, seed: int = 5) -> None:
        rng = random.Random(seed)
        images = [f"i{n}" for n in range(40)]
        self.posts: list[dict[str, Any]] = []
        self.pictures: dict[str, list[str]] = {}
        self.labels: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for user, posted, favourites in (("a", 30, 25), ("b", 25, 0), ("c", 0, 12), ("d", 1, 0)):
            words = rng.sample(WRITTEN, 18)
            for n in range(posted + favourites):
                tags = rng.choice([None, [], rng.choices(words, k=rng.randrange(1, 6))])
                post = f"{user}{n}"
                relation = "posted" if n < posted else "favourite"
                hashtags = rng.choices(("dog", "jazz", "猫", "coffee"), k=rng.randrange(3))
                self.posts.append(
                    {"post_id": post, "user_id": user, "relation": relation, "tags": tags, "hashtags": hashtags}
                )
                self.pictures[post] = rng.choices([*images, "unlabelled"], k=rng.randrange(4))
        # a user of whom nothing names a domain, and one who has nothing at all
        self.posts.append({"post_id": "e0", "user_id": "e", "tags": ["canon", "2012"]})
        self.posts.append({"post_id": "f0", "user_id": "f", "tags": []})
        self.pictures |= {"e0": ["tripod"], "f0": []}
        for network in NETWORKS:
            for image in images:
                if rng.random() < 0.9:
                    drawn = sorted((rng.random() for _ in range(5)), reverse=True)
                    self.labels[image, network] = list(zip(rng.sample(CLASSES, 5), drawn, strict=True))
        self.labels["tripod", NETWORKS[0]] = [(imagenet_labels().index("tripod"), 0.9)]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        labels = [
            {"image_id": image, "network": network, "rank": rank, "class_index": index, "score": score,
             "label": imagenet_labels()[index]}
            for (image, network), labels in self.labels.items() for rank, (index, score) in enumerate(labels, 1)
        ]  # fmt: skip
        return {
            "posts": self.posts,
            "post_images": [
                {"post_id": post, "position": position, "image_id": image}
                for post, images in self.pictures.items()
                for position, image in enumerate(images)
            ],
            # a network that is not configured counts nowhere
            "image_labels": [*labels, *({**row, "network": "resnet50"} for row in labels[:20])],
        }

    def words(self) -> Counter[str]:
        """How many posts have each tag."""
        return Counter(tag for post in self.posts for tag in self.tags(post))

    def tags(self, post: dict[str, Any]) -> list[str]:
        """The tags of a post as `interest_words` spells them, each once."""
        given = post["tags"] if post["tags"] is not None else post.get("hashtags", [])
        return [tag if len(tag) <= 128 else tag[:128] + "…" for tag in dict.fromkeys(given)]

    def named(self, of: interests.Known) -> dict[tuple[str, str, str], list[list[tuple[tuple[str, ...], float, int]]]]:
        """By user, relation and basis what each picture or tag says: domains, score and rank of each of its labels."""
        found: dict[tuple[str, str, str], list[list[tuple[tuple[str, ...], float, int]]]] = defaultdict(list)
        for post in self.posts:
            who = post["user_id"], post.get("relation", "posted")
            for row in cleaning.rows(self.tags(post), of.lexicon):
                found[(*who, "tags")].append([(row.domains, 1.0, 1)])
            for image in self.pictures[post["post_id"]]:
                for network in NETWORKS:
                    labels = self.labels.get((image, network))
                    if labels is not None:
                        said = [(of.classes[i].domains, score, rank) for rank, (i, score) in enumerate(labels, 1)]
                        found[(*who, network)].append(said)
        return found

    def evidence(self, of: interests.Known) -> dict[tuple[str, str, str], tuple[int, int]]:
        """(given, named) by user, relation and basis."""
        return {key: (len(all_), sum(bool(said[0][0]) for said in all_)) for key, all_ in self.named(of).items()}

    def interests(
        self, of: interests.Known, *, weigh: bool = False, prior: float | None = None
    ) -> dict[tuple[str, str, str, str], tuple[int, float, int]]:
        """(occurrences, score, rank) by user, relation, basis and domain: paper 2, section 3, word for word."""
        occurrences: dict[tuple[str, str, str], Counter[str]] = {}
        weights: dict[tuple[str, str, str], Counter[str]] = {}
        for key, all_ in self.named(of).items():
            occurrences[key], weights[key] = Counter(), Counter()
            for said in all_:
                occurrences[key].update(said[0][0])
                for domains, score, rank in said if weigh else said[:1]:
                    for domain in domains:
                        weights[key][domain] += score if weigh else rank  # type: ignore[assignment]
        found = {}
        for key, own in weights.items():
            scores = {domain: self._score(key, domain, weights, prior) for domain in own}
            order = sorted(own, key=lambda domain: (-scores[domain], domain))
            for place, domain in enumerate(order, 1):
                found[(*key, domain)] = (occurrences[key][domain], scores[domain], place)
        return found

    @staticmethod
    def _score(
        key: tuple[str, str, str], domain: str, weights: dict[tuple[str, str, str], Counter[str]], prior: float | None
    ) -> float:
        """Monroe et al. (2008), equations 15, 16, 22: a user against all others of the same relation and basis."""
        own = weights[key]
        if prior is None:
            return float(own[domain])
        others: Counter[str] = Counter()
        for other, theirs in weights.items():
            if other[1:] == key[1:] and other != key:
                others.update(theirs)
        every = sum(own.values()) + sum(others.values())
        alpha = prior * (own[domain] + others[domain]) / every
        odds = []
        for side in (own, others):
            y, n = side[domain] + alpha, sum(side.values()) + prior
            odds.append((math.log(y / max(n - y, 1e-300)), 1 / y))
        return (odds[0][0] - odds[1][0]) / math.sqrt(odds[0][1] + odds[1][1])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def held(lake: Lake, make_config: Callable[..., Config]) -> Iterator[Run]:
    """A run that holds a lake, so that the calls of a test don't each take it and leave it."""
    with ledger.run(lake.spark, make_config(f"lake.path={lake.path}", LABELLED), "test") as run:
        yield run


def table(lake: Lake, name: str) -> list[dict[str, Any]]:
    return [row.asDict() for row in lake.spark.table(lake.name(name)).collect()]


def same(rows: list[Row], expected: dict[tuple[str, str, str, str], tuple[int, float, int]]) -> None:
    found = {(r["user_id"], r["relation"], r["basis"], r["domain"]): (r["occurrences"], r["score"], r["rank"])
             for r in rows}  # fmt: skip
    assert found.keys() == expected.keys()
    for key, (occurrences, score, rank) in expected.items():
        # scores of labels are in single precision, and their sums in millionths
        assert found[key] == (occurrences, pytest.approx(score, abs=1e-4), rank), key


def agree(lake: Lake, world: World, of: interests.Known) -> None:
    """The tables hold what the world says."""
    evidence = {(r["user_id"], r["relation"], r["basis"]): (r["given"], r["named"])
                for r in table(lake, "user_interest_evidence")}  # fmt: skip
    assert evidence == world.evidence(of)
    same(lake.spark.table(lake.name("user_interests")).collect(), world.interests(of))
    words = {r["word"]: (tuple(r["domains"]), r["rule"], r["occurrences"])
             for r in table(lake, "interest_words") if r["kind"] == "tag"}  # fmt: skip
    met = world.words()
    rows = cleaning.rows(met, of.lexicon)
    assert words == {row.word: (row.domains, row.rule, met[row.word]) for row in rows}


@pytest.mark.slow
def test_it_counts_as_plain_python_does_and_follows_its_inputs(
    held: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, spark = held.lake, held.spark
    for name, rows in world.tables().items():
        lay(lake, name, rows)
    users = {"a", "b", "c", "d", "e"}
    of = interests.known(held.config.interests)
    assert interests.pending(lake, held.config) == {"users": len(users)}
    report = interests.run(spark, held.config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", len(users), len(users))
    assert not report.warnings
    agree(lake, world, of)

    # labels are words, too: the best one of each picture that has any
    best = Counter(imagenet_labels()[labels[0][0]] for labels in world.labels.values())
    labels = {r["word"]: r for r in table(lake, "interest_words") if r["kind"] == "label"}
    assert {word: row["occurrences"] for word, row in labels.items()} == best
    assert (labels["tripod"]["rule"], labels["tripod"]["domains"]) == ("technique", [])
    # what was dropped, by rule
    by_rule: Counter[str] = Counter()
    for row in table(lake, "interest_words"):
        by_rule[f"{row['kind']}s_{row['rule']}"] += row["occurrences"]
    assert {name: n for name, n in report.counters.items() if n and name != "rows_changed"} == by_rule
    assert {"tags_camera", "tags_too_long", "tags_blank", "tags_not_in_lexicon", "labels_kept"} <= set(by_rule)

    # the profile: own posts or favourites, whichever says more
    shown = {
        row["user_id"]: row
        for row in profile.profiles(
            lake.read("user_interests"), lake.read("user_interest_evidence"), NETWORKS[0], 5, 5
        ).collect()
    }
    assert set(shown) == users
    evidence, expected = world.evidence(of), world.interests(of)
    for user, row in shown.items():
        says = [
            (*(evidence.get((user, relation, basis), (0, -1))[1] for basis in (NETWORKS[0], "tags")), relation)
            for relation in ("posted", "favourite")
        ]
        images, tags, relation = max(says, key=lambda said: (*said[:2], said[2] == "favourite"))
        assert row["interests_relation"] == relation
        for count, column, basis, domains in (
            (images, "interests_images", NETWORKS[0], "interests_from_pictures"),
            (tags, "interests_tags", "tags", "interests_from_tags"),
        ):
            assert row[column] == (None if count < 0 else count)
            top = sorted((v[2], k[3], v[0]) for k, v in expected.items() if k[:3] == (user, relation, basis))[:5]
            said = None if row[domains] is None else [(e["rank"], e["domain"], e["occurrences"]) for e in row[domains]]
            assert said == (top if count >= 5 else None)
        sets = [row["interests_from_pictures"], row["interests_from_tags"]]
        both = None if None in sets else len({e["domain"] for e in sets[0]} & {e["domain"] for e in sets[1]})
        assert row["interests_overlap"] == both
    assert shown["c"]["interests_relation"] == "favourite"
    assert shown["b"]["interests_overlap"] is not None

    # nothing new: nothing is counted, nothing written
    before = versions(lake)
    assert interests.pending(lake, held.config) == {"users": 0}
    assert interests.run(spark, held.config).counters == {}
    assert versions(lake) == before

    # new tags alone are looked up, the others are remembered; what is gone leaves nothing
    def marking(_: Any) -> Callable[[Any], Iterator[pa.RecordBatch]]:
        def mark(batches: Any) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                n = batch.num_rows
                columns = [
                    batch.column("word"),
                    pa.array([["music"]] * n, pa.list_(pa.string())),
                    pa.array(["kept"] * n),
                ]
                yield pa.RecordBatch.from_arrays(columns, names=["word", "domains", "rule"])

        return mark

    world.posts = [post for post in world.posts if post["user_id"] != "b"]
    world.posts.append({"post_id": "g0", "user_id": "g", "tags": ["dog", "never met"]})
    lay(lake, "posts", world.posts, anew=True)
    with monkeypatch.context() as patch:
        patch.setattr(interests, "cleaner", marking)
        interests.run(spark, held.config)
    music = {r["word"] for r in table(lake, "interest_words") if r["kind"] == "tag" and r["domains"] == ["music"]}
    assert music - {"jazz", "piano"} == {"never met"}
    assert {r["user_id"] for r in table(lake, "user_interests")} == {"a", "c", "d", "g"}
    assert {r["user_id"] for r in table(lake, "user_interest_evidence")} == {"a", "c", "d", "e", "g"}


@pytest.mark.parametrize(("seed", "weigh", "prior"), [(5, True, 3.0), (6, False, 10.0)])
def test_weights_are_those_of_plain_python(spark: SparkSession, seed: int, weigh: bool, prior: float) -> None:
    world = World(seed)
    classes = [(index, list(row.domains)) for index, row in enumerate(cleaning.label_rows(lexicon.packaged()))]
    posts, post_images, image_labels = (frame(spark, name, rows) for name, rows in world.tables().items())
    tagged = counting.tags(posts)
    words = [(row.word, list(row.domains)) for row in cleaning.rows(world.words(), lexicon.packaged()) if row.domains]
    named = counting.named_by_pictures(
        posts,
        post_images,
        counting.labels(image_labels, NETWORKS, weigh=weigh),
        spark.createDataFrame(classes, "class_index int, domains array<string>"),
    ).unionByName(counting.named_by_tags(tagged, spark.createDataFrame(words, "word string, domains array<string>")))
    found = counting.interests(counting.domain_counts(named), prior).collect()
    of = interests.Known(lexicon.packaged(), cleaning.packaged(), cleaning.label_rows(lexicon.packaged()), "")
    same(found, world.interests(of, weigh=weigh, prior=prior))


def test_tags_alone_are_enough_and_nothing_at_all_is_skipped(
    held: Run, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    lake, spark = held.lake, held.spark
    report = interests.run(spark, held.config)
    said = "no picture has a label by efficientnet_lite0, efficientnet_lite1 yet, and no post has a tag"
    assert (report.status, report.reason) == ("skipped", said)

    lay_posts(lake, [{"post_id": "p", "user_id": "a", "tags": ["dog", "cat", "tree"]}], {"p": ["i"]})
    report = interests.run(spark, held.config)
    assert (report.status, report.rows_out) == ("done", 1)
    assert list(report.warnings) == [
        "interests rest on tags alone: no picture has a label by efficientnet_lite0, efficientnet_lite1 yet"
    ]
    assert [(r["domain"], r["occurrences"], r["rank"]) for r in table(lake, "user_interests")] == [
        ("animals", 2, 1), ("biology", 1, 2),
    ]  # fmt: skip

    # another lexicon knows another dog, and no cat
    own = tmp_path / "own.tsv"
    own.write_text("word\tdomains\ndog\tfood and drink\n", encoding="utf-8")
    held.config = make_config(f"lake.path={lake.path}", "images.label=[]", f"interests.lexicon={own}")
    report = interests.run(spark, held.config)
    assert list(report.warnings) == ["interests rest on tags alone: images.label names no network"]
    assert [(r["domain"], r["occurrences"]) for r in table(lake, "user_interests")] == [("food and drink", 1)]
    assert {r["word"]: r["rule"] for r in table(lake, "interest_words")} == {
        "dog": "kept", "cat": "not_in_lexicon", "tree": "not_in_lexicon",
    }  # fmt: skip

    # the tags are gone: so is everything that rested on them
    spark.sql(f"UPDATE {lake.name('posts')} SET tags = array()")
    report = interests.run(spark, held.config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)
    assert all(table(lake, name) == [] for name in interests.OUTPUTS)


def test_pending_of_a_lake_that_is_not_there(spark: SparkSession, make_config: Callable[..., Config]) -> None:
    assert interests.pending(Lake(spark, "no_such_schema", None), make_config()) == {"users": 0}


# --- before Spark starts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["interests.network=resnet50"], r"argument 'interests.network=resnet50': interests.network: resnet50 gives no "
         r"labels, images.label is efficientnet_lite0"),
        (["interests.network=lite"], "no network is called 'lite'"),
        (["interests.min_pictures=0"], "interests.min_pictures"),
        (["interests.weighting=score"], "interests.weighting"),
        (["interests.prior=0"], "interests.prior"),
        (["interests.provider=wordnet"], "interests.provider"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told(make_config: Callable[..., Config], arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config(*arguments)


def test_the_network_of_the_profiles(make_config: Callable[..., Config]) -> None:
    assert make_config(LABELLED).interest_network == NETWORKS[0]
    assert make_config(LABELLED, f"interests.network={NETWORKS[1]}").interest_network == NETWORKS[1]
    assert make_config("images.label=[]").interest_network is None


def test_a_faulty_lexicon_is_told_by_its_line(make_config: Callable[..., Config], tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text(OWN + "dog\tmusic\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.tsv line 7: the word 'dog' stands there twice"):
        interests.check(make_config(f"interests.lexicon={own}"))
    with pytest.raises(ConfigError, match="the provider babelnet needs a path"):
        interests.check(make_config("interests.provider=babelnet"))
    # before weights, which can be a long download
    stages = ("images", "interests")
    with pytest.raises(ConfigError, match=r"own\.tsv line 7"):
        pipeline.check(make_config(f"interests.lexicon={own}", "images.weights.efficientnet_lite0=no.pth"), stages)
    own.write_text(OWN, encoding="utf-8")
    interests.check(make_config(f"interests.lexicon={own}"))
    with pytest.raises(ConfigError, match=r"no\.pth"):
        pipeline.check(make_config(f"interests.lexicon={own}", "images.weights.efficientnet_lite0=no.pth"), stages)
    with pytest.raises(ConfigError, match=r"own\.tsv knows no synsets: look labels up by word"):
        interests.check(make_config(f"interests.lexicon={own}", "interests.lookup=synset"))


def test_labels_can_be_looked_up_by_synset(make_config: Callable[..., Config]) -> None:
    by_word, by_synset = (
        interests.known(make_config(f"interests.lookup={how}").interests) for how in ("word", "synset")
    )
    at = [label.lower() for label in imagenet_labels()].index("cardigan")
    assert [of.classes[at].domains for of in (by_word, by_synset)] == [("textile and clothing",), ("animals",)]
    assert by_word.digest == by_synset.digest == cleaning.digest(lexicon.packaged())


def test_no_two_classes_share_a_row_of_the_words() -> None:
    assert len(set(imagenet_labels())) == 1000
