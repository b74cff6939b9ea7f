"""The stage that finds out what users are interested in: interest_words, user_interests, user_interest_evidence."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake import freshness
from profilelake.config import Config
from profilelake.config import Interests as Rules
from profilelake.frames import local_frame
from profilelake.interests import cleaning, counting, lexicon
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage
from udfs.interests.cleaning import CLEANED_DDL, KEPT, RULES, Lists, cleaner
from udfs.interests.cleaning import Row as Cleaned
from udfs.interests.lexicon import Lexicon

NAME = "interests"
INPUTS = ("posts", "post_images", "image_labels")
OUTPUTS = ("interest_words", "user_interests", "user_interest_evidence")

# Among the rules that profiles are made by, as the ledger keeps them: lexicon and lists.
WORDS = "words"
_TAG, _LABEL = "tag", "label"


@dataclass(frozen=True)
class Known:
    """What decides which domains a word has.

    Attributes:
        lexicon, lists: what tags go through.
        classes: a row a class of ImageNet, by index: what becomes of its label.
        digest: of lexicon and lists.
    """

    lexicon: Lexicon
    lists: Lists
    classes: Sequence[Cleaned]
    digest: str


def known(rules: Rules) -> Known:
    """What the configuration says.

    Raises:
        ConfigError: a file is missing or not of its form (the line is named), or the provider's labels are to be looked
            up by synset, and it knows none.
    """
    found, lists = lexicon.load(rules.provider, rules.lexicon, rules.senses), cleaning.packaged()
    classes = cleaning.label_rows(found, rules.lookup, lists)
    return Known(found, lists, classes, cleaning.digest(found, lists))


def check(config: Config) -> None:
    """Everything about the lexicon and the lists that can be found wrong before Spark starts.

    Raises:
        ConfigError: see `known`.
    """
    known(config.interests)


@stage(NAME)
def run(context: Context) -> StageReport:
    """Find the interests of every user whose pictures have labels or whose posts have tags; others have no rows.

    Rows are users. All users are counted again whenever an input changed since the last time; only tags that no run has
    met with this lexicon are looked up, and only rows that differ are written. Where pictures have no labels, interests
    rest on tags alone.
    """
    lake, config = context.lake, context.config
    of = known(config.interests)
    last = _unchanged(lake, config, of)
    if last is not None:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    labelled = _labels(lake, config.interests, config.images.label)
    tagged = counting.tags(lake.read("posts"))
    vocabulary = tagged.groupBy("word").agg(F.count("*").alias("occurrences")).persist(StorageLevel.DISK_ONLY)
    try:
        without = labelled.isEmpty()
        if without and vocabulary.isEmpty():
            return _nothing(lake, config)
        changed = lake.write("interest_words", _words(lake, vocabulary, labelled, of)).changed
    finally:
        vocabulary.unpersist()
    counts = _counts(lake, labelled, tagged, of).persist(StorageLevel.DISK_ONLY)
    try:
        users = counts.select("user_id").distinct().count()
        changed += _write_users(lake, counts, config.interests)
    finally:
        counts.unpersist()
    return StageReport(
        NAME,
        rows_in=users,
        rows_out=lake.read("user_interest_evidence").select("user_id").distinct().count(),
        counters={"rows_changed": changed, **_by_rule(lake)},
        warnings=[f"interests rest on tags alone: {_no_labels(config)}"] if without else [],
    )


def _unchanged(lake: Lake, config: Config, of: Known) -> Row | None:
    """The ledger's last row where there is nothing to do."""
    settings = {"networks": sorted(config.images.label), **made_by(config.interests, of)}
    return freshness.unchanged(lake, NAME, (*INPUTS, *OUTPUTS), settings=settings)


def made_by(rules: Rules, of: Known) -> dict[str, Any]:
    """Which rules profiles are made by, as the ledger keeps it; `prior` is None without log-odds, `WORDS` is the
    digest."""
    return {"lookup": rules.lookup, "weighting": rules.weighting, "prior": _prior(rules), WORDS: of.digest}


def _prior(rules: Rules) -> float | None:
    return rules.prior if rules.domain_weighting == "log_odds" else None


def _labels(lake: Lake, rules: Rules, networks: Sequence[str]) -> DataFrame:
    return counting.labels(lake.read("image_labels"), networks, weigh=rules.weighting == "label_score")


def _no_labels(config: Config) -> str:
    networks = config.images.label
    return f"no picture has a label by {', '.join(networks)} yet" if networks else "images.label names no network"


def _nothing(lake: Lake, config: Config) -> StageReport:
    """Nobody has anything to be told from; who once had loses the rows."""
    held = [table for table in OUTPUTS if not lake.is_empty(table)]
    if not held:
        return skipped(NAME, f"{_no_labels(config)}, and no post has a tag")
    changed = sum(lake.clear(table).changed for table in held)
    return StageReport(NAME, counters={"rows_changed": changed})


# --- words ------------------------------------------------------------------------------------------------------------


def _words(lake: Lake, vocabulary: DataFrame, labelled: DataFrame, of: Known) -> DataFrame:
    """Rows of `interest_words`: the tags of the lake and the labels of its pictures."""
    rows = _tag_rows(lake, vocabulary, of).unionByName(_label_rows(lake, labelled, of))
    return rows.withColumn("lexicon", F.lit(of.digest))


def _tag_rows(lake: Lake, vocabulary: DataFrame, of: Known) -> DataFrame:
    """Tags that the table holds as this lexicon knows them stay; the others are looked up on executors."""
    decided = (F.col("kind") == _TAG) & (F.col("lexicon") == of.digest)
    held = lake.read("interest_words").where(decided).select("word", "domains", "rule")
    new = vocabulary.select("word").join(held.select("word"), on="word", how="left_anti")
    broadcast = lake.spark.sparkContext.broadcast((of.lexicon, of.lists))
    cleaned = held.unionByName(new.mapInArrow(cleaner(broadcast), CLEANED_DDL))
    return vocabulary.join(cleaned, on="word", how="inner").select(
        F.lit(_TAG).alias("kind"), "word", "domains", "rule", "occurrences"
    )


def _label_rows(lake: Lake, labelled: DataFrame, of: Known) -> DataFrame:
    """Labels that are the best one of a picture, which they are counted by."""
    met = labelled.where(F.col("n") == 1).groupBy("class_index").agg(F.count("*").alias("occurrences"))
    rows = [(index, row.word, list(row.domains), row.rule) for index, row in enumerate(of.classes)]
    return (
        local_frame(lake.spark, rows, f"class_index int, {CLEANED_DDL}")
        .join(met, on="class_index", how="inner")
        .select(F.lit(_LABEL).alias("kind"), "word", "domains", "rule", "occurrences")
    )


def _by_rule(lake: Lake) -> dict[str, int]:
    """How many tags and labels each rule kept or dropped, repeats counted: a row a kind and rule at most."""
    rows = lake.read("interest_words").groupBy("kind", "rule").agg(F.sum("occurrences").alias("n")).collect()
    counted = {(row["kind"], row["rule"]): row["n"] for row in rows}
    return {f"{kind}s_{rule}": counted.get((kind, rule), 0) for kind in (_TAG, _LABEL) for rule in RULES}


# --- users ------------------------------------------------------------------------------------------------------------


def _counts(lake: Lake, labelled: DataFrame, tagged: DataFrame, of: Known) -> DataFrame:
    """What everybody's pictures and tags name; once `interest_words` is written."""
    classes = [(index, list(row.domains)) for index, row in enumerate(of.classes)]
    by_pictures = counting.named_by_pictures(
        lake.read("posts"),
        lake.read("post_images"),
        labelled,
        local_frame(lake.spark, classes, "class_index int, domains array<string>"),
    )
    kept = (F.col("kind") == _TAG) & (F.col("rule") == KEPT)
    words = lake.read("interest_words").where(kept).select("word", "domains")
    return counting.domain_counts(by_pictures.unionByName(counting.named_by_tags(tagged, words)))


def interests(lake: Lake, rules: Rules) -> DataFrame:
    """Rows of `user_interests` as other rules than the configured ones would make them, of the words that the stage has
    looked up; nothing is written. Every network that has labels counts.

    Raises:
        ConfigError: see `known`.
    """
    of = known(rules)
    present = lake.read("image_labels").select("network").distinct().collect()  # a few
    labelled = _labels(lake, rules, [row["network"] for row in present])
    return counting.interests(_counts(lake, labelled, counting.tags(lake.read("posts")), of), _prior(rules))


def _write_users(lake: Lake, counts: DataFrame, rules: Rules) -> int:
    """Write both tables of users beside each other; how many rows that changed."""
    made = {
        "user_interests": counting.interests(counts, _prior(rules)),
        "user_interest_evidence": counting.evidence(counts),
    }
    with ThreadPoolExecutor(len(made)) as lanes:
        return sum(written.changed for written in lanes.map(lake.write, made.keys(), made.values()))


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Users that a run would count: all with a labelled picture or a tag, or none where nothing changed."""
    if not all(lake.exists(table) for table in INPUTS):
        return {"users": 0}
    if _unchanged(lake, config, known(config.interests)) is not None:
        return {"users": 0}
    shown = lake.read("posts").join(lake.read("post_images"), on="post_id", how="inner")
    pictured = shown.select("user_id", "image_id").join(
        _labels(lake, config.interests, config.images.label), on="image_id", how="left_semi"
    )
    tagged = counting.tags(lake.read("posts")).select("user_id")
    return {"users": pictured.select("user_id").union(tagged).distinct().count()}
