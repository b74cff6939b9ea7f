-- What did people post most, month by month? Occurrences of a category: posts with it.
WITH counted AS (
  SELECT date_format(posted_at, 'yyyy-MM') AS month, category, count(*) AS occurrences,
    count(DISTINCT user_id) AS users
  FROM v_post_360 LATERAL VIEW explode(categories) c AS category
  WHERE relation = 'posted'
  GROUP BY date_format(posted_at, 'yyyy-MM'), category
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY month ORDER BY occurrences DESC, category) AS place,
    round(occurrences / sum(occurrences) OVER (PARTITION BY month), 4) AS share
  FROM counted
)
SELECT month, place, category, occurrences, share, users
FROM ranked
WHERE place <= 5
ORDER BY month, place
