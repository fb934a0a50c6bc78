-- I4: a terminal execution never changes except by an audited retry
-- An execution and its event are written by one transaction, so their rows carry the same xmin until one of them is
-- written again. Where the event carries the xmin of the job's submission too, the tables came from a dump and tell
-- nothing. An execution with the xmin of an applied migration was rewritten by that migration's own transaction: a change
-- in any other transaction, even at the same moment, is found. One that was made before the rewrite is not, because the
-- rewrite takes the row's earlier xmin away and PostgreSQL keeps it nowhere else. Jobs whose events are not complete are
-- I7's.
WITH complete AS (
  SELECT j.id AS job_id
    FROM jobs j JOIN job_events v ON v.job_id = j.id
   GROUP BY j.id, j.version HAVING count(*) = j.version AND min(v.seq) = 1 AND max(v.seq) = j.version
), recorded AS (
  SELECT v.job_id, v.region, v.model_id, v.seq, v.detail ->> 'status' AS status, v.xmin AS written,
         lag(v.seq) OVER unit AS earlier_seq, lead(v.seq) OVER unit AS later_seq
    FROM job_events v JOIN complete c ON c.job_id = v.job_id
   WHERE v.type = 'execution_recorded'
  WINDOW unit AS (PARTITION BY v.job_id, v.region, v.model_id ORDER BY v.seq)
), retried AS (
  SELECT v.job_id, v.seq, u.unit ->> 'region' AS region, u.unit ->> 'model_id' AS model_id
    FROM job_events v CROSS JOIN LATERAL jsonb_array_elements(v.detail -> 'units') AS u (unit)
   WHERE v.type = 'retry_requested'
)
SELECT r.job_id, r.region || ' ' || r.model_id || ' was recorded twice (events ' || r.earlier_seq || ' and ' || r.seq
       || ') without a retry in between' AS broken
  FROM recorded r
 WHERE r.earlier_seq IS NOT NULL
   AND NOT EXISTS (SELECT FROM retried t WHERE t.job_id = r.job_id AND t.region = r.region AND t.model_id = r.model_id
                      AND t.seq > r.earlier_seq AND t.seq < r.seq)
UNION ALL
SELECT r.job_id, r.region || ' ' || r.model_id
       || CASE WHEN e.id IS NULL THEN ' was recorded (event ' || r.seq || '), but its execution is gone without a retry'
               WHEN e.status <> r.status THEN ' was recorded as ' || r.status || ' and is ' || e.status
               ELSE ' was written again after it was recorded' END
  FROM recorded r
  JOIN job_events s ON s.job_id = r.job_id AND s.seq = 1
  LEFT JOIN executions e ON e.job_id = r.job_id AND e.region = r.region AND e.model_id = r.model_id
 WHERE r.later_seq IS NULL
   -- Twins are I3's.
   AND 1 >= (SELECT count(*) FROM executions x WHERE x.job_id = r.job_id AND x.region = r.region AND x.model_id = r.model_id)
   AND (e.id IS NULL OR e.status <> r.status
        OR (e.xmin <> r.written AND s.xmin <> r.written AND NOT EXISTS (SELECT FROM schema_migrations m WHERE m.xmin = e.xmin)))
   AND NOT EXISTS (SELECT FROM retried t WHERE t.job_id = r.job_id AND t.region = r.region AND t.model_id = r.model_id
                      AND t.seq > r.seq);
