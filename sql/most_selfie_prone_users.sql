-- Who posts selfies most often? Only users with 50 occurrences or more, as in paper 1 (5.2): fewer say little.
SELECT user_id, user_name, round(behaviour_selfie_frequency, 4) AS selfie_frequency,
  behaviour_selfie_occurrences AS selfie_occurrences, behaviour_occurrences AS occurrences,
  round(behaviour_selfie_inertia, 2) AS selfies_a_post, round(behaviour_selfie_singleness, 4) AS posts_of_only_selfies
FROM v_user_360
WHERE behaviour_occurrences >= 50
ORDER BY behaviour_selfie_frequency DESC, behaviour_occurrences DESC, user_id
LIMIT 20
