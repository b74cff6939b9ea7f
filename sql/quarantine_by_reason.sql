-- What was refused, and why? With an example of each reason.
SELECT stage, reason, count(*) AS refused, count(DISTINCT user_id) AS users, max(attempts) AS attempts,
  min(first_seen_at) AS first_seen_at, min_by(record_id, record_id) AS example, min_by(detail, record_id) AS detail
FROM quarantine
GROUP BY stage, reason
ORDER BY refused DESC, stage, reason
