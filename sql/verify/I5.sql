-- I5: a job's status is what its region runs, its executions and its cancellation say
-- A definition of its own: it shares nothing with the views and functions that write the status.
WITH done AS (
  SELECT e.job_id, e.region, bool_or(e.status = 'completed') AS succeeded FROM executions e GROUP BY e.job_id, e.region
), counted AS (
  SELECT j.id AS job_id, j.status, j.cancelled_at, j.min_regions, count(*) AS planned, count(r.job_id) AS begun,
         count(r.finished_at) AS finished,
         count(*) FILTER (WHERE r.finished_at IS NOT NULL AND d.succeeded) AS succeeded
    FROM jobs j
   CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
    LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
    LEFT JOIN done d ON d.job_id = j.id AND d.region = p.region
   GROUP BY j.id
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
-- A region has finished only when every planned unit has its row. One that was recorded and is gone is I4's.
SELECT j.id, 'region ' || p.region || ' has finished without a result of ' || m.model_id
  FROM jobs j
 CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) AS m (model_id)
  JOIN region_runs r ON r.job_id = j.id AND r.region = p.region AND r.finished_at IS NOT NULL
 WHERE NOT EXISTS (SELECT FROM executions e WHERE e.job_id = j.id AND e.region = p.region AND e.model_id = m.model_id)
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = j.id AND v.type = 'execution_recorded'
                      AND v.region = p.region AND v.model_id = m.model_id);
