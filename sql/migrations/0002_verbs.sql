-- The shared tail of every verb that ends something: record, sweep and cancel all finish through these three, so that
-- a status is computed in one place. They run with their owner's rights, because the API and the publisher may not
-- write results themselves; each expects its caller to hold the jobs' row locks.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 272cfaf2ac050b34441f1d5d09eba5b6b579960a7c45d9f55189abb6a81592d4

-- end_units: give every planned unit of these regions that has no execution a row. A unit with a usable answer has
-- completed whatever ended its region, unless it was cancelled.
CREATE FUNCTION end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[])
RETURNS TABLE (ended_job text, ended_region text, ended_model text, ended_status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO region_runs AS r (job_id, region, attempt, max_attempts, last_error)
  SELECT w.job_id, w.region, 0, 0, w.reason ->> 'message'
    FROM unnest(job_ids, region_names, reasons) AS w (job_id, region, reason)
    JOIN jobs j ON j.id = w.job_id AND j.plan ? w.region
   ORDER BY 1, 2
  ON CONFLICT (job_id, region) DO UPDATE SET last_error = EXCLUDED.last_error WHERE r.finished_at IS NULL;

  RETURN QUERY
  WITH missing AS (
    SELECT w.job_id, w.region, m.model_id, w.reason, r.attempt, r.started_at,
           count(*) FILTER (WHERE a.status = 'ok') AS usable,
           count(*) FILTER (WHERE a.status = 'failed') AS failed,
           string_agg(DISTINCT a.provider_id, ',') AS provider_id,
           jsonb_array_length(j.questions) * j.runs AS planned_calls
      FROM unnest(job_ids, region_names, reasons) AS w (job_id, region, reason)
      JOIN jobs j ON j.id = w.job_id
      JOIN region_runs r ON r.job_id = w.job_id AND r.region = w.region AND r.finished_at IS NULL
     CROSS JOIN LATERAL jsonb_array_elements_text(j.plan -> w.region) AS m (model_id)
      LEFT JOIN answers a ON a.job_id = w.job_id AND a.region = w.region AND a.model_id = m.model_id
     WHERE NOT EXISTS (SELECT 1 FROM executions e
                        WHERE e.job_id = w.job_id AND e.region = w.region AND e.model_id = m.model_id)
     GROUP BY w.job_id, w.region, m.model_id, w.reason, r.attempt, r.started_at, j.questions, j.runs
  ), written AS (
    INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at,
                            duration_ms, failed_answers, retry_count, error)
    SELECT job_id, region, model_id,
           CASE WHEN final_status = 'failed' AND usable > 0 THEN 'completed' ELSE final_status END,
           provider_id, attempt, started_at, clock_timestamp(),
           (extract(epoch FROM clock_timestamp() - started_at) * 1000)::integer,
           planned_calls - usable, greatest(attempt - 1, 0),
           reason || jsonb_build_object('region', region, 'model', model_id)
      FROM missing
    ON CONFLICT (job_id, region, model_id) DO NOTHING
    RETURNING executions.job_id, executions.region, executions.model_id, executions.status, executions.error
  ), bumped AS (
    UPDATE jobs j SET version = j.version + c.n, updated_at = clock_timestamp()
      FROM (SELECT job_id, count(*) AS n FROM written GROUP BY job_id) c
     WHERE j.id = c.job_id
    RETURNING j.id, j.version - c.n AS base
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, region, model_id, detail)
    SELECT w.job_id, b.base + row_number() OVER (PARTITION BY w.job_id ORDER BY w.region, w.model_id),
           'execution_recorded', w.region, w.model_id,
           jsonb_build_object('status', w.status, 'code', w.error ->> 'code')
      FROM written w JOIN bumped b ON b.id = w.job_id
  )
  SELECT job_id, region, model_id, status FROM written;
END $$;

-- close_regions: a region has finished when every planned unit has an execution. The job's version follows in
-- close_jobs, which every caller calls next.
CREATE FUNCTION close_regions(job_ids text[])
RETURNS TABLE (closed_job text, closed_region text, closed_attempt integer, closed_started timestamptz,
               closed_units bigint, closed_completed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH closed AS (
    UPDATE region_runs r SET finished_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
      FROM jobs j
     WHERE r.job_id = ANY (job_ids) AND j.id = r.job_id AND r.finished_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text(j.plan -> r.region) AS m (model_id)
                        WHERE NOT EXISTS (SELECT 1 FROM executions e WHERE e.job_id = r.job_id
                                             AND e.region = r.region AND e.model_id = m.model_id))
    RETURNING r.job_id, r.region, r.attempt, r.started_at
  ), counted AS (
    SELECT c.job_id, c.region, c.attempt, c.started_at, count(*) AS units,
           count(*) FILTER (WHERE e.status = 'completed') AS completed
      FROM closed c JOIN executions e ON e.job_id = c.job_id AND e.region = c.region
     GROUP BY c.job_id, c.region, c.attempt, c.started_at
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, region, detail)
    SELECT c.job_id, (SELECT max(v.seq) FROM job_events v WHERE v.job_id = c.job_id)
                     + row_number() OVER (PARTITION BY c.job_id ORDER BY c.region),
           'region_finished', c.region,
           jsonb_build_object('attempt', c.attempt, 'completed', c.completed, 'units', c.units)
      FROM counted c
  )
  SELECT job_id, region, attempt, started_at, units, completed FROM counted;
END $$;

-- close_jobs: write the status that job_verdicts says, and the version that the events have reached: the verbs before
-- it in the same transaction only add events, so that a job's row is rewritten once. A statement of its own, after the
-- locks: recounting in the statement that takes the lock reads a snapshot older than the lock, and two last regions
-- would both see one missing.
CREATE FUNCTION close_jobs(job_ids text[])
RETURNS TABLE (closed_job text, closed_status text, closed_succeeded bigint, closed_planned bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH due AS (
    SELECT v.job_id, v.status, v.succeeded, v.planned, v.status <> j.status AS ends, e.reached
      FROM jobs j JOIN job_verdicts v ON v.job_id = j.id
     CROSS JOIN LATERAL (SELECT max(x.seq) AS reached FROM job_events x WHERE x.job_id = j.id) e
     WHERE j.id = ANY (job_ids) AND j.status IN ('queued', 'running')
       AND (v.status <> j.status OR e.reached > j.version)
  ), closed AS (
    UPDATE jobs j SET status = d.status, version = d.reached + d.ends::integer, updated_at = clock_timestamp(),
           started_at = COALESCE(j.started_at, CASE WHEN d.status = 'running' THEN clock_timestamp() END),
           completed_at = CASE WHEN d.status IN ('completed', 'failed', 'cancelled') THEN clock_timestamp() END
      FROM due d WHERE j.id = d.job_id
    RETURNING j.id, j.version, d.status, d.succeeded, d.planned, d.ends
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, detail)
    SELECT id, version, 'job_' || status, jsonb_build_object('succeeded', succeeded, 'regions', planned)
      FROM closed WHERE ends
  )
  SELECT id, status, succeeded, planned FROM closed WHERE ends;
END $$;

-- cancel_units: what cancelling does to results. Returns how many units got a cancelled row.
CREATE FUNCTION cancel_units(job text, reason jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE ended integer;
BEGIN
  SELECT count(e.ended_model) INTO ended
    FROM (SELECT array_agg(o.job_id) AS ids, array_agg(o.region) AS regions, array_agg(reason) AS reasons
            FROM region_outcomes o WHERE o.job_id = job AND o.finished_at IS NULL) u
   CROSS JOIN LATERAL end_units(u.ids, u.regions, 'cancelled', u.reasons) e;
  PERFORM close_regions(ARRAY[job]);
  RETURN ended;
END $$;

-- reopen_units: what an audited retry does to results. Only failed units of finished regions; their earlier result is
-- returned, for the event that keeps it. With a question only that question's failed answer goes.
CREATE FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer)
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
       AND (only_question IS NULL OR NOT EXISTS (
             SELECT 1 FROM answers a WHERE a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id
                AND a.question_id = only_question AND a.status = 'ok'))
  ), forgotten AS (
    DELETE FROM answers a USING chosen c
     WHERE a.job_id = job AND a.region = c.region AND a.model_id = c.model_id AND a.status = 'failed'
       AND (only_question IS NULL OR a.question_id = only_question)
  ), reopened AS (
    UPDATE region_runs r SET finished_at = NULL, last_error = NULL, max_attempts = r.attempt + more_attempts
     WHERE r.job_id = job AND r.region IN (SELECT c.region FROM chosen c)
  )
  DELETE FROM executions e USING chosen c WHERE e.id = c.id
  RETURNING c.region, c.model_id,
            jsonb_build_object('execution_id', e.id, 'status', e.status, 'attempt', e.attempt, 'error', e.error,
                               'completed_at', e.completed_at);
END $$;
