-- name: db.settings
-- A session's limits and how it plans; local ones, of one transaction, where a pooler shares sessions. The third ends the
-- transaction of a process that was stopped in the middle of it, with the locks that others wait for. A verb's statements
-- find every row by key: planned once, and never to read a whole table, because a plan that was made while a table was
-- small would be kept while it grows (measured: 80 ms instead of 7 after 4,000 jobs). Nor is any worth compiling: a read
-- whose cost is thought high took seconds for its code and a fifth of a millisecond without. Nor is any worth parallel
-- workers, which only whole tables can share: one read of a job's rows scanned all jobs for the sake of them.
SELECT set_config('statement_timeout', %(statement_timeout)s, %(local)s::boolean),
       set_config('lock_timeout', %(lock_timeout)s, %(local)s::boolean),
       set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, %(local)s::boolean),
       set_config('enable_seqscan', %(seqscan)s, %(local)s::boolean),
       set_config('plan_cache_mode', %(plan_mode)s, %(local)s::boolean),
       set_config('jit', 'off', %(local)s::boolean),
       set_config('max_parallel_workers_per_gather', '0', %(local)s::boolean);

-- name: processes.beat
-- This process is alive; also the real write of the readiness probe.
INSERT INTO processes AS p (id, kind, region, host, pid, version, regions_sha, concurrency)
VALUES (%(process_id)s, %(kind)s, %(region)s, %(host)s, %(pid)s, %(version)s, %(regions_sha)s, %(concurrency)s)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
RETURNING seen_at;

-- name: processes.read
-- The readiness probe's read-back of what it wrote.
SELECT seen_at FROM processes WHERE id = %(process_id)s;

-- name: readiness.grow
-- The readiness probe asks for a page on the disk, as a submission does; it rolls this back.
INSERT INTO readiness (filling) VALUES (repeat('.', 6000));

-- name: processes.leave
-- A process that ends in order takes its row along.
DELETE FROM processes WHERE id = %(process_id)s;
