-- How pure are the clusters where the user is the truth (a folder of one kind each)? `purity` is that of all clusters.
WITH pictures AS (
  SELECT DISTINCT pi.image_id, p.user_id
  FROM post_images pi
  JOIN posts p ON p.post_id = pi.post_id
  WHERE p.relation = 'posted'
),
counted AS (
  SELECT c.cluster_id, c.category, i.user_id, count(*) AS pictures
  FROM v_image_categories c
  JOIN pictures i ON i.image_id = c.image_id
  GROUP BY c.cluster_id, c.category, i.user_id
),
clusters AS (
  SELECT cluster_id, category, sum(pictures) AS pictures, max(pictures) AS of_largest,
    max_by(user_id, struct(pictures, user_id)) AS largest, count(*) AS users
  FROM counted
  GROUP BY cluster_id, category
)
SELECT cluster_id, category, pictures, users, largest, round(of_largest / pictures, 4) AS share,
  round(sum(of_largest) OVER () / sum(pictures) OVER (), 4) AS purity
FROM clusters
ORDER BY cluster_id
