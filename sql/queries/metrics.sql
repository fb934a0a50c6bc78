-- name: metrics.outbox
-- The numbers of waiting and of dead messages, each up to `most`, and the age of the oldest waiting message. The
-- conditions are those of the partial indexes.
SELECT w.waiting, d.dead, COALESCE(extract(epoch FROM clock_timestamp() - o.oldest), 0)::double precision AS oldest_seconds
  FROM (SELECT count(*) AS waiting
          FROM (SELECT FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL LIMIT %(most)s) AS few) w
  LEFT JOIN (SELECT created_at AS oldest FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL ORDER BY id LIMIT 1) o ON true
 CROSS JOIN (SELECT count(*) AS dead
               FROM (SELECT FROM outbox WHERE dead_at IS NOT NULL AND processed_at IS NULL LIMIT %(most)s) AS few) d;

-- name: metrics.jobs
-- The number of jobs of each status, up to `most`: all open jobs, and the ended jobs that were created in the last 24
-- hours.
SELECT s.status, (SELECT count(*) FROM (SELECT FROM jobs j WHERE j.status = s.status AND j.created_at > s.since
                                         LIMIT %(most)s) AS few) AS jobs
  FROM (SELECT o.status, '-infinity'::timestamptz FROM unnest(ARRAY['queued', 'running']) AS o (status)
         UNION ALL
        SELECT e.status, statement_timestamp() - interval '24 hours'
          FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS e (status)) AS s (status, since);

-- name: metrics.late
-- stuck: the number of jobs queued for more than stuck_seconds, up to `most`. overdue: the number of jobs, among the
-- `most` oldest running ones, whose last region run passed its deadline more than grace_seconds ago.
SELECT (SELECT count(*)
          FROM (SELECT FROM jobs j
                 WHERE j.status = 'queued' AND j.created_at < statement_timestamp() - make_interval(secs => %(stuck_seconds)s)
                 LIMIT %(most)s) AS few) AS stuck,
       (SELECT count(*)
          FROM (SELECT j.id FROM jobs j WHERE j.status = 'running' ORDER BY j.created_at, j.id LIMIT %(most)s) AS few
         WHERE (SELECT max(r.deadline) FROM region_runs r WHERE r.job_id = few.id) < statement_timestamp() - make_interval(secs => %(grace_seconds)s)) AS overdue;

-- name: metrics.regions
-- For each region of the open jobs: the number of region runs that wait for a worker, up to 10,000, and of live
-- workers.
SELECT COALESCE(q.region, w.region) AS region, COALESCE(q.depth, 0) AS depth, COALESCE(w.workers, 0) AS workers
  FROM region_queues q
  FULL JOIN (SELECT region, count(*) AS workers FROM processes
              WHERE kind = 'worker' AND seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) GROUP BY region) w
    ON w.region = q.region;
