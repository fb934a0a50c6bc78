-- name: db.settings
-- Session settings that this program relies on, whatever the defaults of the database or the role are. A timeout or
-- planner setting is changed only if its parameter is given. With `local`, settings last for one transaction, because a
-- pooler shares sessions. default_transaction_read_only is not set: operators use it to stop writes.
-- idle_in_transaction_session_timeout ends the transaction of a process that was suspended, and frees its locks.
-- Sequential scans are off and plans are cached, because every row is found by key: a plan made while a table was small
-- would be kept while the table grows (measured: 80 ms instead of 7 ms after 4,000 jobs). JIT is off: a read with a
-- high estimated cost spent seconds on compilation, and took 0.2 ms without. Parallel workers are off: for their sake
-- the planner scanned all jobs to read one job's rows.
SELECT set_config('search_path', %(search_path)s, %(local)s::boolean),
       set_config('DateStyle', 'ISO, YMD', %(local)s::boolean),
       set_config('IntervalStyle', 'postgres', %(local)s::boolean),
       set_config('TimeZone', 'UTC', %(local)s::boolean),
       set_config('array_nulls', 'on', %(local)s::boolean),
       set_config('bytea_output', 'hex', %(local)s::boolean),
       set_config('exit_on_error', 'off', %(local)s::boolean),
       set_config('extra_float_digits', '1', %(local)s::boolean),
       set_config('standard_conforming_strings', 'on', %(local)s::boolean),
       set_config('transform_null_equals', 'off', %(local)s::boolean),
       set_config('statement_timeout', COALESCE(%(statement_timeout)s, current_setting('statement_timeout')), %(local)s::boolean),
       set_config('lock_timeout', COALESCE(%(lock_timeout)s, current_setting('lock_timeout')), %(local)s::boolean),
       set_config('idle_in_transaction_session_timeout',
                  COALESCE(%(idle_in_transaction_session_timeout)s, current_setting('idle_in_transaction_session_timeout')),
                  %(local)s::boolean),
       set_config('idle_session_timeout', COALESCE(%(idle_session_timeout)s, current_setting('idle_session_timeout')),
                  %(local)s::boolean),
       set_config('enable_seqscan', COALESCE(%(enable_seqscan)s, current_setting('enable_seqscan')), %(local)s::boolean),
       set_config('plan_cache_mode', COALESCE(%(plan_cache_mode)s, current_setting('plan_cache_mode')), %(local)s::boolean),
       set_config('jit', COALESCE(%(jit)s, current_setting('jit')), %(local)s::boolean),
       set_config('max_parallel_workers_per_gather',
                  COALESCE(%(max_parallel_workers_per_gather)s, current_setting('max_parallel_workers_per_gather')),
                  %(local)s::boolean);

-- name: processes.beat -- writes
-- Record that this process is alive, and the states of a worker's providers. The readiness probe uses this statement as
-- its test of a real write.
INSERT INTO processes AS p (id, kind, region, host, pid, version, regions_sha, concurrency, providers)
VALUES (%(process_id)s, %(kind)s, %(region)s, %(host)s, %(pid)s, %(version)s, %(regions_sha)s, %(concurrency)s, %(providers)s::jsonb)
ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at, providers = EXCLUDED.providers
RETURNING seen_at;

-- name: processes.read
-- The readiness probe reads back the row that it wrote.
SELECT seen_at FROM processes WHERE id = %(process_id)s;

-- name: readiness.grow -- writes
-- The readiness probe allocates disk pages, as a submission does, and then rolls back: this fails on a full disk.
INSERT INTO readiness (filling) VALUES (repeat('.', 6000));

-- name: processes.leave -- writes
-- A process that stops normally deletes its row.
DELETE FROM processes WHERE id = %(process_id)s;

-- name: processes.of_earlier_releases
-- The regions in which a live worker of 0.1 or 0.2 serves: such a worker ignores the parameters of a job. The version
-- 0.0.0 is that of a checkout which is not installed.
SELECT DISTINCT region FROM processes
 WHERE kind = 'worker' AND region = ANY (%(regions)s::text[]) AND version ~ '^0\.[12]\.'
   AND seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s)
 ORDER BY region;

-- name: processes.other_regions_file
-- Live processes whose regions file differs from that of the API process that started last.
WITH live AS (
  SELECT * FROM processes
   WHERE seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) AND regions_sha IS NOT NULL)
SELECT p.id, p.kind, p.region, p.host, p.pid FROM live p
 WHERE p.regions_sha <> (SELECT a.regions_sha FROM live a WHERE a.kind = 'api' ORDER BY a.started_at DESC LIMIT 1)
 ORDER BY p.kind, p.region, p.started_at;
