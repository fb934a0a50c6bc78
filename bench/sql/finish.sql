-- The commit of every peer after the call. It writes the same rows as this system: the answer, the execution with its
-- output, parameters and receipt (a constant, not signed), the end of the run, the job's status, and three events.
WITH finished AS (
  UPDATE region_runs SET finished_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
   WHERE job_id = :job_id AND region = 'US' AND lease_token = :token::uuid
  RETURNING job_id, region, attempt, started_at
), answered AS (
  UPDATE answers a SET status = 'ok', calls = 1, completed_at = clock_timestamp(), duration_ms = 0,
         output = jsonb_build_object('response', :answer::text, 'refused', false, 'refusal_source', NULL, 'finish_reason', 'stop',
                                     'usage', '{"prompt_tokens": 8, "completion_tokens": 21, "total_tokens": 29}'::jsonb, 'simulated', true)
    FROM finished f
   WHERE a.job_id = :job_id AND a.region = 'US' AND a.model_id = 'm1' AND a.question_id = 'q1' AND a.run_no = 1
     AND f.job_id = a.job_id
  RETURNING a.job_id, a.output
), recorded AS (
  INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at, duration_ms, output,
                          parameters, receipt)
  SELECT f.job_id, f.region, 'm1', 'completed', 'sandbox-us', f.attempt, f.started_at, clock_timestamp(), 0,
         jsonb_build_object('answers', jsonb_build_array(a.output || '{"question_id": "q1", "run_no": 1}'), 'refused', 0,
                            'simulated', true, 'response', :answer::text),
         '{"temperature": 0.1, "max_tokens": 500, "system_prompt": "You answer for US.", "upstream_model": "m1",
           "regions_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}',
         jsonb_build_object('job_id', f.job_id, 'region', 'US', 'model_id', 'm1', 'status', 'completed', 'provider_id', 'sandbox-us',
                            'attempt', f.attempt, 'started_at', f.started_at, 'completed_at', clock_timestamp(), 'duration_ms', 0,
                            'failed_answers', 0, 'output_sha256', repeat('0', 64), 'kid', repeat('0', 16),
                            'public_key', repeat('0', 44), 'signature', repeat('0', 88))
    FROM finished f JOIN answered a ON a.job_id = f.job_id
  ON CONFLICT (job_id, region, model_id) DO NOTHING
  RETURNING job_id
), closed AS (
  UPDATE jobs j SET status = 'completed', version = j.version + 3, updated_at = clock_timestamp(), completed_at = clock_timestamp()
    FROM recorded r
   WHERE j.id = r.job_id
  RETURNING j.id, j.version
)
INSERT INTO job_events (job_id, seq, type, region, model_id, detail)
SELECT c.id, c.version + e.later, e.type, e.region, e.model_id, e.detail
  FROM closed c,
       (VALUES (-2, 'execution_recorded', 'US', 'm1', '{"status": "completed"}'::jsonb),
               (-1, 'region_finished', 'US', NULL, '{"units": 1, "attempt": 1, "completed": 1}'),
               (0, 'job_completed', NULL, NULL, '{"regions": 1, "succeeded": 1}')) AS e (later, type, region, model_id, detail)
