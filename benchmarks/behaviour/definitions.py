"""Paper 1's definitions in SQL, straight from the paper: DuckDB does them on the lake's own files as the yardstick.

Only what SQLite knows too, so that tests can run it without DuckDB. The tables that it reads have the names and
columns of the lake's; `attributes` (attribute, category) is what conf/attributes.yaml lists.
"""

from __future__ import annotations

from collections.abc import Mapping

INPUTS = ("posts", "post_images", "image_clusters", "cluster_centroids", "image_faces")
RESULTS: Mapping[str, tuple[str, ...]] = {
    "user_categories": ("user_id", "category"),
    "user_features": ("user_id",),
    "selfie_measures": ("user_id",),
    "user_attributes": ("user_id", "attribute"),
}

# One row a category in a post (definition 1), with what of it definitions 5 to 8 count.
_OCCURRENCES = """
WITH named AS (
  SELECT c.image_id, c.purpose, n.category
  FROM image_clusters c
  JOIN cluster_centroids n ON n.purpose = c.purpose AND n.fit_id = c.fit_id AND n.cluster_id = c.cluster_id
), categories AS (
  SELECT image_id, category FROM named WHERE purpose = 'categories'
), selfies AS (
  SELECT s.image_id, k.category AS kind, f.faces
  FROM categories s
  LEFT JOIN (SELECT image_id, category FROM named WHERE purpose = 'selfie') k ON k.image_id = s.image_id
  LEFT JOIN (SELECT image_id, faces FROM image_faces) f ON f.image_id = s.image_id
  WHERE s.category = 'Selfie'
)
SELECT p.user_id, i.post_id, c.category, count(*) AS images,
  max(CASE WHEN s.faces < 2 THEN 1 ELSE 0 END) AS one_face,
  max(CASE WHEN s.faces >= 2 THEN 1 ELSE 0 END) AS multi_face,
  max(CASE WHEN s.kind = 'Indoor Ordinary Selfie' THEN 1 ELSE 0 END) AS indoor_ordinary,
  max(CASE WHEN s.kind = 'Outdoor Selfie' THEN 1 ELSE 0 END) AS outdoor,
  max(CASE WHEN s.kind = 'Holding Something Selfie' THEN 1 ELSE 0 END) AS holding_something,
  max(CASE WHEN s.kind = 'Face Mask Selfie' THEN 1 ELSE 0 END) AS face_mask
FROM post_images i
JOIN posts p ON p.post_id = i.post_id
JOIN categories c ON c.image_id = i.image_id
LEFT JOIN selfies s ON s.image_id = i.image_id
WHERE p.relation = 'posted'
GROUP BY p.user_id, i.post_id, c.category
"""

# One row a post: its categories, one of them, and whether there is a selfie.
_POSTED = """
SELECT user_id, post_id, count(*) AS categories, min(category) AS category,
  max(CASE WHEN category = 'Selfie' THEN 1 ELSE 0 END) AS selfie
FROM occurrences
GROUP BY user_id, post_id
"""

_COUNTS = """
SELECT o.user_id, o.category, o.images, o.occurrences, coalesce(a.alone, 0) AS alone
FROM (
  SELECT user_id, category, sum(images) AS images, count(*) AS occurrences
  FROM occurrences
  GROUP BY user_id, category
) o
LEFT JOIN (
  SELECT user_id, category, count(*) AS alone
  FROM posted
  WHERE categories = 1
  GROUP BY user_id, category
) a ON a.user_id = o.user_id AND a.category = o.category
"""

_TOTALS = """
SELECT user_id, sum(occurrences) AS occurrences,
  sum(CASE WHEN category = 'Selfie' THEN 0 ELSE occurrences END) AS other_occurrences,
  sum(CASE WHEN category = 'Selfie' THEN 0 ELSE images END) AS other_images
FROM counts
GROUP BY user_id
"""

# Definitions 2, 3 and 4, and feature F.
_USER_CATEGORIES = """
SELECT c.user_id, c.category, c.images, c.occurrences,
  CAST(c.occurrences AS DOUBLE) / t.occurrences AS frequency,
  CAST(c.images AS DOUBLE) / c.occurrences AS inertia,
  CAST(c.alone AS DOUBLE) / c.occurrences AS singleness,
  CASE WHEN c.category = 'Selfie' THEN NULL
    ELSE CAST(c.occurrences AS DOUBLE) / NULLIF(t.other_occurrences, 0) END AS frequency_without_selfie
FROM counts c
JOIN totals t ON t.user_id = c.user_id
"""

# Features I and S.
_USER_FEATURES = """
SELECT t.user_id, p.posts, t.occurrences, t.other_occurrences,
  CAST(t.other_images AS DOUBLE) / NULLIF(t.other_occurrences, 0) AS other_inertia,
  CAST(p.single AS DOUBLE) / NULLIF(p.without_selfie, 0) AS other_singleness
FROM totals t
JOIN (
  SELECT user_id, count(*) AS posts, sum(1 - selfie) AS without_selfie,
    sum(CASE WHEN selfie = 0 AND categories = 1 THEN 1 ELSE 0 END) AS single
  FROM posted
  GROUP BY user_id
) p ON p.user_id = t.user_id
"""

# Definitions 2, 3 and 4 of Selfie, and 5 to 8.
_SELFIE_MEASURES = """
WITH kinds AS (
  SELECT user_id, sum(one_face) AS one_face, sum(multi_face) AS multi_face, sum(indoor_ordinary) AS indoor_ordinary,
    sum(outdoor) AS outdoor, sum(holding_something) AS holding_something, sum(face_mask) AS face_mask
  FROM occurrences
  WHERE category = 'Selfie'
  GROUP BY user_id
), selfies AS (
  SELECT user_id, images, occurrences, alone FROM counts WHERE category = 'Selfie'
)
SELECT t.user_id,
  CAST(coalesce(s.occurrences, 0) AS DOUBLE) / t.occurrences AS selfie_frequency,
  CAST(s.images AS DOUBLE) / s.occurrences AS selfie_inertia,
  CAST(s.alone AS DOUBLE) / s.occurrences AS selfie_singleness,
  CAST(k.multi_face AS DOUBLE) / NULLIF(k.one_face + k.multi_face, 0) AS group_tendency,
  CAST(k.outdoor AS DOUBLE) / NULLIF(k.outdoor + k.indoor_ordinary, 0) AS outdoor_tendency,
  CAST(k.holding_something AS DOUBLE)
    / NULLIF(k.holding_something + k.indoor_ordinary, 0) AS holding_something_tendency,
  CAST(k.face_mask AS DOUBLE) / NULLIF(k.face_mask + k.indoor_ordinary, 0) AS face_mask_tendency,
  coalesce(s.occurrences, 0) AS selfie_occurrences,
  coalesce(k.one_face, 0) AS one_face_occurrences, coalesce(k.multi_face, 0) AS multi_face_occurrences,
  coalesce(k.indoor_ordinary, 0) AS indoor_ordinary_occurrences, coalesce(k.outdoor, 0) AS outdoor_occurrences,
  coalesce(k.holding_something, 0) AS holding_something_occurrences,
  coalesce(k.face_mask, 0) AS face_mask_occurrences
FROM totals t
LEFT JOIN selfies s ON s.user_id = t.user_id
LEFT JOIN kinds k ON k.user_id = t.user_id
"""

# Section 5.2.3 and table 5.
_USER_ATTRIBUTES = """
SELECT t.user_id, n.attribute,
  CASE WHEN t.other_occurrences > 0 THEN coalesce(s.value, 0) END AS value,
  coalesce(s.occurrences, 0) AS occurrences
FROM totals t
CROSS JOIN (SELECT DISTINCT attribute FROM attributes) n
LEFT JOIN (
  SELECT u.user_id, a.attribute, sum(u.frequency_without_selfie) AS value, sum(u.occurrences) AS occurrences
  FROM user_categories u
  JOIN attributes a ON a.category = u.category
  GROUP BY u.user_id, a.attribute
) s ON s.user_id = t.user_id AND s.attribute = n.attribute
"""

# In the order in which one needs the other.
DEFINITIONS: Mapping[str, str] = {
    "occurrences": _OCCURRENCES,
    "posted": _POSTED,
    "counts": _COUNTS,
    "totals": _TOTALS,
    "user_categories": _USER_CATEGORIES,
    "user_features": _USER_FEATURES,
    "selfie_measures": _SELFIE_MEASURES,
    "user_attributes": _USER_ATTRIBUTES,
}


def statements() -> list[str]:
    """What makes a table of each definition."""
    return [f"CREATE TABLE {name} AS {sql.strip()}" for name, sql in DEFINITIONS.items()]
