-- A list shows each job's name and submitter, and finds jobs by them. Both are known when the job is accepted, and stay.
-- Old rows, and rows of a release that does not know the columns, have null until the publisher fills them (fill_jobs).
-- Nothing is rewritten. Behind a transaction that keeps its locks everybody else would wait with the migration, so it
-- gives up instead and can be repeated.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 574b6767396de3c67082ac831385484834ce58a0d3a2f6062095647140cd70d0
SET LOCAL lock_timeout = '3s';

-- name: the benchmark's name; submitter: who submitted, as the first event says. Both are cut at 200 characters, because
-- an entry of an index has 2,704 bytes at most. An empty text: the job has none.
ALTER TABLE jobs ADD COLUMN name text, ADD COLUMN submitter text;

-- listed_jobs, with the columns that lists show and find by. `state` is the status, or `partial` for a job that ended
-- well although units failed or too few regions succeeded. The expression is that of the index jobs_by_state_idx.
CREATE OR REPLACE VIEW listed_jobs AS
SELECT j.id, j.status, j.created_at, j.updated_at, j.plan, COALESCE(j.started_at, j.created_at) AS started_at, j.completed_at,
       (extract(epoch FROM j.completed_at - COALESCE(j.started_at, j.created_at)) * 1000)::bigint AS duration_ms,
       CASE WHEN j.completed_at IS NULL THEN 'running'
            WHEN j.outcome IS NOT NULL THEN j.outcome
            ELSE (SELECT v.outcome FROM job_verdicts v WHERE v.job_id = j.id) END AS cross_status,
       CASE WHEN j.completed_at IS NOT NULL AND j.outcome IS NOT NULL
            THEN jsonb_build_object('total', j.completed_units + j.failed_units + j.cancelled_units, 'running', 0,
                                    'completed', j.completed_units, 'failed', j.failed_units, 'cancelled', j.cancelled_units)
            ELSE (SELECT jsonb_build_object(
                           'total', count(*),
                           'running', count(*) FILTER (WHERE e.id IS NULL AND r.lease_token IS NOT NULL),
                           'completed', count(*) FILTER (WHERE e.status = 'completed'),
                           'failed', count(*) FILTER (WHERE e.status = 'failed'),
                           'cancelled', count(*) FILTER (WHERE e.status = 'cancelled'))
                    FROM jsonb_each(j.plan) AS p (region, models)
                   CROSS JOIN LATERAL jsonb_array_elements_text(p.models) AS m (model_id)
                    LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
                    LEFT JOIN executions e ON e.job_id = j.id AND e.region = p.region AND e.model_id = m.model_id)
       END AS units,
       j.name, j.submitter, j.failed_units,
       CASE WHEN j.status = 'completed' AND (j.outcome = 'partial' OR j.failed_units > 0) THEN 'partial' ELSE j.status END AS state,
       j.questions, j.runs
  FROM jobs j;

-- fill_jobs fills the name and the submitter of up to `batch` jobs that have none, and what an ended job keeps, of jobs
-- that ended before they kept it. Returns the number of jobs; 0 when none is left. Rows that others have locked are
-- skipped. No version changes: clients see the same job. Runs with the owner's rights, because no process may write
-- these columns of a job that exists.
CREATE FUNCTION fill_jobs(batch integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH due AS MATERIALIZED (
    SELECT j.id FROM jobs j
     WHERE j.name IS NULL OR (j.outcome IS NULL AND j.completed_at IS NOT NULL)
     ORDER BY j.id LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
  ), known AS MATERIALIZED (
    SELECT d.id, e.actor, v.outcome, v.completed_units, v.failed_units, v.cancelled_units
      FROM due d
     CROSS JOIN LATERAL (SELECT * FROM job_verdicts x WHERE x.job_id = d.id OFFSET 0) v
      LEFT JOIN LATERAL (SELECT x.actor FROM job_events x WHERE x.job_id = d.id AND x.type = 'submitted'
                          ORDER BY x.seq LIMIT 1) e ON true
  ), filled AS (
    UPDATE jobs j
       SET name = COALESCE(j.name, left(j.spec -> 'benchmark' ->> 'name', 200), ''),
           submitter = COALESCE(j.submitter, left(k.actor, 200), ''),
           outcome = CASE WHEN j.completed_at IS NOT NULL THEN COALESCE(j.outcome, k.outcome, j.status) END,
           completed_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.completed_units
                                                                            ELSE j.completed_units END END,
           failed_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.failed_units
                                                                         ELSE j.failed_units END END,
           cancelled_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.cancelled_units
                                                                            ELSE j.cancelled_units END END
      FROM known k WHERE j.id = k.id
    RETURNING j.id
  )
  SELECT count(*) FROM filled;
$$;

-- reopen_units: as before, and `only_units` names single units: an array of {"region", "model_id"}; null means any. All are
-- reopened by one call, because a region that was reopened has not ended any more. The form without it stays for
-- processes of the release before.
CREATE FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer, only_units jsonb)
RETURNS TABLE (unit_region text, unit_model text, earlier jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH chosen AS (
    SELECT e.id, e.region, e.model_id
      FROM executions e JOIN region_runs r ON r.job_id = e.job_id AND r.region = e.region
     WHERE e.job_id = job AND e.status = 'failed' AND r.finished_at IS NOT NULL
       AND (only_region IS NULL OR e.region = only_region)
       AND (only_model IS NULL OR e.model_id = only_model)
       AND (only_units IS NULL OR only_units @> jsonb_build_array(jsonb_build_object('region', e.region, 'model_id', e.model_id)))
       AND (only_question IS NULL OR NOT EXISTS (
             SELECT 1 FROM answers a WHERE a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id
                AND a.question_id = only_question AND a.status = 'ok'))
  ), forgotten AS (
    DELETE FROM answers a USING chosen c
     WHERE a.job_id = job AND a.region = c.region AND a.model_id = c.model_id AND a.status = 'failed'
       AND (only_question IS NULL OR a.question_id = only_question)
    RETURNING a.region, a.model_id, a.question_id, a.run_no, a.error, a.errors, a.sent, a.paid
  ), reopened AS (
    UPDATE region_runs r SET finished_at = NULL, last_error = NULL, max_attempts = r.attempt + more_attempts
     WHERE r.job_id = job AND r.region IN (SELECT c.region FROM chosen c)
  ), deleted AS (
    DELETE FROM executions e USING chosen c WHERE e.id = c.id
    RETURNING e.id, e.region, e.model_id, e.status, e.attempt, e.error, e.completed_at
  )
  SELECT d.region, d.model_id,
         jsonb_build_object('execution_id', d.id, 'status', d.status, 'attempt', d.attempt, 'error', d.error,
                            'completed_at', d.completed_at,
                            'answers', COALESCE((SELECT jsonb_agg(jsonb_build_object(
                                'question_id', f.question_id, 'run_no', f.run_no, 'error', f.error, 'errors', f.errors,
                                'sent', f.sent, 'paid', f.paid) ORDER BY f.question_id, f.run_no)
                              FROM forgotten f WHERE f.region = d.region AND f.model_id = d.model_id), '[]'))
    FROM deleted d;
END $$;
CREATE OR REPLACE FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer)
RETURNS TABLE (unit_region text, unit_model text, earlier jsonb)
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$ SELECT * FROM reopen_units(job, only_region, only_model, only_question, more_attempts, NULL) $$;
