-- A list of jobs asked three tables for each job that it shows, so that each row cost a way down three indexes, which
-- grow. An ended job keeps what a list says of it. Jobs that ended before this have nothing there: lists compute it.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: ba562f1e915b390c07909b49d1b7bfd2d84f3d118f873cacf483e76454990c19

-- Behind a transaction that keeps its locks everybody else would wait with the migration, so it gives up instead and can
-- be repeated. The columns take no time: no row is written.
SET LOCAL lock_timeout = '10s';
ALTER TABLE jobs ADD COLUMN outcome text, ADD COLUMN completed_units integer, ADD COLUMN failed_units integer,
  ADD COLUMN cancelled_units integer;

-- Jobs of one status, in an order that the index of all jobs does not have: see reads.jobs_by_status. While it is built
-- submissions wait.
CREATE INDEX jobs_by_status_idx ON jobs (status, created_at, id);
DROP INDEX jobs_status_created_idx;

-- region_outcomes, with the units of a finished region; nothing else changed.
CREATE OR REPLACE VIEW region_outcomes AS
SELECT j.id AS job_id, p.region, r.attempt, r.worker, r.started_at, r.deadline, r.finished_at, r.last_error,
       CASE WHEN r.finished_at IS NOT NULL AND e.completed > 0 THEN 'success'
            WHEN r.finished_at IS NOT NULL AND e.cancelled = e.recorded THEN 'cancelled'
            WHEN r.finished_at IS NOT NULL AND e.timeouts = e.recorded THEN 'timeout'
            WHEN r.finished_at IS NOT NULL THEN 'failed'
            WHEN r.lease_token IS NOT NULL THEN 'running'
            ELSE 'pending' END AS status,
       e.completed AS completed_units, e.recorded - e.completed - e.cancelled AS failed_units, e.cancelled AS cancelled_units
  FROM jobs j
 CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
  LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
  LEFT JOIN LATERAL (
       SELECT count(*) AS recorded,
              count(*) FILTER (WHERE x.status = 'completed') AS completed,
              count(*) FILTER (WHERE x.status = 'cancelled') AS cancelled,
              count(*) FILTER (WHERE x.error ->> 'code' IN ('timeout', 'queue_timeout')) AS timeouts
         FROM executions x WHERE x.job_id = j.id AND x.region = p.region) e ON r.finished_at IS NOT NULL;

-- job_verdicts, with the outcome: the status of a job that has ended, or `partial` where enough regions succeeded for
-- the job to have ended well, and too few for the rate that was asked for.
CREATE OR REPLACE VIEW job_verdicts AS
SELECT v.job_id, v.planned, v.succeeded, v.finished, v.status,
       CASE WHEN v.status = 'completed' AND v.succeeded < v.min_success_rate * v.planned THEN 'partial'
            WHEN v.status IN ('completed', 'failed', 'cancelled') THEN v.status END AS outcome,
       v.completed_units, v.failed_units, v.cancelled_units
  FROM (SELECT j.id AS job_id, j.min_success_rate, t.planned, t.succeeded, t.finished, t.completed_units, t.failed_units,
               t.cancelled_units,
               CASE WHEN j.cancelled_at IS NOT NULL THEN 'cancelled'
                    WHEN t.finished < t.planned THEN CASE WHEN t.touched > 0 THEN 'running' ELSE 'queued' END
                    WHEN t.succeeded >= j.min_regions THEN 'completed'
                    ELSE 'failed' END AS status
          FROM jobs j
         CROSS JOIN LATERAL (
               SELECT count(*) AS planned, count(o.attempt) AS touched, count(o.finished_at) AS finished,
                      count(*) FILTER (WHERE o.status = 'success') AS succeeded,
                      COALESCE(sum(o.completed_units), 0)::integer AS completed_units,
                      COALESCE(sum(o.failed_units), 0)::integer AS failed_units,
                      COALESCE(sum(o.cancelled_units), 0)::integer AS cancelled_units
                 FROM region_outcomes o WHERE o.job_id = j.id) t) v;

-- cross_region_executions, which says `partial` by the definition above.
CREATE OR REPLACE VIEW cross_region_executions AS
SELECT j.cross_region_execution_id AS id, j.id AS jobspec_id, v.planned::integer AS total_regions,
       v.succeeded::integer AS success_count, (v.finished - v.succeeded)::integer AS failure_count,
       j.min_regions AS min_regions_required, j.min_success_rate,
       CASE WHEN j.status IN ('queued', 'running') THEN 'running' ELSE v.outcome END AS status,
       COALESCE(j.started_at, j.created_at) AS started_at, j.completed_at,
       (extract(epoch FROM j.completed_at - COALESCE(j.started_at, j.created_at)) * 1000)::bigint AS duration_ms,
       j.created_at
  FROM jobs j JOIN job_verdicts v ON v.job_id = j.id;

-- listed_jobs: a job as lists show it. What is kept with the job counts only while the job has ended: a process of the
-- release before sets a job running again and leaves it. A unit is one model in one region. A statement that does not
-- ask for `units` does not count them.
CREATE VIEW listed_jobs AS
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
       END AS units
  FROM jobs j;

-- close_jobs, which keeps the outcome with a job that ends; nothing else changed.
CREATE OR REPLACE FUNCTION close_jobs(job_ids text[])
RETURNS TABLE (closed_job text, closed_status text, closed_succeeded bigint, closed_planned bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH due AS (
    SELECT v.job_id, v.status, v.succeeded, v.planned, v.status <> j.status AS ends, e.reached,
           v.outcome, v.completed_units, v.failed_units, v.cancelled_units
      FROM jobs j JOIN job_verdicts v ON v.job_id = j.id
     CROSS JOIN LATERAL (SELECT max(x.seq) AS reached FROM job_events x WHERE x.job_id = j.id) e
     WHERE j.id = ANY (job_ids) AND j.status IN ('queued', 'running')
       AND (v.status <> j.status OR e.reached > j.version)
  ), closed AS (
    UPDATE jobs j SET status = d.status, version = d.reached + d.ends::integer, updated_at = clock_timestamp(),
           started_at = COALESCE(j.started_at, CASE WHEN d.status = 'running' THEN clock_timestamp() END),
           completed_at = CASE WHEN d.status IN ('completed', 'failed', 'cancelled') THEN clock_timestamp() END,
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
