"""The stage that merges everything that is known of a user into one row of user_profiles."""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from profilelake import freshness
from profilelake.config import Config
from profilelake.interests import profile as interests
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.profiles import merge

NAME = "profiles"
INPUTS = (
    "users",
    "posts",
    "post_images",
    "user_categories",
    "user_features",
    "selfie_measures",
    "user_types",
    "user_type_fits",
    "user_attributes",
    "behaviour_scores",
    "champions",
    "user_interests",
    "user_interest_evidence",
)
OUTPUT = "user_profiles"
# Whether these were ever done decides between two reasons in `missing`.
ROOMS = ("behaviour", "interests", "score")


@stage(NAME)
def run(context: Context) -> StageReport:
    """One row in `user_profiles` for every user, those with nothing but favourites included. Rows are users."""
    lake, config = context.lake, context.config
    last = _unchanged(lake, config)
    if last is not None:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    users = lake.read("users")
    result = lake.write(
        OUTPUT,
        merge.profiles(
            users,
            merge.activity(lake.read("posts"), lake.read("post_images")),
            lake.read("user_categories"),
            lake.read("user_features"),
            lake.read("selfie_measures"),
            merge.types(lake.read("user_types"), lake.read("user_type_fits")),
            lake.read("user_attributes"),
            lake.spark.table(lake.name("behaviour_scores_current")),
            _interests(lake, config),
            behaviour_has_run=freshness.has_run(lake, "behaviour"),
            interests_have_run=freshness.has_run(lake, "interests"),
            score_has_run=freshness.has_run(lake, "score"),
            profiled_at=F.lit(datetime.now(UTC)),
        ),
    )
    return StageReport(
        NAME, rows_in=users.count(), rows_out=lake.read(OUTPUT).count(), counters={"rows_changed": result.changed}
    )


def _interests(lake: Lake, config: Config) -> DataFrame:
    rules = config.interests
    tables = lake.read("user_interests"), lake.read("user_interest_evidence")
    return interests.profiles(*tables, config.interest_network, rules.min_pictures, rules.min_tags)


def _unchanged(lake: Lake, config: Config) -> Row | None:
    """The ledger's last row where there is nothing to do."""
    rules = config.interests
    settings = {"interests": [config.interest_network, rules.min_pictures, rules.min_tags]}
    return freshness.unchanged(lake, NAME, (*INPUTS, OUTPUT), settings=settings, ran=ROOMS)


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Users whose profile a run would merge: all of them, or none where no input changed."""
    if not lake.exists("users") or _unchanged(lake, config) is not None:
        return {"users": 0}
    return {"users": lake.read("users").count()}
