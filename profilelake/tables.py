"""The data dictionary: every table and view of the lake, declared once.

A declaration gives the StructType, comments, key, write kind, CHECK constraints, clustering and properties. From it
come creation and writing (`profilelake.lake`), validation, and the page docs/tables.md (`python -m
profilelake.tables`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql import types as T

# Added tables and nullable columns raise the minor and are applied when a lake is opened; everything else raises the
# major and names its migration.
FORMAT = (1, 2)
FORMAT_PROPERTY = "profilelake.format"

Kind = Literal["append", "upsert", "replace"]


@dataclass(frozen=True)
class Column:
    """One column: its SQL type, its comment (meaning, unit, when NULL), whether it may be NULL."""

    name: str
    type: str
    comment: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    `volatile` columns say when or by which run a row was written: they are never compared, so they alone never
    change a row.
    """

    name: str
    comment: str
    key: tuple[str, ...]
    kind: Kind
    columns: tuple[Column, ...]
    cluster_by: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> T.StructType:
        """The Spark schema, keys and required columns NOT NULL, comments included."""
        return T.StructType(
            [
                T.StructField(c.name, T._parse_datatype_string(c.type), c.nullable, {"comment": c.comment})
                for c in self.columns
            ]
        )

    @property
    def ddl(self) -> str:
        """Column list for CREATE TABLE."""
        return ", ".join(
            f"{c.name} {c.type}{'' if c.nullable else ' NOT NULL'} COMMENT {quoted(c.comment)}" for c in self.columns
        )

    @property
    def compared(self) -> tuple[str, ...]:
        """Columns whose difference makes a row a changed row."""
        passed_over = {*self.key, *self.volatile, "run_id"}
        return tuple(c.name for c in self.columns if c.name not in passed_over)


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def differences(found: T.StructType, table: Table, *, without: tuple[str, ...] = ()) -> list[str]:
    """Every way in which a schema isn't the table's: missing, unknown and differently typed columns. Order and
    nullability don't matter."""
    wanted = {c.name: T._parse_datatype_string(c.type) for c in table.columns if c.name not in without}
    have = {f.name: f.dataType for f in found.fields}
    faults = [f"column {name} is missing" for name in wanted if name not in have]
    faults += [f"column {name} is unknown" for name in have if name not in wanted]
    faults += [
        f"column {name} is {have[name].simpleString()}, not {wanted[name].simpleString()}"
        for name in wanted
        if name in have and have[name].simpleString() != wanted[name].simpleString()
    ]
    return faults


def _required(name: str, type_: str, comment: str) -> Column:
    return Column(name, type_, comment, nullable=False)


RUN_ID = _required("run_id", "string", "The run that last changed the row (runs.run_id).")
MISSING = Column(
    "missing",
    "array<struct<column: string, reason: string>>",
    "Why values of this row are NULL, by column, sorted; empty when none is.",
)
FIT_ID = Column("fit_id", "string", "The fit of the categories that the row rests on (cluster_fits.fit_id).")
_BASIS = _required("basis", "string", "tags, or the network whose labels name the domains.")
_OF_WHOSE_POSTS = _required("relation", "string", "posted or favourite: which of the user's posts count.")
_BOX = "struct<x: double, y: double, width: double, height: double, score: double>"

_TABLES = (
    Table(
        "source_files",
        "Every metadata and picture file that ingest has seen: what is unchanged is not opened again.",
        key=("path",),
        kind="upsert",
        columns=(
            _required("path", "string", "Path below the crawl behind the crawl's name."),
            _required("size", "bigint", "Size in bytes."),
            _required("modified_at", "timestamp", "Modification time, UTC."),
            _required("status", "string", "read, ignored (no post in it), or bad (see quarantine)."),
            Column("records", "bigint", "Records read from it; NULL for a picture."),
            RUN_ID,
        ),
    ),
    Table(
        "users",
        "Everybody who posted or favourited something in a crawl.",
        key=("user_id",),
        kind="upsert",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "<source>:<native id>, <source>:@<name>, or a keyed hash."),
            _required("source", "string", "The site."),
            Column("user_name", "string", "Name on the site at the last sight; NULL when unknown or pseudonymised."),
            Column("first_seen_at", "timestamp", "Earliest posted_at of the user's posts, UTC."),
            Column("last_seen_at", "timestamp", "Latest posted_at of the user's posts, UTC."),
            Column("posts", "bigint", "Posts in the lake, favourites left out."),
            Column("followers", "bigint", "Followers at the last sight; NULL when no record says."),
            RUN_ID,
        ),
    ),
    Table(
        "posts",
        "One row a post or favourite, the latest state seen.",
        key=("post_id",),
        kind="upsert",
        cluster_by=("user_id", "posted_at"),
        columns=(
            _required("post_id", "string", "<source>:<native id>, for favourites ...:favourite:<user_id>."),
            _required("source", "string", "The site."),
            _required("relation", "string", "posted or favourite."),
            _required("user_id", "string", "Who posted it, or who favourites it."),
            Column("owner_id", "string", "Who posted it; the user for posted; NULL when unknown."),
            _required("posted_at", "timestamp", "When it was posted, UTC, to the microsecond."),
            Column("caption", "string", "Caption, untouched; NULL when there is none."),
            _required("hashtags", "array<string>", "Hashtags of caption and record, NFC, case-folded, no repeats."),
            Column("tags", "array<string>", "Tags of the site (Flickr); NULL when not given."),
            Column("board", "string", "Board or album (Pinterest)."),
            Column("likes", "bigint", "Likes at the last sight; NULL when hidden or unknown."),
            Column("comments", "bigint", "Comments at the last sight; NULL when hidden or unknown."),
            _required("n_images", "int", "Pictures that the record lists."),
            Column("url", "string", "Address of the post."),
            _required("crawled_at", "timestamp", "When the kept record was crawled, UTC."),
            _required("last_seen_at", "timestamp", "When a crawl last held the post, UTC."),
            _required("source_ref", "string", "<file>:<line> of the kept record."),
            RUN_ID,
        ),
        checks={
            "relation_is_known": "relation IN ('posted', 'favourite')",
            "likes_not_negative": "likes IS NULL OR likes >= 0",
            "comments_not_negative": "comments IS NULL OR comments >= 0",
            "n_images_not_negative": "n_images >= 0",
        },
    ),
    Table(
        "post_counts",
        "Likes and comments as each crawl saw them.",
        key=("post_id", "crawled_at"),
        kind="append",
        cluster_by=("post_id",),
        columns=(
            _required("post_id", "string", "The post."),
            _required("crawled_at", "timestamp", "When the counts were crawled, UTC."),
            Column("likes", "bigint", "Likes then; NULL when hidden."),
            Column("comments", "bigint", "Comments then; NULL when hidden."),
            RUN_ID,
        ),
    ),
    Table(
        "post_images",
        "Which picture stands where in which post; pictures that failed ingest are absent.",
        key=("post_id", "position"),
        kind="replace",
        cluster_by=("post_id",),
        columns=(
            _required("post_id", "string", "The post."),
            _required("position", "int", "Place in the record's list, from 0; may have gaps."),
            _required("image_id", "string", "sha256 of the picture's bytes (images.image_id)."),
            _required("source_ref", "string", "File of the picture below the crawl, behind the crawl's name."),
            RUN_ID,
        ),
        checks={"position_from_0": "position >= 0"},
    ),
    Table(
        "images",
        "Every distinct picture, once, as it was crawled.",
        key=("image_id",),
        kind="append",
        cluster_by=("image_id",),
        columns=(
            _required("image_id", "string", "sha256 of the bytes, hexadecimal."),
            _required("content", "binary", "The encoded bytes, unchanged."),
            _required("format", "string", "jpeg, png, webp, gif, bmp or tiff."),
            _required("width", "int", "Width in pixels as shown (EXIF orientation applied)."),
            _required("height", "int", "Height in pixels as shown."),
            _required("n_bytes", "bigint", "Length of content."),
            RUN_ID,
        ),
        checks={"has_pixels": "width > 0 AND height > 0"},
        properties={
            # bytes tell nothing as statistics and would fill the log
            "delta.dataSkippingStatsColumns": "image_id,format,width,height,n_bytes",
            # Parquet's writer reads these two: small row groups, asked for often, let a read be shared by many tasks
            # and a range of ids be found in a file.
            "parquet.block.size": str(16 * 2**20),
            "parquet.page.size.row.check.min": "4",
        },
    ),
    Table(
        "quarantine",
        "Records and pictures that were refused, each with its reason. Healed ones leave.",
        key=("stage", "record_id"),
        kind="replace",
        columns=(
            _required("stage", "string", "The stage that refused it: ingest or images."),
            _required("record_id", "string", "<file>:<line> of a record, <post_id>#<position> of a picture."),
            Column("user_id", "string", "Whose it is, where that is known."),
            Column("source_ref", "string", "File, or file and line, that it comes from."),
            _required("reason", "string", "A code; docs/crawls.md explains each."),
            _required("detail", "string", "What exactly was wrong."),
            _required("attempts", "int", "How often it was tried."),
            _required("first_seen_at", "timestamp", "When it was first refused, UTC."),
            RUN_ID,
        ),
        checks={
            "reason_is_known": "reason IN ('bad_json', 'missing_field', 'bad_timestamp', 'bad_value', "
            "'image_missing', 'path_outside_crawl', 'not_an_image', 'image_truncated', 'image_too_many_bytes', "
            "'image_too_many_pixels', 'unsupported_format', 'image_failed', 'image_crashed', 'image_timeout')"
        },
        volatile=("first_seen_at",),
    ),
    Table(
        "image_embeddings",
        "A picture's vector by a backbone. Vectors of other weights or preprocessing are replaced, never mixed.",
        key=("image_id", "backbone"),
        kind="upsert",
        cluster_by=("backbone", "image_id"),
        columns=(
            _required("image_id", "string", "The picture."),
            _required("backbone", "string", "The network's name."),
            _required("embedding", "array<float>", "Its vector; the width is the backbone's (docs/stack.md)."),
            _required("weights_sha256", "string", "sha256 of the weights file."),
            _required("preprocessing", "string", "How it was decoded, resized and cropped, and the precision."),
            RUN_ID,
        ),
        volatile=("embedding",),
        properties={"delta.dataSkippingStatsColumns": "image_id,backbone,weights_sha256"},
    ),
    Table(
        "image_labels",
        "A picture's five best ImageNet labels by a network.",
        key=("image_id", "network", "rank"),
        kind="upsert",
        cluster_by=("network", "image_id"),
        columns=(
            _required("image_id", "string", "The picture."),
            _required("network", "string", "The network's name."),
            _required("rank", "int", "1 (best) to 5."),
            _required("class_index", "int", "ImageNet-1k class, from 0."),
            _required("label", "string", "The class's first name."),
            _required("score", "float", "Softmax probability."),
            _required("weights_sha256", "string", "sha256 of the weights file."),
            RUN_ID,
        ),
        checks={"rank_1_to_5": "rank BETWEEN 1 AND 5"},
        volatile=("class_index", "label", "score"),
    ),
    Table(
        "image_faces",
        "The faces of a picture.",
        key=("image_id",),
        kind="upsert",
        cluster_by=("image_id",),
        columns=(
            _required("image_id", "string", "The picture."),
            _required("faces", "int", "Faces found."),
            _required("boxes", f"array<{_BOX}>", "Their boxes as fractions of the shown picture, largest first."),
            _required("largest_face_share", "double", "Area of the largest box / area of the picture; 0 without."),
            _required("detector_sha256", "string", "sha256 of the detector's weights and settings."),
            RUN_ID,
        ),
        checks={"faces_not_negative": "faces >= 0"},
        volatile=("faces", "boxes", "largest_face_share"),
    ),
    Table(
        "cluster_fits",
        "Every k-means fit; the current one of a purpose is what profiles rest on.",
        key=("purpose", "fit_id"),
        kind="upsert",
        columns=(
            _required("purpose", "string", "categories, selfie, ..."),
            _required("fit_id", "string", "The fit."),
            _required("backbone", "string", "Whose vectors were clustered."),
            _required("weights_sha256", "string", "Their weights."),
            _required("preprocessing", "string", "Their preprocessing."),
            _required("basis", "string", "Which pictures it clusters; another basis needs another fit."),
            _required("k", "int", "Clusters."),
            _required("fitted_at", "timestamp", "When it was fitted, UTC."),
            _required("current", "boolean", "Whether profiles rest on it."),
            Column(
                "drift", "double", "Mean distance of pictures assigned since / of those fitted, minus 1; NULL: none."
            ),
            _required("images", "bigint", "Pictures that it was fitted on."),
            _required("mean_distance", "double", "Their mean distance to the own centroid."),
            Column("warning", "string", "What speaks against the choice of k; NULL when nothing does."),
            RUN_ID,
        ),
        volatile=("fitted_at",),
    ),
    Table(
        "cluster_sweeps",
        "What each k that was tried for a fit scored.",
        key=("purpose", "fit_id", "k"),
        kind="replace",
        columns=(
            _required("purpose", "string", "The fit's purpose."),
            _required("fit_id", "string", "The fit."),
            _required("k", "int", "Clusters tried."),
            _required("silhouette", "double", "S(k): mean simplified silhouette over the pictures."),
            _required("silhouette_smoothed", "double", "Centred mean of S over neighbouring tried k."),
            _required("inertia", "double", "Sum of squared distances to the own centroid."),
            _required("iterations", "int", "Iterations of the fit."),
            _required("chosen", "boolean", "Whether this k was kept."),
            Column("note", "string", "In the row of the chosen k: what is to be said of the fit; NULL: nothing."),
            RUN_ID,
        ),
    ),
    Table(
        "cluster_centroids",
        "The clusters of a fit and what they are called.",
        key=("purpose", "fit_id", "cluster_id"),
        kind="replace",
        columns=(
            _required("purpose", "string", "The fit's purpose."),
            _required("fit_id", "string", "The fit."),
            _required("cluster_id", "int", "The cluster, from 0."),
            _required("centroid", "array<float>", "Its centroid."),
            _required("size", "bigint", "Pictures that it was fitted on."),
            _required("proposed_category", "string", "The name that its evidence speaks for."),
            _required("category", "string", "The name in use; clusters of one name are one category."),
            _required("reviewed", "boolean", "Whether a person chose the name."),
            _required("evidence", "string", "Why the name was proposed."),
            _required("exemplar_image_ids", "array<string>", "Pictures nearest to the centroid, nearest first."),
            RUN_ID,
        ),
    ),
    Table(
        "image_clusters",
        "The cluster of each picture in the current fit of a purpose.",
        key=("image_id", "purpose"),
        kind="replace",
        cluster_by=("purpose", "image_id"),
        columns=(
            _required("image_id", "string", "The picture."),
            _required("purpose", "string", "categories, selfie, ..."),
            _required("fit_id", "string", "The current fit."),
            _required("cluster_id", "int", "Its cluster (cluster_centroids.cluster_id)."),
            _required("distance", "double", "Euclidean distance to the own centroid."),
            _required("silhouette", "double", "Simplified silhouette, -1 to 1; 0 for a cluster of one picture."),
            _required("fitted", "boolean", "Whether the fit was made with it; false: it was assigned later."),
            RUN_ID,
        ),
    ),
    Table(
        "user_categories",
        "How a user posts each category (paper 1, definitions 1-4). Posts with relation posted only.",
        key=("user_id", "category"),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("category", "string", "The category."),
            _required("images", "bigint", "Pictures of it."),
            _required("occurrences", "bigint", "Posts with it (definition 1)."),
            _required("frequency", "double", "Its occurrences / occurrences of all categories (definition 2)."),
            _required("inertia", "double", "Pictures / occurrences (definition 3)."),
            _required("singleness", "double", "Posts with only it / posts with it (definition 4)."),
            Column(
                "frequency_without_selfie",
                "double",
                "Feature F: as frequency, selfies left out above and below; NULL in the Selfie row.",
            ),
            FIT_ID,
            RUN_ID,
        ),
    ),
    Table(
        "user_features",
        "Features I and S of a user (paper 1, 4.2); F is user_categories.frequency_without_selfie.",
        key=("user_id",),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("posts", "bigint", "Posts with a categorised picture."),
            _required("occurrences", "bigint", "Occurrences of all categories."),
            _required("other_occurrences", "bigint", "Occurrences of all categories but Selfie."),
            Column("other_inertia", "double", "I: pictures / occurrences without selfies; NULL when nothing is left."),
            Column(
                "other_singleness",
                "double",
                "S: posts of exactly one category / posts, among posts without selfie; NULL when none is left.",
            ),
            FIT_ID,
            MISSING,
            RUN_ID,
        ),
    ),
    Table(
        "selfie_measures",
        "The seven selfie measures of a user (paper 1, 5.2) with the counts that they rest on.",
        key=("user_id",),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("selfie_frequency", "double", "Selfie occurrences / occurrences of all categories."),
            Column("selfie_inertia", "double", "Selfies / selfie occurrences; NULL without selfies."),
            Column("selfie_singleness", "double", "Posts with only selfies / posts with selfies; NULL without."),
            Column("group_tendency", "double", "Multi-face / (one-face + multi-face) occurrences (definition 5)."),
            Column("outdoor_tendency", "double", "Outdoor / (outdoor + indoor ordinary) occurrences (definition 6)."),
            Column(
                "holding_something_tendency",
                "double",
                "Holding something / (holding something + indoor ordinary) occurrences (definition 7).",
            ),
            Column(
                "face_mask_tendency", "double", "Face mask / (face mask + indoor ordinary) occurrences (definition 8)."
            ),
            _required("selfie_occurrences", "bigint", "Posts with a selfie."),
            Column("one_face_occurrences", "bigint", "Posts with a selfie of one face."),
            Column("multi_face_occurrences", "bigint", "Posts with a selfie of several faces."),
            Column("indoor_ordinary_occurrences", "bigint", "Posts with an Indoor Ordinary Selfie."),
            Column("outdoor_occurrences", "bigint", "Posts with an Outdoor Selfie."),
            Column("holding_something_occurrences", "bigint", "Posts with a Holding Something Selfie."),
            Column("face_mask_occurrences", "bigint", "Posts with a Face Mask Selfie."),
            FIT_ID,
            Column("selfie_fit_id", "string", "The fit of the kinds of selfie; NULL while selfies have no kinds."),
            MISSING,
            RUN_ID,
        ),
    ),
    Table(
        "user_type_fits",
        "The user types: components of the NMF of feature F (paper 1, 5.2.3). They stay until a refit is asked for.",
        key=("fit_id", "type"),
        kind="upsert",
        columns=(
            _required("fit_id", "string", "The fit of the types."),
            _required("type", "int", "The type, from 1, the one of most users first."),
            _required("categories", "array<string>", "Categories of the lake but Selfie, by name."),
            _required("loadings", "array<double>", "The type's share of each of them; they sum to 1, or are all 0."),
            _required("name", "string", "Its number and the attribute in which it stands out most."),
            _required("users", "bigint", "Users of the sample who are of it."),
            _required("sample_users", "bigint", "Users that the fit was made on."),
            _required("error", "double", "Frobenius norm of F - WH over that of F, over the sample."),
            _required("current", "boolean", "Whether user_types rests on it."),
            _required("category_fit_id", "string", "The fit of the categories that it rests on."),
            _required("fitted_at", "timestamp", "When it was fitted, UTC."),
            RUN_ID,
        ),
        volatile=("fitted_at",),
    ),
    Table(
        "user_types",
        "How much a user is of each type, and which type most (paper 1, 5.2.3).",
        key=("user_id",),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            Column("weights", "array<double>", "Weight of each type (element i, from 0, is type i + 1), not negative."),
            Column("type", "int", "The type of the largest weight, the lowest number on ties; from 1."),
            Column("fit_id", "string", "The fit of the types (user_type_fits.fit_id)."),
            MISSING,
            RUN_ID,
        ),
    ),
    Table(
        "user_attributes",
        "The six attributes of a user (paper 1, table 5; conf/attributes.yaml).",
        key=("user_id", "attribute"),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("attribute", "string", "The attribute."),
            Column("value", "double", "Sum of frequency_without_selfie of its categories; 0 without any of them."),
            _required("occurrences", "bigint", "Posts with each of its categories, added up."),
            FIT_ID,
            MISSING,
            RUN_ID,
        ),
    ),
    Table(
        "behaviour_scores",
        "How likely a user is on the positive side of a task of paper 1, given that they are on one of the two.",
        key=("user_id", "task", "model_version"),
        kind="upsert",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("task", "string", "R1, ..., R7_<attribute>."),
            _required("model_version", "string", "Version of the registered model selfie_<task>."),
            _required("probability", "double", "Calibrated probability of the positive side."),
            _required(
                "evidence",
                "bigint",
                "Occurrences that the features rest on: the measures on all, F, I and S on all but those of Selfie.",
            ),
            RUN_ID,
        ),
        checks={"is_a_probability": "probability BETWEEN 0 AND 1"},
    ),
    Table(
        "interest_words",
        "Every tag that posts have and every label that networks gave, with its domains, or with what left it out.",
        key=("kind", "word"),
        kind="replace",
        columns=(
            _required("kind", "string", "tag or label."),
            _required(
                "word",
                "string",
                "As it was written; of a tag with more than 128 characters as many and an ellipsis.",
            ),
            _required(
                "domains", "array<string>", "Domains of its key senses, in the order of its parts; [] when dropped."
            ),
            _required("rule", "string", "kept, or the rule that dropped it; docs/interests.md explains each."),
            _required(
                "occurrences", "bigint", "Posts and favourites with the tag, pictures with the label by networks."
            ),
            _required("lexicon", "string", "Digest of the lexicon and the lists that decided."),
            RUN_ID,
        ),
        checks={
            "kind_is_known": "kind IN ('tag', 'label')",
            "rule_is_known": "rule IN ('kept', 'blank', 'too_long', 'camera', 'technique', 'picture_type', 'colour', "
            "'stop_word', 'not_in_lexicon', 'no_domain')",
        },
    ),
    Table(
        "user_interests",
        "The domains that a user's pictures and tags name (paper 2, section 3). Ranks 1 to 5 are the profile.",
        key=("user_id", "relation", "basis", "domain"),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _OF_WHOSE_POSTS,
            _BASIS,
            _required("domain", "string", "One of the 34 domains (conf/domains.yaml)."),
            _required(
                "occurrences",
                "bigint",
                "Pictures whose best label names it, repeats counted, or tags that do. 0: only lesser labels do "
                "(interests.weighting).",
            ),
            _required(
                "score", "double", "What ranks: occurrences, or what interests.weighting and the like make of them."
            ),
            _required("rank", "int", "From 1, the highest score first, by name on ties."),
            RUN_ID,
        ),
        checks={"rank_from_1": "rank >= 1", "occurrences_not_negative": "occurrences >= 0"},
    ),
    Table(
        "user_interest_evidence",
        "What a user's interests rest on: a row for every basis that the user has anything of.",
        key=("user_id", "relation", "basis"),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            _required("user_id", "string", "The user."),
            _OF_WHOSE_POSTS,
            _BASIS,
            _required("given", "bigint", "Pictures with a label of the network, repeats counted, or tags."),
            _required("named", "bigint", "Those of them that name a domain; 0 where none does."),
            RUN_ID,
        ),
        checks={"named_are_given": "named BETWEEN 0 AND given"},
    ),
    Table(
        "training_splits",
        "Who took part in a training, by user: never compared, so that a later training knows whom no model has seen.",
        key=("model", "mlflow_run_id", "user_id"),
        kind="append",
        columns=(
            _required("model", "string", "The registered model."),
            _required("mlflow_run_id", "string", "The tracked run."),
            _required("user_id", "string", "The user."),
            Column("label", "int", "1 positive, 0 negative; NULL where the training knows no sides."),
            _required("part", "string", "train, or held_out."),
            Column("fold", "int", "Fold of the cross-validation that tested on the user, from 0; NULL: none did."),
            RUN_ID,
        ),
        checks={"part_is_known": "part IN ('train', 'held_out')"},
    ),
    Table(
        "champions",
        "Which version of a model was live when. One row a model has no end: the champion.",
        key=("model", "version", "mlflow_run_id"),
        kind="upsert",
        columns=(
            _required("model", "string", "The registered model."),
            _required("version", "string", "Its version."),
            _required("since", "timestamp", "When it became the champion, UTC."),
            Column("until", "timestamp", "When another one did, UTC; NULL: it is the champion."),
            _required("metric", "string", "What it was judged by."),
            _required("value", "double", "What it reached then."),
            _required("mlflow_run_id", "string", "The tracked run that made it."),
            _required("reason", "string", "What it was judged against, and on whom."),
            Column("model_sha256", "string", "sha256 of the model's file: another file is not loaded."),
            RUN_ID,
        ),
    ),
    Table(
        "evaluations",
        "What an evaluation measured, beside what the paper published.",
        key=("run_id", "paper", "artefact", "task", "variant", "split", "metric"),
        kind="append",
        columns=(
            RUN_ID,
            _required("paper", "int", "1 to 5."),
            _required("artefact", "string", "Table or section of the paper."),
            _required("task", "string", "What was evaluated; for categories the category or 'all'."),
            _required("variant", "string", "Setting or judge."),
            _required("split", "string", "Part of the data."),
            _required("metric", "string", "The metric."),
            Column("value", "double", "Its value."),
            Column("low", "double", "Lower end of its interval."),
            Column("high", "double", "Upper end of its interval."),
            Column("n", "bigint", "What it rests on."),
            Column("baseline", "double", "What chance or the majority gives."),
            Column("published", "double", "The paper's figure."),
            Column("mlflow_run_id", "string", "The tracked run."),
            Column("note", "string", "Why there is no value, or what else a reader should know."),
        ),
    ),
    Table(
        "figure_data",
        "The numbers behind every figure.",
        key=("run_id", "paper", "figure", "series", "x"),
        kind="append",
        columns=(
            RUN_ID,
            _required("paper", "int", "1 to 5."),
            _required("figure", "string", "The figure."),
            _required("series", "string", "Line or bar."),
            _required("x", "double", "Place on the horizontal axis."),
            Column("y", "double", "Value."),
            Column("low", "double", "Lower end of its interval."),
            Column("high", "double", "Upper end of its interval."),
            Column("n", "bigint", "What it rests on."),
            Column("label", "string", "Text at the point."),
        ),
    ),
    Table(
        "user_profiles",
        "One wide row a user. Columns are prefixed by the room that fills them and NULL until it has.",
        key=("user_id",),
        kind="replace",
        cluster_by=("user_id",),
        volatile=("profiled_at",),
        columns=(
            _required("user_id", "string", "The user."),
            _required("source", "string", "The site."),
            Column("user_name", "string", "Name on the site; NULL when unknown or pseudonymised."),
            Column("followers", "bigint", "Followers at the last sight."),
            Column("first_seen_at", "timestamp", "Earliest posted_at, UTC."),
            Column("last_seen_at", "timestamp", "Latest posted_at, UTC."),
            _required("posts", "bigint", "Posts, favourites left out."),
            _required("favourites", "bigint", "Favourites."),
            _required("images", "bigint", "Pictures in the user's posts that passed ingest, repeats counted."),
            Column("median_likes", "double", "Median likes of posts whose likes are known."),
            Column(
                "behaviour_categories",
                "array<struct<category: string, images: bigint, occurrences: bigint, frequency: double, "
                "inertia: double, singleness: double>>",
                "What the user posts, most frequent first (paper 1, definitions 1-4).",
            ),
            Column("behaviour_top_category", "string", "The most frequent category; the first by name on ties."),
            Column("behaviour_posts", "bigint", "Evidence: posts with a categorised picture."),
            Column("behaviour_occurrences", "bigint", "Evidence: occurrences of all categories."),
            Column("behaviour_inertia", "double", "Feature I (paper 1, 4.2)."),
            Column("behaviour_singleness", "double", "Feature S (paper 1, 4.2)."),
            Column("behaviour_selfie_occurrences", "bigint", "Evidence: posts with a selfie."),
            Column("behaviour_selfie_frequency", "double", "Selfie measure 1."),
            Column("behaviour_selfie_inertia", "double", "Selfie measure 2."),
            Column("behaviour_selfie_singleness", "double", "Selfie measure 3."),
            Column("behaviour_group_tendency", "double", "Selfie measure 4."),
            Column("behaviour_outdoor_tendency", "double", "Selfie measure 5."),
            Column("behaviour_holding_something_tendency", "double", "Selfie measure 6."),
            Column("behaviour_face_mask_tendency", "double", "Selfie measure 7."),
            Column("behaviour_type", "string", "User type: its number and name (user_type_fits.name)."),
            Column("behaviour_type_weights", "array<double>", "Weights of the user types."),
            Column(
                "behaviour_attributes",
                "array<struct<attribute: string, value: double, occurrences: bigint>>",
                "Attributes (paper 1, table 5), by name.",
            ),
            Column("behaviour_fit_id", "string", "Fit of the categories."),
            Column(
                "behaviour_scores",
                "array<struct<task: string, probability: double, model_version: string, evidence: bigint>>",
                "Probability of each selfie behaviour by the champions of the models selfie_<task>, by task.",
            ),
            Column("behaviour_selfie_fit_id", "string", "Fit of the kinds of selfie."),
            Column(
                "interests_from_pictures",
                "array<struct<domain: string, occurrences: bigint, rank: int>>",
                "Top domains by pictures (paper 2), best first.",
            ),
            Column(
                "interests_from_tags",
                "array<struct<domain: string, occurrences: bigint, rank: int>>",
                "Top domains by tags (paper 2), best first.",
            ),
            Column("interests_network", "string", "Whose labels the picture domains rest on."),
            Column("interests_images", "bigint", "Evidence: pictures that name a domain."),
            Column("interests_tags", "bigint", "Evidence: tags that name a domain."),
            Column("interests_overlap", "int", "Top domains that pictures and tags have in common, 0 to 5."),
            Column("interests_relation", "string", "posted or favourite: which of the user's posts interests rest on."),
            Column(
                "preference_categories",
                "array<struct<category: string, images: bigint, fit_id: string>>",
                "Categories with a visual preference profile (paper 3), by name.",
            ),
            Column("preference_model_version", "string", "Model of the preference profiles."),
            Column("personality_openness", "double", "Openness (paper 4)."),
            Column("personality_conscientiousness", "double", "Conscientiousness (paper 4)."),
            Column("personality_extraversion", "double", "Extraversion (paper 4)."),
            Column("personality_agreeableness", "double", "Agreeableness (paper 4)."),
            Column("personality_neuroticism", "double", "Neuroticism (paper 4)."),
            Column("personality_images", "bigint", "Evidence: scored pictures."),
            Column("personality_model_version", "string", "Model of the traits."),
            Column("popularity_mean_probability", "double", "Mean probability of a post to be a top one (paper 5)."),
            Column("popularity_posts", "bigint", "Evidence: scored posts."),
            Column("popularity_model_version", "string", "Model of the popularity."),
            MISSING,
            _required("profiled_at", "timestamp", "When the row last changed, UTC."),
            RUN_ID,
        ),
    ),
    Table(
        "studies",
        "What this lake is a sample of, where it is a study: one row. Empty in every other lake.",
        key=("drawn_from",),
        kind="upsert",
        columns=(
            _required("drawn_from", "string", "The lake that it was drawn from: its path, or its schema."),
            Column("since", "string", "Posts from this instant on, ISO 8601 in UTC; NULL: no bound."),
            Column("until", "string", "Posts before this instant, ISO 8601 in UTC; NULL: no bound."),
            _required("sources", "array<string>", "Only these sites, sorted; empty: all."),
            _required("min_posts", "int", "Users with fewer such posts are left out."),
            Column("users", "bigint", "How many users were asked for; NULL: all."),
            Column("users_digest", "string", "Tells lists of users apart; NULL: all."),
            _required("refit", "boolean", "Whether the fits of the categories were left out."),
            _required("inputs", "array<struct<table: string, version: bigint>>", "Versions that it was drawn from."),
            _required("complete", "boolean", "Whether everything was copied."),
            RUN_ID,
        ),
    ),
    Table(
        "runs",
        "The ledger: a row a stage of every run, and one of stage 'run' for the run itself, which holds the lake "
        "while its status is running and its heartbeat is fresh.",
        key=("run_id", "stage"),
        kind="upsert",
        columns=(
            _required("run_id", "string", "The run; sorts by time."),
            _required("stage", "string", "The stage, or 'run'."),
            _required("job", "string", "The job that ran it."),
            _required("status", "string", "running, done, skipped, rejected (too many bad records), failed, lost."),
            Column("reason", "string", "Why it was skipped or rejected."),
            Column("error", "string", "What failed."),
            Column("exit_code", "int", "Exit status of the run; NULL in rows of stages."),
            _required("started_at", "timestamp", "UTC."),
            Column("finished_at", "timestamp", "UTC; NULL while it runs."),
            Column("heartbeat_at", "timestamp", "Last sign of life of the run, UTC; NULL in rows of stages."),
            Column("holder", "string", "host:pid:start of the process; NULL in rows of stages."),
            Column("seconds", "double", "How long it took."),
            Column("rows_in", "bigint", "Rows that it read."),
            Column("rows_out", "bigint", "Rows that it wrote or found in place."),
            Column("rows_quarantined", "bigint", "Rows that it refused."),
            Column("rows_superseded", "bigint", "Rows that newer ones replaced."),
            Column("images_per_second", "double", "Pictures a second, where it handles pictures."),
            Column("counters", "array<struct<name: string, value: bigint>>", "What else it counted, by name."),
            Column("warnings", "array<string>", "What a person should know about it; empty when nothing."),
            Column("inputs", "array<struct<table: string, version: bigint>>", "Versions of the tables that it read."),
            Column("settings", "string", "JSON: what else its result depends on; NULL where that is tables alone."),
            Column("version", "string", "Version of profilelake."),
        ),
        # two runs that take the lake at once must conflict even though each only adds a row
        properties={"delta.isolationLevel": "Serializable"},
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in _TABLES}


@dataclass(frozen=True)
class View:
    """A view: `{schema}` in its SQL stands for the lake's schema."""

    name: str
    comment: str
    sql: str


def _user_360() -> str:
    """SQL of v_user_360, which takes up whatever scalar the declaration of user_profiles holds."""
    declared = TABLES["user_profiles"].columns
    scalars = ", ".join(f"p.{c.name}" for c in declared if not c.type.startswith("array<"))
    return f"""
SELECT {scalars},
  array_join(transform(slice(p.behaviour_categories, 1, 5),
    c -> concat(c.category, ' ', CAST(round(100 * c.frequency) AS int), ' %')), ', ') AS behaviour_mix,
  array_join(transform(p.behaviour_attributes,
    a -> concat(a.attribute, ' ', CAST(round(a.value, 2) AS string))), ', ') AS behaviour_attributes,
  array_join(transform(p.behaviour_scores,
    s -> concat(s.task, ' ', CAST(round(s.probability, 2) AS string))), ', ') AS behaviour_scores,
  array_join(transform(p.interests_from_pictures, d -> d.domain), ', ') AS interests_from_pictures,
  array_join(transform(p.interests_from_tags, d -> d.domain), ', ') AS interests_from_tags,
  array_join(transform(p.preference_categories, c -> c.category), ', ') AS preference_categories,
  array_join(transform(p.missing, m -> concat(m.column, ': ', m.reason)), '; ') AS missing
FROM {{schema}}.user_profiles p
"""


_VIEWS = (
    View(
        "behaviour_scores_current",
        "The rows of behaviour_scores that the champions made.",
        """
SELECT s.*
FROM {schema}.behaviour_scores s
JOIN {schema}.champions c
  ON c.model = concat('selfie_', s.task) AND c.version = s.model_version AND c.until IS NULL
""",
    ),
    View(
        "v_image_categories",
        "The category of every picture that has one, and of selfies the kind (NULL where selfies have no kinds yet).",
        """
SELECT c.image_id, n.category, s.category AS sub_category, c.cluster_id, c.distance, c.silhouette, c.fit_id,
  s.fit_id AS sub_fit_id
FROM {schema}.image_clusters c
JOIN {schema}.cluster_centroids n
  ON n.purpose = c.purpose AND n.fit_id = c.fit_id AND n.cluster_id = c.cluster_id
LEFT JOIN (
  SELECT sc.image_id, sn.category, sc.fit_id
  FROM {schema}.image_clusters sc
  JOIN {schema}.cluster_centroids sn
    ON sn.purpose = sc.purpose AND sn.fit_id = sc.fit_id AND sn.cluster_id = sc.cluster_id
  WHERE sc.purpose = 'selfie'
) s ON s.image_id = c.image_id AND n.category = 'Selfie'
WHERE c.purpose = 'categories'
""",
    ),
    View(
        "v_post_360",
        "Everything about a post in one row: its pictures with their categories, its user's name, its counts. "
        "`images` is sorted by position (category and sub_category are NULL where a picture has none), `categories` "
        "by name; both are empty without.",
        """
SELECT p.post_id, p.source, p.relation, p.user_id, u.user_name, p.owner_id, o.user_name AS owner_name, p.posted_at,
  p.caption, p.hashtags, p.tags, p.board, p.likes, p.comments, p.n_images, p.url,
  coalesce(i.images, CAST(array() AS
    array<struct<position: int, image_id: string, category: string, sub_category: string>>)) AS images,
  coalesce(i.categories, CAST(array() AS array<string>)) AS categories,
  p.crawled_at, p.last_seen_at, p.source_ref
FROM {schema}.posts p
LEFT JOIN {schema}.users u ON u.user_id = p.user_id
LEFT JOIN {schema}.users o ON o.user_id = p.owner_id
LEFT JOIN (
  SELECT pi.post_id,
    array_sort(collect_list(struct(pi.position, pi.image_id, c.category, c.sub_category))) AS images,
    array_sort(collect_set(c.category)) AS categories
  FROM {schema}.post_images pi
  LEFT JOIN {schema}.v_image_categories c ON c.image_id = pi.image_id
  GROUP BY pi.post_id
) i ON i.post_id = p.post_id
""",
    ),
    View(
        "v_user_360",
        "A user's profile for reading: every scalar of user_profiles, and what it holds as arrays as text: the five "
        "most frequent categories with their shares, the interests in order, the attributes, why values are NULL.",
        _user_360(),
    ),
)

VIEWS: Mapping[str, View] = {view.name: view for view in _VIEWS}


def page() -> str:
    """docs/tables.md."""
    lines = [
        "# Tables",
        "",
        "Generated from `profilelake/tables.py` by `make docs-tables`; a test compares it.",
        "",
        f"Format {FORMAT[0]}.{FORMAT[1]} (table property `{FORMAT_PROPERTY}`). Write kinds: `append` rows never",
        "change; `upsert` rows change when a compared column differs; `replace` rows go when a recomputation lacks",
        "them.",
        "",
    ]
    for table in TABLES.values():
        lines += [f"## {table.name}", "", table.comment, ""]
        lines += [f"Key: {', '.join(f'`{name}`' for name in table.key)}. Kind: `{table.kind}`.", ""]
        if table.cluster_by:
            lines += [f"Clustered by {', '.join(f'`{name}`' for name in table.cluster_by)}.", ""]
        lines += ["| column | type | null | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| {c.name} | `{c.type}` | {'yes' if c.nullable else 'no'} | {c.comment} |" for c in table.columns]
        if table.checks:
            lines += ["", "Checks: " + "; ".join(f"`{name}`: `{sql}`" for name, sql in table.checks.items()) + "."]
        lines += [""]
    for view in VIEWS.values():
        lines += [f"## {view.name} (view)", "", view.comment, "", "```sql", view.sql.strip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
