"""What the report says, read from the lake's tables as a bounded number of rows.

Runs on the driver. Everything that grows with posts, pictures or users is aggregated or cut in Spark; what comes back
is one row a stage, a reason, a cluster, a tried k, a shown user or a shown picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from profilelake.behaviour import prints
from profilelake.behaviour.figures import MEASURES
from profilelake.clusters import sheets
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import RUN
from profilelake.training.results import EvaluationRow, FigureRow

# Occurrences below which a user's shares are shown as resting on little.
FEW = 20
# Examples of a quarantine reason.
_EXAMPLES = 3
# A user's pictures: the most typical one of each of their most frequent categories.
_USER_PICTURES = 6
# Users who have pictures at all: those of 150 weigh 3 MB.
_PICTURED_USERS = 150
# Users whose interests have an example picture each: those of 150 weigh 2 MB.
_INTERESTED_USERS = 150
# Pictures that a page holds at most, before its weight is looked at.
_SHEET_PICTURES = 1_500
_QUERIES = 4  # at a time: they wait for files more than for the processor


@dataclass(frozen=True)
class Numbers:
    """Counts over the whole lake. `faces` and `with_faces` are None where no detector has run; `with_interests` are
    profiles with interests from pictures or from tags, `mean_overlap` how many of five those have in common that have
    both, None where none has."""

    users: int = 0
    posts: int = 0
    favourites: int = 0
    images: int = 0
    posted_images: int = 0
    faces: int | None = None
    with_faces: int | None = None
    profiles: int = 0
    profiles_without_category: int = 0
    profiles_with_few: int = 0
    with_interests: int = 0
    with_both_interests: int = 0
    mean_overlap: float | None = None


@dataclass(frozen=True)
class StageRow:
    """What a stage did last; `earlier` when that was not in this run. Times are UTC texts."""

    stage: str
    status: str
    reason: str | None
    error: str | None
    earlier: bool
    started_at: str
    seconds: float
    rows_in: int
    rows_out: int
    rows_quarantined: int
    rows_superseded: int
    images_per_second: float | None
    counters: Mapping[str, int]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Refused:
    """A quarantine reason: how many rows, and a few of them as (record id, detail)."""

    stage: str
    reason: str
    count: int
    examples: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Tried:
    """One k of the sweep."""

    k: int
    silhouette: float
    smoothed: float
    inertia: float
    chosen: bool


@dataclass(frozen=True)
class Fit:
    """The current fit of the categories and its sweep, by k."""

    fit_id: str
    backbone: str
    k: int
    images: int
    fitted_at: str
    drift: float | None
    warning: str | None
    tried: Sequence[Tried]


@dataclass(frozen=True)
class Category:
    """A category of the current fit: its merged clusters, its pictures, and how it is posted.

    `images` are distinct pictures; `posted`, `occurrences` and `users` are over posts (paper 1, definition 1), 0 until
    the behaviour stage has run. `reviewed` says that a person chose the name of every one of its clusters.
    """

    name: str
    images: int
    clusters: int
    reviewed: bool
    proposed: Sequence[str]
    evidence: Sequence[str]
    kinds: Sequence[tuple[str, int]]
    posted: int
    occurrences: int
    users: int
    exemplars: Sequence[str]


@dataclass(frozen=True)
class Share:
    """A category in a user's posts (paper 1, definitions 1-4)."""

    category: str
    images: int
    occurrences: int
    frequency: float
    inertia: float
    singleness: float


@dataclass(frozen=True)
class Habits:
    """What paper 1 says of a user: the type, shares of posting by attribute, the measures by name (None: unknown), and
    (task, probability, model version) of the live models."""

    type: str | None
    attributes: Sequence[tuple[str, float]]
    measures: Sequence[tuple[str, float | None]]
    scores: Sequence[tuple[str, float, str]]


@dataclass(frozen=True)
class Interests:
    """What paper 2 says of a user: (domain, occurrences) from pictures and from tags, best first, empty where there
    are too few; how many of either name a domain; what both have in common; (domain, image id) examples."""

    relation: str
    network: str | None
    pictures: Sequence[tuple[str, int]]
    tags: Sequence[tuple[str, int]]
    images: int | None
    named_tags: int | None
    overlap: int | None
    examples: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class User:
    """A shown user. `mix` is most frequent first and empty without a categorised picture; `pictures` are
    (category, image id); `missing` says why values are unknown, as (column, reason)."""

    user_id: str
    name: str | None
    first_seen: str | None
    last_seen: str | None
    posts: int
    images: int | None
    median_likes: float | None
    mix: Sequence[Share]
    categorised_posts: int
    occurrences: int
    selfie_frequency: float | None
    selfie_occurrences: int | None
    missing: Sequence[tuple[str, str]]
    pictures: Sequence[tuple[str, str]] = ()
    habits: Habits | None = None
    interests: Interests | None = None


@dataclass(frozen=True)
class Selfies:
    """The newest training of paper 1: what it evaluated, the numbers of its figures, and by kind of selfie the ids of
    pictures nearest to the middle."""

    run_id: str
    started_at: str
    evaluations: Sequence[EvaluationRow]
    figures: Sequence[FigureRow]
    kinds: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Facts:
    """Everything on the page but the pictures themselves."""

    label: str
    run_id: str
    job: str
    started_at: str
    runs: int
    numbers: Numbers
    stages: Sequence[StageRow]
    refused: Sequence[Refused]
    fit: Fit | None
    categories: Sequence[Category]
    users: Sequence[User]
    selfies: Selfies | None = None


def gather(lake: Lake, config: Config, run_id: str) -> Facts:
    """Read what the report of run `run_id` says."""
    with ThreadPoolExecutor(_QUERIES) as pool:
        runs = pool.submit(_runs, lake, run_id)
        fitted = pool.submit(_fitted, lake, config.report.examples)
        users = pool.submit(_users, lake, config.report.users)
        numbers = pool.submit(_numbers, lake)
        refused = pool.submit(_refused, lake)
        selfies = pool.submit(_selfies, lake)
    fit, categories = fitted.result()
    return Facts(
        label=config.crawl.label or "profilelake",
        run_id=run_id,
        job=runs.result().job,
        started_at=runs.result().started_at,
        runs=runs.result().count,
        numbers=numbers.result(),
        stages=runs.result().stages,
        refused=refused.result(),
        fit=fit,
        categories=categories,
        users=users.result(),
        selfies=selfies.result(),
    )


def thumbnails(lake: Lake, image_ids: Sequence[str], side: int, max_pixels: int) -> dict[str, bytes]:
    """JPEG thumbnails of `side` x `side` pixels by image id, made on executors; ids without a picture that can be
    decoded with at most `max_pixels` pixels are absent."""
    if not image_ids:
        return {}
    # A literal list, not a join: Delta then skips the files that hold none of them.
    wanted = lake.read("images").where(F.col("image_id").isin(list(image_ids))).select("image_id", "content")
    rows = sheets.thumbnails(wanted, max_pixels, side).collect()
    return {row["image_id"]: bytes(row["thumbnail"]) for row in rows if row["thumbnail"] is not None}


def _minute(column: str) -> Column:
    return F.date_format(column, "yyyy-MM-dd HH:mm").alias(column)


def _day(column: str) -> Column:
    return F.date_format(column, "yyyy-MM-dd").alias(column)


def _image_categories(lake: Lake) -> DataFrame:
    lake.read("image_clusters")  # what the view stands on is what the ledger records
    return lake.spark.table(lake.name("v_image_categories"))


def _numbers(lake: Lake) -> Numbers:
    by_relation = {row["relation"]: row["count"] for row in lake.read("posts").groupBy("relation").count().collect()}
    faces = (
        lake.read("image_faces")
        .agg(
            F.count("*").alias("seen"),
            F.sum("faces").alias("faces"),
            F.count_if(F.col("faces") > 0).alias("with_faces"),
        )
        .collect()[0]
    )
    evidence = F.col("behaviour_occurrences")
    profiles = (
        lake.read("user_profiles")
        .agg(
            F.count("*").alias("all"),
            F.count_if(F.coalesce(evidence, F.lit(0)) == 0).alias("none"),
            F.count_if((evidence > 0) & (evidence < FEW)).alias("few"),
            F.count(F.coalesce("interests_from_pictures", "interests_from_tags")).alias("interested"),
            F.count("interests_overlap").alias("compared"),
            F.avg("interests_overlap").alias("overlap"),
        )
        .collect()[0]
    )
    return Numbers(
        users=lake.read("users").count(),
        posts=by_relation.get("posted", 0),
        favourites=by_relation.get("favourite", 0),
        images=lake.read("images").count(),
        posted_images=lake.read("post_images").count(),
        faces=faces["faces"] if faces["seen"] else None,
        with_faces=faces["with_faces"] if faces["seen"] else None,
        profiles=profiles["all"],
        profiles_without_category=profiles["none"],
        profiles_with_few=profiles["few"],
        with_interests=profiles["interested"],
        with_both_interests=profiles["compared"],
        mean_overlap=profiles["overlap"],
    )


@dataclass(frozen=True)
class _Runs:
    """The run itself, how many runs there are, and what each stage did last."""

    job: str
    started_at: str
    count: int
    stages: Sequence[StageRow]


def _runs(lake: Lake, run_id: str) -> _Runs:
    latest = Window.partitionBy("stage").orderBy(F.desc("started_at"), F.desc("run_id"))
    mine = (F.col("run_id") == run_id) & (F.col("stage") == RUN)
    rows = (
        lake.read("runs")
        .where(F.col("stage") != "report")
        .withColumn("nth", F.row_number().over(latest))
        .withColumn("times", F.count("*").over(Window.partitionBy("stage")))
        .where(((F.col("nth") == 1) & (F.col("stage") != RUN)) | mine)
        .orderBy("started_at", "stage")
        .withColumn("started_at", _minute("started_at"))
        .collect()
    )
    own = next((row for row in rows if row["stage"] == RUN), None)
    stages = tuple(_stage_row(row, run_id) for row in rows if row["stage"] != RUN)
    if own is None:
        return _Runs("", "", 0, stages)
    return _Runs(own["job"], own["started_at"], own["times"], stages)


def _stage_row(row: Row, run_id: str) -> StageRow:
    return StageRow(
        stage=row["stage"],
        status=row["status"],
        reason=row["reason"],
        error=row["error"],
        earlier=row["run_id"] != run_id,
        started_at=row["started_at"],
        seconds=row["seconds"] or 0.0,
        rows_in=row["rows_in"] or 0,
        rows_out=row["rows_out"] or 0,
        rows_quarantined=row["rows_quarantined"] or 0,
        rows_superseded=row["rows_superseded"] or 0,
        images_per_second=row["images_per_second"],
        counters={counter["name"]: counter["value"] for counter in row["counters"] or ()},
        warnings=tuple(row["warnings"] or ()),
    )


def _refused(lake: Lake) -> list[Refused]:
    quarantine = lake.read("quarantine")
    counts = quarantine.groupBy("stage", "reason").count().collect()
    if not counts:
        return []
    first = Window.partitionBy("stage", "reason").orderBy("record_id")
    shown = (
        quarantine.withColumn("nth", F.row_number().over(first))
        .where(F.col("nth") <= _EXAMPLES)
        .select("stage", "reason", "nth", "record_id", "detail")
        .orderBy("stage", "reason", "nth")
        .collect()
    )
    examples: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in shown:
        examples.setdefault((row["stage"], row["reason"]), []).append((row["record_id"], row["detail"]))
    return sorted(
        (
            Refused(row["stage"], row["reason"], row["count"], examples.get((row["stage"], row["reason"]), ()))
            for row in counts
        ),
        key=lambda refused: (-refused.count, refused.stage, refused.reason),
    )


def _fitted(lake: Lake, examples: int) -> tuple[Fit | None, list[Category]]:
    """The current fit of the categories, and they themselves."""
    current = (F.col("purpose") == "categories") & F.col("current")
    found = (
        lake.read("cluster_fits")
        .where(current)
        .orderBy(F.desc("fitted_at"), "fit_id")
        .withColumn("fitted_at", _minute("fitted_at"))
        .first()
    )
    if found is None:
        return None, []
    own = (F.col("purpose") == "categories") & (F.col("fit_id") == found["fit_id"])
    sweep = lake.read("cluster_sweeps").where(own).orderBy("k").collect()
    fit = Fit(
        fit_id=found["fit_id"],
        backbone=found["backbone"],
        k=found["k"],
        images=found["images"],
        fitted_at=found["fitted_at"],
        drift=found["drift"],
        warning=found["warning"],
        tried=tuple(
            Tried(row["k"], row["silhouette"], row["silhouette_smoothed"], row["inertia"], row["chosen"])
            for row in sweep
        ),
    )
    clusters = (
        lake.read("cluster_centroids")
        .where(own)
        .select("cluster_id", "size", "proposed_category", "category", "reviewed", "evidence", "exemplar_image_ids")
        .orderBy(F.desc("size"), "cluster_id")
        .collect()
    )
    return fit, _categories(lake, clusters, examples)


def _categories(lake: Lake, clusters: Sequence[Row], examples: int) -> list[Category]:
    """Largest first; a category's exemplars are its clusters' in turn, the larger cluster first."""
    counted = _image_categories(lake).groupBy("category", "sub_category").count().collect()
    posted = {
        row["category"]: row
        for row in lake.read("user_categories")
        .groupBy("category")
        .agg(F.sum("images").alias("posted"), F.sum("occurrences").alias("occurrences"), F.count("*").alias("users"))
        .collect()
    }
    merged: dict[str, list[Row]] = {}
    for cluster in clusters:
        merged.setdefault(cluster["category"], []).append(cluster)
    shown = max(1, min(examples, _SHEET_PICTURES // max(1, len(merged))))
    found = []
    for name, group in merged.items():
        kinds = [(row["sub_category"], row["count"]) for row in counted if row["category"] == name]
        by_users = posted.get(name)
        found.append(
            Category(
                name=name,
                images=sum(count for _, count in kinds),
                clusters=len(group),
                reviewed=all(cluster["reviewed"] for cluster in group),
                proposed=tuple(dict.fromkeys(cluster["proposed_category"] for cluster in group)),
                evidence=tuple(dict.fromkeys(cluster["evidence"] for cluster in group)),
                kinds=tuple(sorted(((kind, n) for kind, n in kinds if kind), key=lambda pair: (-pair[1], pair[0]))),
                posted=by_users["posted"] if by_users else 0,
                occurrences=by_users["occurrences"] if by_users else 0,
                users=by_users["users"] if by_users else 0,
                exemplars=tuple(_in_turn([cluster["exemplar_image_ids"] for cluster in group])[:shown]),
            )
        )
    return sorted(found, key=lambda category: (-category.images, category.name))


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    """The first of each list, then the second of each, and so on; no repeats."""
    longest = max((len(items) for items in lists), default=0)
    return list(dict.fromkeys(items[n] for n in range(longest) for items in lists if n < len(items)))


def _users(lake: Lake, shown: int) -> list[User]:
    """Those with most pictures first, own ones or favourites that interests rest on. Before the profiles stage has run:
    those with most posts, without their mix."""
    rows = (
        lake.read("user_profiles")
        .orderBy(F.desc(F.greatest("images", "interests_images")), "user_id")
        .limit(shown)
        .withColumns({name: _day(name) for name in ("first_seen_at", "last_seen_at")})
        .collect()
    )
    if not rows:
        return _bare_users(lake, shown)
    users = [
        User(
            user_id=row["user_id"],
            name=row["user_name"],
            first_seen=row["first_seen_at"],
            last_seen=row["last_seen_at"],
            posts=row["posts"],
            images=row["images"],
            median_likes=row["median_likes"],
            mix=tuple(
                Share(m["category"], m["images"], m["occurrences"], m["frequency"], m["inertia"], m["singleness"])
                for m in row["behaviour_categories"] or ()
            ),
            categorised_posts=row["behaviour_posts"] or 0,
            occurrences=row["behaviour_occurrences"] or 0,
            selfie_frequency=row["behaviour_selfie_frequency"],
            selfie_occurrences=row["behaviour_selfie_occurrences"],
            missing=tuple((m["column"], m["reason"]) for m in row["missing"] or ()),
            habits=_habits(row),
            interests=_interests(row),
        )
        for row in rows
    ]
    return _with_examples(lake, _with_pictures(lake, users))


def _habits(row: Row) -> Habits | None:
    """None for a user of whom nothing of it is known."""
    attributes = tuple(
        (a["attribute"], a["value"]) for a in row["behaviour_attributes"] or () if a["value"] is not None
    )
    found = Habits(
        type=row["behaviour_type"],
        attributes=tuple(sorted(attributes, key=lambda pair: (-pair[1], pair[0]))),
        measures=tuple((name, row[f"behaviour_{name}"]) for name in MEASURES),
        scores=tuple((s["task"], s["probability"], s["model_version"]) for s in row["behaviour_scores"] or ()),
    )
    known = found.type or found.attributes or found.scores or any(value is not None for _, value in found.measures)
    return found if known else None


def _interests(row: Row) -> Interests | None:
    """None for a user who has neither interests from pictures nor from tags."""
    pictures, tags = (
        tuple((entry["domain"], entry["occurrences"]) for entry in row[name] or ())
        for name in ("interests_from_pictures", "interests_from_tags")
    )
    if not pictures and not tags:
        return None
    return Interests(
        relation=row["interests_relation"],
        network=row["interests_network"],
        pictures=pictures,
        tags=tags,
        images=row["interests_images"],
        named_tags=row["interests_tags"],
        overlap=row["interests_overlap"],
    )


def _selfies(lake: Lake) -> Selfies | None:
    """None where `jobs/train_selfie.py` has not run."""
    of_paper = lake.read("evaluations").where((F.col("paper") == 1) & F.col("artefact").startswith("table "))
    newest = of_paper.agg(F.max("run_id").alias("run_id")).collect()[0]["run_id"]
    if newest is None:
        return None
    mine = (F.col("run_id") == newest) & (F.col("paper") == 1)
    evaluated = [field.name for field in fields(EvaluationRow)]
    drawn = [field.name for field in fields(FigureRow)]
    began = lake.read("runs").where(F.col("run_id") == newest).agg(F.min("started_at").alias("at"))
    return Selfies(
        run_id=newest,
        started_at=began.select(_minute("at")).collect()[0]["at"] or "",
        evaluations=[
            EvaluationRow(**row.asDict())
            for row in lake.read("evaluations").where(mine).orderBy("artefact", "task", "variant", "metric")
            .select(*evaluated).collect()
        ],
        figures=[
            FigureRow(**row.asDict())
            for row in lake.read("figure_data").where(mine).orderBy("figure", "series", "x").select(*drawn).collect()
        ],
        kinds=prints.chosen(prints.exemplars(lake, "selfie"), ()),
    )  # fmt: skip


def _bare_users(lake: Lake, shown: int) -> list[User]:
    rows = (
        lake.read("users")
        .orderBy(F.desc_nulls_last("posts"), "user_id")
        .limit(shown)
        .withColumns({name: _day(name) for name in ("first_seen_at", "last_seen_at")})
        .collect()
    )
    return [
        User(
            user_id=row["user_id"],
            name=row["user_name"],
            first_seen=row["first_seen_at"],
            last_seen=row["last_seen_at"],
            posts=row["posts"] or 0,
            images=None,
            median_likes=None,
            mix=(),
            categorised_posts=0,
            occurrences=0,
            selfie_frequency=None,
            selfie_occurrences=None,
            missing=(),
        )
        for row in rows
    ]


def _with_pictures(lake: Lake, users: Sequence[User]) -> list[User]:
    """The first users with the picture nearest to the centroid in each of their most frequent categories.

    One aggregate over the shown users' pictures, so a user with a million of them costs no more memory than others.
    """
    wanted = [user.user_id for user in users[:_PICTURED_USERS] if user.mix]
    if not wanted:
        return list(users)
    rows = (
        lake.read("posts")
        .where((F.col("relation") == "posted") & F.col("user_id").isin(wanted))
        .select("post_id", "user_id")
        .join(lake.read("post_images").select("post_id", "image_id"), on="post_id", how="inner")
        .join(_image_categories(lake).select("image_id", "category", "distance"), on="image_id", how="inner")
        .groupBy("user_id", "category")
        .agg(F.min_by("image_id", F.struct("distance", "image_id")).alias("image_id"))
        .collect()
    )
    typical = {(row["user_id"], row["category"]): row["image_id"] for row in rows}
    return [
        replace(
            user,
            pictures=tuple(
                (share.category, typical[user.user_id, share.category])
                for share in user.mix[:_USER_PICTURES]
                if (user.user_id, share.category) in typical
            ),
        )
        for user in users
    ]


def _with_examples(lake: Lake, users: Sequence[User]) -> list[User]:
    """The first users who have interests, with the picture of each of their domains that its network is surest of.

    One aggregate over these users' pictures, as in `_with_pictures`.
    """
    wanted = [user.user_id for user in users if user.interests and user.interests.pictures][:_INTERESTED_USERS]
    if not wanted:
        return list(users)
    shown = (
        lake.read("user_profiles")
        .where(F.col("user_id").isin(wanted))
        .select(
            "user_id",
            F.col("interests_relation").alias("relation"),
            F.col("interests_network").alias("network"),
            F.explode(F.transform("interests_from_pictures", lambda entry: entry["domain"])).alias("domain"),
        )
    )
    named = (
        lake.read("interest_words")
        .where("kind = 'label'")
        .select(F.col("word").alias("label"), F.explode("domains").alias("domain"))
    )
    labels = lake.read("image_labels").where("rank = 1").select("image_id", "network", "label", "score")
    rows = (
        lake.read("posts")
        .where(F.col("user_id").isin(wanted))
        .select("post_id", "user_id", "relation")
        .join(lake.read("post_images").select("post_id", "image_id"), on="post_id", how="inner")
        .join(labels, on="image_id", how="inner")
        .join(named, on="label", how="inner")
        .join(shown, on=["user_id", "relation", "network", "domain"], how="inner")
        .groupBy("user_id", "domain")
        .agg(F.max_by("image_id", F.struct("score", "image_id")).alias("image_id"))
        .collect()
    )
    surest = {(row["user_id"], row["domain"]): row["image_id"] for row in rows}
    return [replace(user, interests=_shown_by(user, surest)) for user in users]


def _shown_by(user: User, surest: Mapping[tuple[str, str], str]) -> Interests | None:
    if user.interests is None:
        return None
    found = [(domain, surest.get((user.user_id, domain))) for domain, _ in user.interests.pictures]
    return replace(user.interests, examples=tuple((domain, image_id) for domain, image_id in found if image_id))
