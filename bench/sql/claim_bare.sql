-- The fewest rows that a claim must write: a new lease for the job's only region, and the job's status. There is no event
-- and no record of a call whose answer is lost.
WITH claimed AS (
  INSERT INTO region_runs AS r (job_id, region, attempt, max_attempts, lease_token, lease_expires_at, worker, started_at, deadline)
  VALUES (:job_id, 'US', 1, 3, gen_random_uuid(), clock_timestamp() + make_interval(secs => 15), 'peer',
          clock_timestamp(), clock_timestamp() + make_interval(secs => 600))
  ON CONFLICT (job_id, region) DO UPDATE
     SET attempt = r.attempt + 1, lease_token = EXCLUDED.lease_token, lease_expires_at = EXCLUDED.lease_expires_at,
         started_at = EXCLUDED.started_at, deadline = EXCLUDED.deadline
   WHERE r.finished_at IS NULL AND r.attempt < r.max_attempts
     AND (r.lease_token IS NULL OR r.lease_expires_at < clock_timestamp())
  RETURNING r.job_id, r.lease_token
)
UPDATE jobs j SET status = 'running', version = j.version + 1, updated_at = clock_timestamp(), started_at = clock_timestamp()
  FROM claimed c
 WHERE j.id = c.job_id AND j.status = 'queued'
RETURNING c.lease_token::text AS token
