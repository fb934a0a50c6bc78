-- I6: attempts, counting crashes, never exceed the maximum plus explicit retries
-- Each retry grants a region as many attempts as a new one has. An attempt is a claim, unless it was handed back before
-- its first call. Jobs whose events are not complete are I7's.
WITH complete AS (
  SELECT j.id AS job_id
    FROM jobs j JOIN job_events v ON v.job_id = j.id
   GROUP BY j.id, j.version HAVING count(*) = j.version AND min(v.seq) = 1 AND max(v.seq) = j.version
), told AS (
  SELECT v.job_id, v.region,
         count(*) FILTER (WHERE v.type = 'region_claimed')
           - count(*) FILTER (WHERE v.type = 'region_released' AND NOT (v.detail ->> 'call_begun')::boolean) AS attempts
    FROM job_events v WHERE v.type IN ('region_claimed', 'region_released') GROUP BY v.job_id, v.region
), granted AS (
  SELECT v.job_id, u.region, count(*) AS retries
    FROM job_events v
   CROSS JOIN LATERAL (SELECT DISTINCT x.unit ->> 'region' AS region
                         FROM jsonb_array_elements(v.detail -> 'units') AS x (unit)) u
   WHERE v.type = 'retry_requested' GROUP BY v.job_id, u.region
)
SELECT r.job_id,
       'region ' || r.region
       || CASE WHEN r.attempt > r.max_attempts
               THEN ' has had ' || r.attempt || ' attempts of ' || r.max_attempts
               WHEN r.max_attempts > %(max_attempts)s::integer * (1 + COALESCE(g.retries, 0))
               THEN ' may be tried ' || r.max_attempts || ' times; ' || %(max_attempts)s::integer || ' and '
                    || COALESCE(g.retries, 0) || ' retries do not allow that'
               ELSE ' counts ' || r.attempt || ' attempts, but its events tell of ' || COALESCE(t.attempts, 0) END AS broken
  FROM region_runs r
  JOIN complete c ON c.job_id = r.job_id
  LEFT JOIN told t ON t.job_id = r.job_id AND t.region = r.region
  LEFT JOIN granted g ON g.job_id = r.job_id AND g.region = r.region
 WHERE r.attempt > r.max_attempts
    OR r.max_attempts > %(max_attempts)s::integer * (1 + COALESCE(g.retries, 0))
    OR r.attempt <> COALESCE(t.attempts, 0);
