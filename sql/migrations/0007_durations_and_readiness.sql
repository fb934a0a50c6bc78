-- 2^31 milliseconds are 24.8 days. A region that was under way when everything stopped, or that came back with an old
-- backup, is older than that; its duration did not fit, and the error ended every sweep and each cancellation. So no
-- number of milliseconds is an integer any more.
-- What counts stays one: a job's version, the seq of its events, attempts, calls. Each grows by one with a stored event or
-- a call, and 2^31 events of one job, at a thousand a second, would take 24 days and 200 GB.
-- The text of earlier releases named the schema public where this one says the schema of the migration, and granted a right
-- to the logins of that schema, which sql/grants.sql grants as well.
-- was: bd583ee9fb8e21b7849c8b51bccbd070998bf0e4f0607ef041866b1092a868ff

-- The new type rewrites both tables and their indexes, and nobody reads or writes them meanwhile: docs/rollout.md says how
-- long that takes. Behind a transaction that keeps its locks (a dump, a session left open) everybody else would wait with
-- the migration, so it gives up instead and can be repeated.
SET LOCAL lock_timeout = '10s';
ALTER TABLE executions ALTER COLUMN duration_ms TYPE bigint;
ALTER TABLE answers ALTER COLUMN duration_ms TYPE bigint;

-- end_units, with its duration in 64 bits and nothing else changed.
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
           provider_id, attempt, started_at, clock_timestamp(),
           (extract(epoch FROM clock_timestamp() - started_at) * 1000)::bigint,
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

-- readiness: always empty. The readiness probe inserts a row and rolls it back, to learn whether there is room for a job:
-- on a full disk a small row still finds its place in a page that is there already, and a job does not. Two rows do not
-- fit into a page, and the page of one that was rolled back is not used again before a vacuum has cut it off, so that
-- each probe makes the file longer.
CREATE TABLE readiness (filling text NOT NULL);
ALTER TABLE readiness ALTER COLUMN filling SET STORAGE PLAIN;
REVOKE ALL ON readiness FROM PUBLIC;
