-- What do we know of one user? (:user_id, such as jsonl:42)
SELECT *
FROM v_user_360
WHERE user_id = :user_id
