-- Which users are selfie addicts, why do we think so, and on how much evidence? By the live model of R1 (paper 1).
-- It tells from what they post beside selfies; posts_more_of: where their share is farthest above all users' mean.
WITH usual AS (
  SELECT category,
    sum(frequency_without_selfie) / (SELECT count(*) FROM user_features WHERE other_occurrences > 0) AS mean
  FROM user_categories
  WHERE frequency_without_selfie IS NOT NULL
  GROUP BY category
),
telling AS (
  SELECT c.user_id,
    array_sort(collect_list(struct(
      u.mean - c.frequency_without_selfie AS below, c.category, c.frequency_without_selfie AS share, u.mean))) AS listed
  FROM user_categories c
  JOIN usual u ON u.category = c.category
  WHERE c.frequency_without_selfie > u.mean
  GROUP BY c.user_id
)
SELECT s.user_id, p.user_name, round(s.probability, 4) AS probability, s.model_version,
  round(m.selfie_frequency, 4) AS selfie_frequency, m.selfie_occurrences, s.evidence AS other_occurrences,
  array_join(transform(slice(t.listed, 1, 3), e -> concat(e.category, ' ', CAST(round(100 * e.share) AS int),
    ' % (all ', CAST(round(100 * e.mean) AS int), ' %)')), ', ') AS posts_more_of,
  p.behaviour_type AS type, p.behaviour_attributes AS attributes
FROM behaviour_scores_current s
JOIN selfie_measures m ON m.user_id = s.user_id
JOIN v_user_360 p ON p.user_id = s.user_id
LEFT JOIN telling t ON t.user_id = s.user_id
WHERE s.task = 'R1' AND s.probability > 0.5
ORDER BY s.probability DESC, s.user_id
LIMIT 50
