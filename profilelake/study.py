"""Studies: a lake of its own that holds a sample of another lake's posts with all that is known of their pictures.

Every job runs on a study as on any lake, and no picture is embedded again. A study stays what it was: the versions of
the tables that it was drawn from are recorded in it, so one that was cut off is completed from the same versions, and
making it again is no work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from profilelake import freshness, ledger
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.failures import one_line
from profilelake.frames import local_frame
from profilelake.lake import Lake, open_lake
from profilelake.ledger import Context, StageReport
from profilelake.tables import TABLES

log = logging.getLogger("profilelake.study")

NAME = "study"

# How each table of a study comes about. `posts`, `pictures`: the rows of the kept posts, pictures; `whole`: all rows;
# `made`: from the kept posts, below. The other tables are left to the jobs that fill them.
COPIED: Mapping[str, str] = {
    "source_files": "whole",
    "posts": "made",
    "users": "made",
    "post_counts": "posts",
    "post_images": "posts",
    "quarantine": "made",
    "images": "pictures",
    "image_embeddings": "pictures",
    "image_labels": "pictures",
    "image_faces": "pictures",
}
# With these the study's categories are those of the lake that it comes from, and not copied for a refit.
CATEGORIES: Mapping[str, str] = {
    "cluster_fits": "whole",
    "cluster_sweeps": "whole",
    "cluster_centroids": "whole",
    "image_clusters": "pictures",
}
LEFT_TO_JOBS = frozenset(
    {
        "user_categories",
        "user_features",
        "selfie_measures",
        "user_type_fits",
        "user_types",
        "user_attributes",
        "behaviour_scores",
        "interest_words",
        "user_interests",
        "user_interest_evidence",
        "training_splits",
        "champions",
        "user_profiles",
        "evaluations",
        "figure_data",
        "studies",
        "runs",
    }
)

_CHUNK_BYTES = 8 << 30  # of pictures in one commit
_MOST_CHUNKS = 256  # two hexadecimal digits


@dataclass(frozen=True)
class Study:
    """What a study holds, as in the table `studies`. `since` and `until` are half-open: `since` belongs to it, `until`
    does not."""

    drawn_from: str
    since: str | None = None
    until: str | None = None
    sources: tuple[str, ...] = ()
    min_posts: int = 0
    users: int | None = None  # how many were asked for; None: all
    users_digest: str | None = None  # tells two lists of the same length apart
    refit: bool = False


def instant(text: str) -> datetime:
    """A date (its first moment in UTC) or an ISO 8601 time with its offset, in UTC.

    Raises:
        ConfigError: the text is neither.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass  # no date alone: perhaps a time
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigError(
            f"{text!r} is neither a date, such as 2024-05-01, nor a time with its offset, such as "
            "2024-05-01T12:00:00+02:00"
        )
    return found.astimezone(UTC)


def check(out: str, since: str | None, until: str | None, min_posts: int) -> None:
    """What can be wrong before Spark starts.

    Raises:
        ConfigError: an empty or malformed window, a negative minimum, no `out`.
    """
    first, last = (None if text is None else instant(text) for text in (since, until))
    if first is not None and last is not None and first >= last:
        raise ConfigError(f"--from {since} is not before --to {until}: no post can be in between")
    if min_posts < 0:
        raise ConfigError(f"--min-posts {min_posts}: a number of posts is 0 or more")
    if not out.strip():
        raise ConfigError("--out is empty: name the folder of the study's lake")


def make_study(
    spark: SparkSession,
    config: Config,
    out_lake: str,
    since: str | None = None,
    until: str | None = None,
    users: str | Sequence[str] | None = None,
    sources: Sequence[str] = (),
    min_posts: int = 0,
    *,
    refit: bool = False,
    dry_run: bool = False,
) -> dict[str, int]:
    """Make, complete or just describe a study of the configured lake.

    Args:
        out_lake: folder of the study's lake (`lake.path` for its jobs), local or any Hadoop URI; made if missing.
        since, until: posts from `since` on and before `until` (dates in UTC, or instants with offset); None: no bound.
        users: only these users: ids, or a path to a text file of one id a line; None: all.
        sources: only posts of these sites; empty: all.
        min_posts: users with fewer posts (favourites left out) that meet all of the above are dropped, with their
            favourites.
        refit: leave the fits of the categories out, so that the study's own pictures decide; by default they are
            copied, and categories and their names stay comparable.
        dry_run: count what would be kept, write nothing.

    Returns:
        Rows by table of the study; in a dry run `users`, `posts`, `post_images`, `images`.

    Raises:
        ConfigError: a faulty argument, an unknown user or site, no lake to draw from, no post left, or an `out_lake`
            that holds something else than this very study.
    """
    check(out_lake, since, until, min_posts)
    source = open_lake(spark, config)
    if not source.exists("posts"):
        raise ConfigError(
            f"there is no lake at {source.path or source.schema} to draw a study from: run jobs/build_profiles.py first"
        )
    asked = _asked(spark, users)
    wanted = Study(
        drawn_from=source.path or source.schema,
        since=None if since is None else instant(since).isoformat(),
        until=None if until is None else instant(until).isoformat(),
        sources=tuple(sorted(set(sources))),
        min_posts=min_posts,
        refit=refit,
        **_identity(asked),
    )
    out_config = _config_of(config, out_lake)
    held = _held(open_lake(spark, out_config), wanted)
    tables = [name for name in _policy(refit) if source.exists(name)]
    current = source.versions(tables)
    drawn = current if held is None else freshness.read_by(held)
    if held is not None and held["complete"]:
        if drawn != current:
            log.warning(
                "the lake at %s has changed since the study was made; the study stays as it was: make another one, "
                "in another folder, for what is new",
                wanted.drawn_from,
            )
        return _counts(open_lake(spark, out_config), tables)
    pinned = Pinned(source, drawn)
    _check_names(pinned, asked, wanted)
    posts = kept_posts(pinned.read("posts"), wanted, asked)
    if posts.isEmpty():
        raise ConfigError("no post meets all conditions of the study: widen them")
    if dry_run:
        pictures = _of_posts(pinned.read("post_images"), posts)
        return {
            "users": posts.select("user_id").distinct().count(),
            "posts": posts.count(),
            "post_images": pictures.count(),
            "images": pictures.select("image_id").distinct().count(),
        }
    with ledger.run(spark, out_config, "make_study") as run:
        run.lake.write("studies", _row(spark, wanted, drawn, complete=False))

        def copy(context: Context) -> StageReport:
            return _copy(context, pinned, posts, _policy(refit))

        ledger.stage(NAME)(copy)(spark, out_config)
        run.lake.write("studies", _row(spark, wanted, drawn, complete=True))
        return _counts(run.lake, tables)


@dataclass(frozen=True)
class Pinned:
    """A lake's tables at fixed versions."""

    lake: Lake
    versions: Mapping[str, int]

    def read(self, table: str) -> DataFrame:
        """The table as it was.

        Raises:
            ConfigError: that version's files were cleaned up.
        """
        try:
            return self.lake.spark.sql(f"SELECT * FROM {self.lake.name(table)} VERSION AS OF {self.versions[table]}")
        except AnalysisException as error:
            raise ConfigError(
                f"the study was drawn from version {self.versions[table]} of table {table}, which is no longer there: "
                "make it anew in another folder"
            ) from error


def kept_posts(posts: DataFrame, wanted: Study, asked: DataFrame | None) -> DataFrame:
    """The posts and favourites of a study: those that meet its conditions, of users with `min_posts` such posts.

    Args:
        posts: the table `posts`.
        asked: `user_id` of the users that were asked for; None: all.
    """
    kept = posts
    if wanted.since is not None:
        kept = kept.where(F.col("posted_at") >= F.lit(datetime.fromisoformat(wanted.since)))
    if wanted.until is not None:
        kept = kept.where(F.col("posted_at") < F.lit(datetime.fromisoformat(wanted.until)))
    if wanted.sources:
        kept = kept.where(F.col("source").isin(*wanted.sources))
    if asked is not None:
        kept = kept.join(asked, on="user_id", how="left_semi")
    if wanted.min_posts:
        posted = kept.where(F.col("relation") == "posted").groupBy("user_id").agg(F.count("*").alias("n"))
        enough = posted.where(F.col("n") >= wanted.min_posts).select("user_id")
        kept = kept.join(enough, on="user_id", how="left_semi")
    return kept


def users_of(posts: DataFrame, users: DataFrame) -> DataFrame:
    """Rows of `users` for everybody who has one of `posts`, with counts and dates of these posts alone."""
    posted = F.col("relation") == "posted"
    seen = posts.groupBy("user_id").agg(
        F.min(F.when(posted, F.col("posted_at"))).alias("first_seen_at"),
        F.max(F.when(posted, F.col("posted_at"))).alias("last_seen_at"),
        F.count(F.when(posted, 1)).alias("posts"),
    )
    return users.drop("first_seen_at", "last_seen_at", "posts", "run_id").join(seen, on="user_id", how="inner")


def quarantine_of(quarantine: DataFrame, posts: DataFrame) -> DataFrame:
    """The quarantined pictures of `posts`, so that what cannot be decoded isn't tried again."""
    post = F.regexp_extract("record_id", r"^(.*)#\d+$", 1)
    return (
        quarantine.withColumn("post_id", post)
        .join(posts.select("post_id"), on="post_id", how="left_semi")
        .drop("post_id")
    )


def _policy(refit: bool) -> dict[str, str]:
    return {**COPIED} if refit else {**COPIED, **CATEGORIES}


def _config_of(config: Config, out: str) -> Config:
    """The study's configuration: its lake, in a schema of its own, since both lakes are open at once."""
    schema = config.lake.schema_.rsplit(".", 1)
    schema[-1] += "_study"
    return config.model_copy(update={"lake": config.lake.model_copy(update={"path": out, "schema_": ".".join(schema)})})


def _asked(spark: SparkSession, users: str | Sequence[str] | None) -> DataFrame | None:
    if users is None:
        return None
    if isinstance(users, str):
        try:
            lines = spark.read.text(users, lineSep="\n")
        except AnalysisException as error:
            raise ConfigError(f"the file of users {users} cannot be read: {one_line(error)}") from error
    else:
        lines = local_frame(spark, [(user,) for user in users], "value string")
    ids = lines.select(F.trim(F.regexp_replace("value", "[\r\ufeff]", "")).alias("user_id"))
    return ids.where(F.length("user_id") > 0).distinct()


def _identity(asked: DataFrame | None) -> dict[str, Any]:
    if asked is None:
        return {"users": None, "users_digest": None}
    row = asked.agg(F.count("*").alias("n"), F.expr("bit_xor(xxhash64(user_id))").alias("digest")).first()
    if row is None or row["n"] == 0:
        raise ConfigError("the list of users is empty: one id a line is needed")
    return {"users": row["n"], "users_digest": f"{row['digest'] & (2**64 - 1):016x}"}


def _held(out: Lake, wanted: Study) -> Row | None:
    """The row of `studies` in the study's folder; None where nothing is there yet, or an empty lake.

    Raises:
        ConfigError: another study is there, or a lake that is none.
    """
    if out.path == wanted.drawn_from:
        raise ConfigError(f"--out {out.path} is the lake that the study is drawn from: name another folder")
    row = out.spark.table(out.name("studies")).first() if out.exists("studies") else None
    if row is None:
        if out.exists("posts") and not out.is_empty("posts"):
            raise ConfigError(f"--out {out.path} is a lake that is no study: name another folder")
        return None
    asked = {**asdict(wanted), "sources": list(wanted.sources)}
    told = ", ".join(f"{key} {row[key]!r}, not {value!r}" for key, value in asked.items() if row[key] != value)
    if told:
        raise ConfigError(f"--out {out.path} holds another study ({told}): name another folder")
    return row


def _row(spark: SparkSession, wanted: Study, drawn: Mapping[str, int], *, complete: bool) -> DataFrame:
    types = {field.name: field.dataType for field in TABLES["studies"].schema if field.name != "run_id"}
    inputs = [F.struct(F.lit(name).alias("table"), F.lit(drawn[name]).alias("version")) for name in sorted(drawn)]
    values = {
        **{name: F.lit(value) for name, value in asdict(wanted).items() if name != "sources"},
        "sources": F.array(*[F.lit(name) for name in wanted.sources]),
        "inputs": F.array(*inputs),
        "complete": F.lit(complete),
    }
    return spark.range(1).select([values[name].cast(kind).alias(name) for name, kind in types.items()])


def _check_names(pinned: Pinned, asked: DataFrame | None, wanted: Study) -> None:
    """Raises ConfigError for users and sites that the lake does not know."""
    if asked is not None:
        unknown = asked.join(pinned.read("users").select("user_id"), on="user_id", how="left_anti")
        examples = [row["user_id"] for row in unknown.orderBy("user_id").limit(10).collect()]
        if examples:
            raise ConfigError(
                f"the lake knows no users {', '.join(examples)}{' ... ' if len(examples) == 10 else ''} "
                f"({unknown.count()} of {wanted.users} asked for): ids are written as in users.user_id"
            )
    if wanted.sources:
        known = {row["source"] for row in pinned.read("posts").select("source").distinct().limit(1000).collect()}
        strange = [name for name in wanted.sources if name not in known]
        if strange:
            raise ConfigError(f"no post is of {', '.join(strange)}; the lake's sources are {', '.join(sorted(known))}")


def _of_posts(rows: DataFrame, posts: DataFrame) -> DataFrame:
    return rows.join(posts.select("post_id"), on="post_id", how="left_semi")


def _copy(context: Context, pinned: Pinned, posts: DataFrame, policy: Mapping[str, str]) -> StageReport:
    """Rows are posts."""
    lake = context.lake
    made = {
        "posts": lambda: posts,
        "users": lambda: users_of(posts, pinned.read("users")),
        "quarantine": lambda: quarantine_of(pinned.read("quarantine"), posts),
    }
    changed = lake.write("posts", posts.drop("run_id")).changed
    kept = lake.read("posts")  # smaller and nearer than the lake that they come from
    changed += lake.write("post_images", _of_posts(pinned.read("post_images"), kept).drop("run_id")).changed
    pictures = lake.read("post_images").select("image_id").distinct()
    copied = [name for name in policy if name in pinned.versions and name not in ("posts", "post_images")]
    progress = context.progress(len(copied), "tables")
    for table in copied:
        if policy[table] == "made":
            changed += lake.write(table, made[table]().drop("run_id")).changed
            progress.advance(1)
            continue
        rows = pinned.read(table).drop("run_id")
        if policy[table] == "posts":
            rows = _of_posts(rows, kept)
        elif policy[table] == "pictures":
            rows = rows.join(pictures, on="image_id", how="left_semi")
        if table == "images":
            changed += _write_in_chunks(lake, rows)
        else:
            changed += lake.write(table, rows).changed
        progress.advance(1)
    return StageReport(
        NAME, rows_in=posts.count(), rows_out=lake.read("posts").count(), counters={"rows_changed": changed}
    )


def _write_in_chunks(lake: Lake, images: DataFrame) -> int:
    """Pictures' bytes in commits of a bounded size: what one write sorts and spills stays small. Ids are hexadecimal
    hashes, so their beginnings cut them into even parts."""
    total = images.agg(F.sum("n_bytes").alias("bytes")).first()
    size = (total["bytes"] if total is not None else None) or 0
    chunks = min(_MOST_CHUNKS, 1 + size // _CHUNK_BYTES)
    bounds = [f"{256 * n // chunks:02x}" for n in range(chunks)]
    changed = 0
    for n, low in enumerate(bounds):
        part = images if n == 0 else images.where(F.col("image_id") >= low)
        if n + 1 < chunks:
            part = part.where(F.col("image_id") < bounds[n + 1])
        changed += lake.write("images", part, n_bytes=size // chunks).changed
    return changed


def _counts(lake: Lake, tables: Sequence[str]) -> dict[str, int]:
    return {name: lake.spark.table(lake.name(name)).count() for name in tables}
