-- Functions and a view that keep to what Citus can do with a schema on one node (tests/unit/test_distributed_sql.py):
-- the time of the statement where rows are changed, and not within CASE or COALESCE, no OFFSET 0, no table beside a
-- function. No table is rewritten. Processes of the release before call the functions as they did.
SET LOCAL lock_timeout = '3s';

CREATE OR REPLACE FUNCTION close_jobs(job_ids text[])
RETURNS TABLE (closed_job text, closed_status text, closed_succeeded bigint, closed_planned bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH due AS (
    SELECT v.job_id, v.status, v.succeeded, v.planned, v.status <> j.status AS ends, e.reached,
           v.outcome, v.completed_units, v.failed_units, v.cancelled_units, statement_timestamp() AS now
      FROM jobs j JOIN job_verdicts v ON v.job_id = j.id
     CROSS JOIN LATERAL (SELECT max(x.seq) AS reached FROM job_events x WHERE x.job_id = j.id) e
     WHERE j.id = ANY (job_ids) AND j.status IN ('queued', 'running')
       AND (v.status <> j.status OR e.reached > j.version)
  ), closed AS (
    UPDATE jobs j SET status = d.status, version = d.reached + d.ends::integer, updated_at = d.now,
           started_at = COALESCE(j.started_at, CASE WHEN d.status = 'running' THEN d.now END),
           completed_at = CASE WHEN d.status IN ('completed', 'failed', 'cancelled') THEN d.now END,
           outcome = d.outcome,
           completed_units = CASE WHEN d.outcome IS NOT NULL THEN d.completed_units END,
           failed_units = CASE WHEN d.outcome IS NOT NULL THEN d.failed_units END,
           cancelled_units = CASE WHEN d.outcome IS NOT NULL THEN d.cancelled_units END
      FROM due d WHERE j.id = d.job_id
    RETURNING j.id, j.version, d.status, d.succeeded, d.planned, d.ends
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, detail)
    SELECT id, version, 'job_' || status, jsonb_build_object('succeeded', succeeded, 'regions', planned)
      FROM closed WHERE ends
  )
  SELECT id, status, succeeded, planned FROM closed WHERE ends;
END $$;

CREATE OR REPLACE FUNCTION close_regions(job_ids text[])
RETURNS TABLE (closed_job text, closed_region text, closed_attempt integer, closed_started timestamptz,
               closed_units bigint, closed_completed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH ended AS (
    SELECT r.job_id, r.region
      FROM region_runs r JOIN jobs j ON j.id = r.job_id
     WHERE r.job_id = ANY (job_ids) AND r.finished_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text(j.plan -> r.region) AS m (model_id)
                        WHERE NOT EXISTS (SELECT 1 FROM executions e WHERE e.job_id = r.job_id
                                             AND e.region = r.region AND e.model_id = m.model_id))
     ORDER BY r.job_id, r.region
       FOR NO KEY UPDATE OF r
  ), closed AS (
    UPDATE region_runs r SET finished_at = statement_timestamp(), lease_token = NULL, lease_expires_at = NULL
      FROM ended d WHERE r.job_id = d.job_id AND r.region = d.region
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

CREATE OR REPLACE FUNCTION end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[])
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
           provider_id, attempt, started_at, statement_timestamp(),
           (extract(epoch FROM statement_timestamp() - started_at) * 1000)::bigint,
           planned_calls - usable, greatest(attempt - 1, 0),
           reason || jsonb_build_object('region', region, 'model', model_id)
      FROM missing
    ON CONFLICT (job_id, region, model_id) DO NOTHING
    RETURNING executions.job_id, executions.region, executions.model_id, executions.status, executions.error
  ), bumped AS (
    UPDATE jobs j SET version = j.version + c.n, updated_at = statement_timestamp()
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

CREATE OR REPLACE FUNCTION cancel_units(job text, reason jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  ids text[];
  open_regions text[];
  reasons jsonb[];
  ended integer;
BEGIN
  SELECT array_agg(o.job_id), array_agg(o.region), array_agg(reason) INTO ids, open_regions, reasons
    FROM region_outcomes o WHERE o.job_id = job AND o.finished_at IS NULL;
  SELECT count(e.ended_model) INTO ended FROM end_units(ids, open_regions, 'cancelled', reasons) e;
  PERFORM close_regions(ARRAY[job]);
  RETURN ended;
END $$;

CREATE OR REPLACE FUNCTION fill_jobs(batch integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH due AS MATERIALIZED (
    SELECT j.id FROM jobs j
     WHERE j.name IS NULL OR (j.outcome IS NULL AND j.completed_at IS NOT NULL)
     ORDER BY j.id LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
  ), judged AS MATERIALIZED (
    SELECT d.id, (SELECT x FROM job_verdicts x WHERE x.job_id = d.id) AS verdict FROM due d
  ), known AS MATERIALIZED (
    SELECT d.id, (d.verdict).outcome, (d.verdict).completed_units, (d.verdict).failed_units, (d.verdict).cancelled_units,
           (SELECT x.actor FROM job_events x WHERE x.job_id = d.id AND x.type = 'submitted' ORDER BY x.seq LIMIT 1) AS actor
      FROM judged d
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

CREATE OR REPLACE VIEW region_queues AS
SELECT p.region, least(sum(q.jobs + w.jobs), 10000)::bigint AS depth, min(least(q.oldest, w.oldest)) AS oldest
  FROM open_region_sets s
 CROSS JOIN LATERAL (
       SELECT count(*) AS jobs, min(c.created_at) AS oldest
         FROM (SELECT j.created_at FROM jobs j
                WHERE j.status = 'queued' AND jsonb_path_query_array(j.plan, '$.keyvalue().key') = s.regions
                ORDER BY j.created_at LIMIT 10000) c) q
 CROSS JOIN LATERAL jsonb_array_elements_text(s.regions) AS p (region)
 CROSS JOIN LATERAL (
       SELECT count(*) AS jobs, min(c.created_at) AS oldest
         FROM (SELECT j.id, j.created_at FROM jobs j
                WHERE j.status = 'running' AND jsonb_path_query_array(j.plan, '$.keyvalue().key') = s.regions
                ORDER BY j.created_at LIMIT 10000) c
        WHERE (SELECT r.lease_token IS NOT NULL OR r.finished_at IS NOT NULL FROM region_runs r
                WHERE r.job_id = c.id AND r.region = p.region) IS NOT TRUE) w
 GROUP BY p.region;
