-- Do a user's pictures and tags name the same domains? The five of each, what they have in common, and F1 as in paper 2
-- (section 3): twice the common ones over all. Users with too few of either are left out.
SELECT user_id, user_name, interests_relation AS relation, interests_network AS network,
  array_join(transform(interests_from_pictures, d -> d.domain), ', ') AS from_pictures,
  array_join(transform(interests_from_tags, d -> d.domain), ', ') AS from_tags,
  array_join(array_intersect(transform(interests_from_pictures, d -> d.domain),
    transform(interests_from_tags, d -> d.domain)), ', ') AS in_common,
  interests_overlap AS matches,
  round(2 * interests_overlap / (size(interests_from_pictures) + size(interests_from_tags)), 4) AS f1,
  interests_images AS pictures, interests_tags AS tags
FROM user_profiles
WHERE interests_overlap IS NOT NULL
ORDER BY f1 DESC, pictures DESC, user_id
LIMIT 50
