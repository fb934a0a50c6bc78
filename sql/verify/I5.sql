-- I5: a job's status and stored outcome agree with its region runs, its executions and its cancellation
-- A definition of its own: it shares nothing with the views and functions that write the status.
WITH done AS (
  SELECT e.job_id, e.region, bool_or(e.status = 'completed') AS succeeded FROM executions e GROUP BY e.job_id, e.region
), counted AS (
  SELECT j.id AS job_id, j.status, j.cancelled_at, j.min_regions, count(*) AS planned, count(r.job_id) AS begun,
         count(r.finished_at) AS finished,
         count(*) FILTER (WHERE r.finished_at IS NOT NULL AND d.succeeded) AS succeeded, j.min_success_rate, j.outcome,
         j.completed_units, j.failed_units, j.cancelled_units
    FROM jobs j
   CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
    LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
    LEFT JOIN done d ON d.job_id = j.id AND d.region = p.region
   GROUP BY j.id
), told AS (
  SELECT u.job_id, count(*) FILTER (WHERE u.status = 'completed') AS completed, count(*) FILTER (WHERE u.status = 'failed') AS failed,
         count(*) FILTER (WHERE u.status = 'cancelled') AS cancelled
    FROM (SELECT DISTINCT ON (v.job_id, v.region, v.model_id) v.job_id, v.detail ->> 'status' AS status
            FROM job_events v WHERE v.type = 'execution_recorded'
           ORDER BY v.job_id, v.region, v.model_id, v.seq DESC) u
   GROUP BY u.job_id
), due AS (
  SELECT c.*, CASE WHEN cancelled_at IS NOT NULL THEN 'cancelled'
                   WHEN finished = planned THEN CASE WHEN succeeded >= min_regions THEN 'completed' ELSE 'failed' END
                   WHEN begun > 0 THEN 'running'
                   ELSE 'queued' END AS expected
    FROM counted c
)
SELECT job_id, 'its status is ' || status || ' and should be ' || expected || ': ' || finished || ' of ' || planned
       || ' regions finished, ' || succeeded || ' succeeded, ' || min_regions || ' required' AS broken
  FROM due WHERE status <> expected
UNION ALL
-- What an ended job keeps for lists. Jobs that ended before the columns were there keep nothing. Executions that have
-- changed since are I4's, so the units are counted from the events; jobs whose events are not complete are I7's.
SELECT d.job_id, concat_ws(' ', 'it keeps outcome', d.outcome, 'and', COALESCE(d.completed_units::text, 'no number of'), 'completed,',
                           COALESCE(d.failed_units::text, 'no number of'), 'failed,',
                           COALESCE(d.cancelled_units::text, 'no number of'), 'cancelled units; its events say',
                           t.completed || ',', t.failed, 'and', t.cancelled || ',', d.succeeded, 'of', d.planned,
                           'regions succeeded, and a rate of', d.min_success_rate, 'is required')
  FROM due d JOIN told t ON t.job_id = d.job_id
 WHERE d.status = d.expected AND d.status IN ('completed', 'failed', 'cancelled') AND d.outcome IS NOT NULL
   AND (d.outcome <> CASE WHEN d.status = 'completed' AND d.succeeded < d.min_success_rate * d.planned THEN 'partial'
                          ELSE d.status END
        OR (d.completed_units, d.failed_units, d.cancelled_units)
           IS DISTINCT FROM (t.completed::integer, t.failed::integer, t.cancelled::integer))
   AND (SELECT count(*) FROM job_events v WHERE v.job_id = d.job_id) = (SELECT j.version FROM jobs j WHERE j.id = d.job_id)
UNION ALL
-- A region has finished only when every planned unit has its row. One that was recorded and is gone is I4's.
SELECT j.id, 'region ' || p.region || ' has finished without a result of ' || m.model_id
  FROM jobs j
 CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) AS m (model_id)
  JOIN region_runs r ON r.job_id = j.id AND r.region = p.region AND r.finished_at IS NOT NULL
 WHERE NOT EXISTS (SELECT FROM executions e WHERE e.job_id = j.id AND e.region = p.region AND e.model_id = m.model_id)
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = j.id AND v.type = 'execution_recorded'
                      AND v.region = p.region AND v.model_id = m.model_id);
