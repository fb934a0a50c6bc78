-- No statement's cost may grow with what the database keeps. Where a purge and a count had to walk a table, they get an
-- index; both serve a job only at its beginning and its end.
-- The text of earlier releases granted rights to the logins of the schema public, which sql/grants.sql grants as well.
-- was: f1623e7c5e80e0f821b396ebe31aa83077cd27f99a394cbf0e7aacfdcb723e8f

-- While an index is built submissions wait. Behind a transaction that keeps its locks everybody else would wait with the
-- migration, so it gives up instead and can be repeated.
SET LOCAL lock_timeout = '10s';

-- Ended jobs are removed by the time at which they ended.
CREATE INDEX jobs_completed_idx ON jobs (completed_at) WHERE completed_at IS NOT NULL;

-- Open jobs by the regions of their plan, oldest first: a crowd in one region neither hides nor slows another's count.
CREATE INDEX jobs_open_regions_idx ON jobs (jsonb_path_query_array(plan, '$.keyvalue().key'), status, created_at)
  WHERE status IN ('queued', 'running');

-- The sets of regions that open jobs have, each once: the index is asked for the next greater one until there is none.
CREATE VIEW open_region_sets AS
WITH RECURSIVE found (regions) AS (
  SELECT (SELECT jsonb_path_query_array(j.plan, '$.keyvalue().key') FROM jobs j WHERE j.status IN ('queued', 'running')
           ORDER BY jsonb_path_query_array(j.plan, '$.keyvalue().key') LIMIT 1)
   UNION ALL
  SELECT (SELECT jsonb_path_query_array(j.plan, '$.keyvalue().key') FROM jobs j WHERE j.status IN ('queued', 'running')
             AND jsonb_path_query_array(j.plan, '$.keyvalue().key') > f.regions
           ORDER BY jsonb_path_query_array(j.plan, '$.keyvalue().key') LIMIT 1)
    FROM found f WHERE f.regions IS NOT NULL
)
SELECT regions FROM found WHERE regions IS NOT NULL;

-- For each region the runs that wait for a worker, and since when the oldest does. Of each set of regions the oldest
-- 10,000 queued jobs and the oldest 10,000 running ones are counted, so that 10,000 means "at least". A queued job has
-- no run yet; of a running one each region may wait, run or have finished.
CREATE VIEW region_queues AS
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
         LEFT JOIN LATERAL (SELECT r.lease_token, r.finished_at FROM region_runs r
                             WHERE r.job_id = c.id AND r.region = p.region OFFSET 0) r ON true
        WHERE r.lease_token IS NULL AND r.finished_at IS NULL) w
 GROUP BY p.region;

REVOKE ALL ON open_region_sets, region_queues FROM PUBLIC;
