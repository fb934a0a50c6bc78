-- name: metrics.outbox
-- How much waits, how long the oldest has waited, and what is dead: each from the partial index with its condition.
SELECT w.waiting, d.dead, COALESCE(extract(epoch FROM clock_timestamp() - w.oldest), 0)::double precision AS oldest
  FROM (SELECT count(*) AS waiting, min(created_at) AS oldest FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL) w
 CROSS JOIN (SELECT count(*) AS dead FROM outbox WHERE dead_at IS NOT NULL AND processed_at IS NULL) d;

-- name: metrics.jobs
-- Open jobs, and those created in the last 24 hours that have ended.
SELECT status, count(*) AS jobs FROM jobs WHERE status IN ('queued', 'running') GROUP BY status
UNION ALL
SELECT status, count(*) FROM jobs
 WHERE status IN ('completed', 'failed', 'cancelled') AND created_at > clock_timestamp() - interval '24 hours' GROUP BY status;

-- name: metrics.late
-- Jobs queued for over ten minutes, and running jobs past the deadline of their last region run by more than `grace`.
SELECT count(*) FILTER (WHERE j.status = 'queued' AND j.created_at < clock_timestamp() - interval '10 minutes') AS stuck,
       count(*) FILTER (WHERE j.status = 'running' AND d.deadline < clock_timestamp() - make_interval(secs => %(grace_seconds)s)) AS overdue
  FROM jobs j
  LEFT JOIN LATERAL (SELECT max(r.deadline) AS deadline FROM region_runs r WHERE r.job_id = j.id) d ON j.status = 'running'
 WHERE j.status IN ('queued', 'running');

-- name: metrics.regions
-- For each region of the open jobs: runs that wait for a worker; and the workers seen in the last 20 seconds.
SELECT COALESCE(q.region, w.region) AS region, COALESCE(q.depth, 0) AS depth, COALESCE(w.workers, 0) AS workers
  FROM (SELECT p.region, count(*) AS depth
          FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
          LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
         WHERE j.status IN ('queued', 'running') AND r.finished_at IS NULL AND r.lease_token IS NULL
         GROUP BY p.region) q
  FULL JOIN (SELECT region, count(*) AS workers FROM processes
              WHERE kind = 'worker' AND seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) GROUP BY region) w
    ON w.region = q.region;
