-- Which users post what this user posts? (:user_id) Cosine of the category frequencies, selfies included.
WITH lengths AS (
  SELECT user_id, sqrt(sum(frequency * frequency)) AS length
  FROM user_categories
  GROUP BY user_id
),
products AS (
  SELECT other.user_id, sum(mine.frequency * other.frequency) AS product, count(*) AS shared_categories
  FROM user_categories mine
  JOIN user_categories other ON other.category = mine.category AND other.user_id <> mine.user_id
  WHERE mine.user_id = :user_id
  GROUP BY other.user_id
)
SELECT p.user_id, u.user_name, round(p.product / (l.length * m.length), 4) AS similarity, p.shared_categories,
  u.behaviour_occurrences AS occurrences, u.behaviour_mix AS mix
FROM products p
JOIN lengths l ON l.user_id = p.user_id
JOIN lengths m ON m.user_id = :user_id
JOIN v_user_360 u ON u.user_id = p.user_id
ORDER BY p.product / (l.length * m.length) DESC, p.user_id
LIMIT 20
