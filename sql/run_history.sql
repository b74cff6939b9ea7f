-- What did the last runs do? One row a stage, the newest run first.
SELECT run_id, job, stage, status, started_at, round(seconds, 1) AS seconds, rows_in, rows_out, rows_quarantined,
  rows_superseded, round(images_per_second, 1) AS images_per_second, exit_code, coalesce(error, reason) AS why
FROM runs
ORDER BY run_id DESC, stage <> 'run', started_at, stage
LIMIT 100
