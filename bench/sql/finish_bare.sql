-- The fewest rows that a result must write: the result, the end of the run and the job's status, in one transaction.
WITH finished AS (
  UPDATE region_runs SET finished_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
   WHERE job_id = :job_id AND region = 'US' AND lease_token = :token::uuid
  RETURNING job_id, region, attempt, started_at
), recorded AS (
  INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at, duration_ms, output)
  SELECT job_id, region, 'm1', 'completed', 'sandbox-us', attempt, started_at, clock_timestamp(), 0,
         jsonb_build_object('response', :answer::text)
    FROM finished
  ON CONFLICT (job_id, region, model_id) DO NOTHING
  RETURNING job_id
)
UPDATE jobs j SET status = 'completed', version = j.version + 1, updated_at = clock_timestamp(), completed_at = clock_timestamp()
  FROM recorded r
 WHERE j.id = r.job_id
