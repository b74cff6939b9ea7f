-- How much of one kind is each category? The share of its pictures that have the category's most frequent best label.
WITH labels AS (
  SELECT c.category, l.network, l.label, count(*) AS pictures
  FROM v_image_categories c
  JOIN image_labels l ON l.image_id = c.image_id AND l.rank = 1
  GROUP BY c.category, l.network, l.label
),
sizes AS (
  SELECT category, count(*) AS pictures, count(DISTINCT cluster_id) AS clusters, avg(silhouette) AS silhouette
  FROM v_image_categories
  GROUP BY category
)
SELECT s.category, l.network, s.pictures, s.clusters, round(s.silhouette, 4) AS silhouette,
  max_by(l.label, struct(l.pictures, l.label)) AS label, round(max(l.pictures) / sum(l.pictures), 4) AS label_share,
  count(*) AS labels
FROM sizes s
JOIN labels l ON l.category = s.category
GROUP BY s.category, l.network, s.pictures, s.clusters, s.silhouette
ORDER BY label_share DESC, s.category, l.network
