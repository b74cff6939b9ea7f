-- Which posts did best for their user? The three with most likes, against the user's own median; 8 known posts needed.
WITH of_user AS (
  SELECT post_id, user_id, user_name, posted_at, likes, categories, caption,
    row_number() OVER (PARTITION BY user_id ORDER BY likes DESC, posted_at, post_id) AS place,
    count(*) OVER (PARTITION BY user_id) AS known_posts
  FROM v_post_360
  WHERE relation = 'posted' AND likes IS NOT NULL
)
SELECT o.user_id, o.user_name, o.place, o.post_id, o.likes, p.median_likes,
  round(try_divide(o.likes, p.median_likes), 2) AS times_median, array_join(o.categories, ', ') AS categories,
  o.posted_at, o.caption
FROM of_user o
JOIN user_profiles p ON p.user_id = o.user_id
WHERE o.place <= 3 AND o.known_posts >= 8
ORDER BY o.user_id, o.place
