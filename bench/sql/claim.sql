-- The commit of every peer before the call. It writes the same rows as this system's claim: a new lease for the job's
-- only region, the job's status, its event, the question as asked, and the try. It is one statement, so one round trip
-- and one commit, the fewest that a worker without batches can have.
WITH claimed AS (
  INSERT INTO region_runs AS r (job_id, region, attempt, max_attempts, lease_token, lease_expires_at, worker, started_at, deadline)
  VALUES (:job_id, 'US', 1, 3, gen_random_uuid(), clock_timestamp() + make_interval(secs => 15), 'peer',
          clock_timestamp(), clock_timestamp() + make_interval(secs => 600))
  ON CONFLICT (job_id, region) DO UPDATE
     SET attempt = r.attempt + 1, lease_token = EXCLUDED.lease_token, lease_expires_at = EXCLUDED.lease_expires_at,
         started_at = EXCLUDED.started_at, deadline = EXCLUDED.deadline
   WHERE r.finished_at IS NULL AND r.attempt < r.max_attempts
     AND (r.lease_token IS NULL OR r.lease_expires_at < clock_timestamp())
  RETURNING r.job_id, r.attempt, r.lease_token
), running AS (
  UPDATE jobs j
     SET status = 'running', version = j.version + 1, updated_at = clock_timestamp(), started_at = clock_timestamp()
    FROM claimed c
   WHERE j.id = c.job_id AND j.status = 'queued'
  RETURNING j.id, j.version
), noted AS (
  INSERT INTO job_events (job_id, seq, type, region, detail)
  SELECT id, version, 'region_claimed', 'US', jsonb_build_object('attempt', 1, 'worker', 'peer') FROM running
), asked AS (
  INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, started_at)
  SELECT job_id, 'US', 'm1', 'q1', 1, 'started', 'sandbox-us', attempt, clock_timestamp() FROM claimed
  RETURNING id, job_id, attempt
), tried AS (
  INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
  SELECT job_id, 'US', 'm1', 'q1', 1, attempt, 1, id, 'sandbox-us' FROM asked
)
SELECT lease_token::text AS token FROM claimed
