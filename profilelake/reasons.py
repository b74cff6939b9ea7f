"""Why a value of a result table is NULL: the closed set of reasons, and the column `missing` made of them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

STAGE_NOT_RUN = "stage has not run"
NOT_MEASURED = "not measured yet"
NO_CATEGORY = "no categorised picture"
NO_SELFIE = "no selfie"
NO_SELFIE_OF_KINDS = "no selfie of these kinds"
NO_SELFIE_SEARCHED = "no selfie whose faces were looked for"
ONLY_SELFIES = "no picture but selfies"
NO_POST_WITHOUT_SELFIE = "no post without selfie"
NO_CATEGORY_OF_IT = "no category of it in the lake"
NO_TYPES = "too few users or categories for types"
NO_TYPE = "nothing in common with any type"
NOT_SCORED = "no model has scored the user"
NO_POST = "no post, only favourites"
NO_KNOWN_LIKES = "no post with known likes"
NO_LABEL = "no picture with a label"
NO_TAG = "no tag"
NO_LABEL_NO_TAG = "no picture with a label and no tag"
FEW_PICTURES = "too few pictures that name a domain"
FEW_TAGS = "too few tags that name a domain"
UNKNOWN = "unknown"

REASONS = frozenset(
    {
        STAGE_NOT_RUN,
        NOT_MEASURED,
        NO_CATEGORY,
        NO_SELFIE,
        NO_SELFIE_OF_KINDS,
        NO_SELFIE_SEARCHED,
        ONLY_SELFIES,
        NO_POST_WITHOUT_SELFIE,
        NO_CATEGORY_OF_IT,
        NO_TYPES,
        NO_TYPE,
        NOT_SCORED,
        NO_POST,
        NO_KNOWN_LIKES,
        NO_LABEL,
        NO_TAG,
        NO_LABEL_NO_TAG,
        FEW_PICTURES,
        FEW_TAGS,
        UNKNOWN,
    }
)


def missing(reasons: Mapping[str, Column]) -> Column:
    """The column `missing`: `array<struct<column: string, reason: string>>`, sorted by column, never NULL.

    Args:
        reasons: for every column that may be NULL the reason (string) that holds where it is; a reason that is itself
            NULL becomes `unknown`. The named columns must be in the frame that the result is used on.
    """
    entries = [
        F.when(
            F.col(name).isNull(),
            F.struct(F.lit(name).alias("column"), F.coalesce(reasons[name], F.lit(UNKNOWN)).alias("reason")),
        )
        for name in sorted(reasons)
    ]
    return F.filter(F.array(*entries), lambda entry: entry.isNotNull())


def reason_of(missing_column: Column, name: str) -> Column:
    """The reason (string) that a row's `missing` gives for a column; NULL where it gives none."""
    return F.get(F.filter(missing_column, lambda entry: entry["column"] == name), F.lit(0))["reason"]
