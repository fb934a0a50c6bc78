-- name: executions.kept
-- The tokens whose executions are stored with the same completed_at: an earlier try of this transaction was committed,
-- and the reply to its COMMIT was lost.
SELECT DISTINCT w.token
  FROM unnest(%(job_id)s::text[], %(region)s::text[], %(model_id)s::text[], %(token)s::uuid[], %(completed_at)s::timestamptz[])
       AS w (job_id, region, model_id, token, completed_at)
  JOIN executions e ON e.job_id = w.job_id AND e.region = w.region AND e.model_id = w.model_id AND e.completed_at = w.completed_at;

-- name: executions.record -- writes
-- C2: insert the execution of each unit. The join on the token keeps a worker with a lost lease from writing (the
-- fence). A unit that has an execution already is left as it is. A unit is not recorded if the region's previous worker
-- has stored a usable answer that the execution lacks: its run is released. region_runs.hold has locked the runs
-- before. jobs.close adds the events to the job's version later in the same transaction.
WITH given AS MATERIALIZED (
  SELECT w.*, (SELECT x.attempt FROM region_runs x WHERE x.job_id = w.job_id AND x.region = w.region AND x.lease_token = w.token
                  AND x.finished_at IS NULL) AS attempt
    FROM unnest(%(job_id)s::text[], %(region)s::text[], %(model_id)s::text[], %(token)s::uuid[], %(status)s::text[],
                %(provider_id)s::text[], %(started_at)s::timestamptz[], %(completed_at)s::timestamptz[], %(duration_ms)s::bigint[],
                %(failed_answers)s::integer[], %(retry_count)s::integer[], %(error_detail)s::jsonb[], %(output)s::jsonb[],
                %(parameters)s::jsonb[], %(receipt)s::jsonb[], %(served)s::jsonb[], %(answered_ms)s::bigint[])
         AS w (job_id, region, model_id, token, status, provider_id, started_at, completed_at, duration_ms, failed_answers,
               retry_count, error, output, parameters, receipt, served, answered_ms)
), recorded AS (
  INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at, duration_ms,
                          failed_answers, retry_count, error, output, parameters, receipt, served, answered_ms)
  SELECT w.job_id, w.region, w.model_id, w.status, w.provider_id, w.attempt, w.started_at, w.completed_at, w.duration_ms,
         w.failed_answers, w.retry_count, w.error, w.output, w.parameters, w.receipt, w.served, w.answered_ms
    FROM given w JOIN jobs j ON j.id = w.job_id AND j.plan -> w.region ? w.model_id
   WHERE w.attempt IS NOT NULL
     AND (w.failed_answers = 0
          OR NOT EXISTS (SELECT FROM answers a
                          WHERE a.job_id = w.job_id AND a.region = w.region AND a.model_id = w.model_id AND a.status = 'ok'
                            AND NOT EXISTS (SELECT FROM jsonb_array_elements(w.output -> 'answers') AS x (item)
                                             WHERE x.item ->> 'question_id' = a.question_id
                                               AND (x.item ->> 'run_no')::integer = a.run_no)))
   ORDER BY w.job_id, w.region, w.model_id
  ON CONFLICT (job_id, region, model_id) DO NOTHING
  RETURNING job_id, region, model_id, status
), numbered AS (
  SELECT r.*, j.version + row_number() OVER (PARTITION BY r.job_id ORDER BY r.region, r.model_id) AS seq
    FROM recorded r JOIN jobs j ON j.id = r.job_id
)
INSERT INTO job_events (job_id, seq, type, region, model_id, detail)
SELECT n.job_id, n.seq, 'execution_recorded', n.region, n.model_id, jsonb_build_object('status', n.status)
  FROM numbered n
RETURNING job_id, region, model_id;
