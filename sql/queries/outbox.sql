-- name: outbox.claim
-- Begin of transaction B: lock the oldest due rows, except those that another publisher has locked and those set aside.
SELECT id, job_id, topic, payload, attempts,
       (SELECT j.traceparent FROM jobs j WHERE j.id = outbox.job_id) AS traceparent
  FROM outbox
 WHERE processed_at IS NULL AND dead_at IS NULL AND available_at <= clock_timestamp() AND id <> ALL (%(left_out)s::bigint[])
 ORDER BY id
 LIMIT %(batch)s
   FOR UPDATE SKIP LOCKED;

-- name: outbox.mark -- writes
-- End of transaction B: mark the rows as pushed, each with its dispatch id.
UPDATE outbox o SET processed_at = statement_timestamp(), dispatch_id = d.dispatch_id, attempts = o.attempts + 1, last_error = NULL
  FROM unnest(%(ids)s::bigint[], %(dispatch_ids)s::text[]) AS d (id, dispatch_id)
 WHERE o.id = d.id;

-- name: outbox.fail -- writes
-- A row could not be pushed: try it again after a growing pause. After max_attempts and a minimum age the row is dead,
-- and the sweeper ends its region.
WITH failed AS MATERIALIZED (
  SELECT w.id, w.error, statement_timestamp() AS now
    FROM unnest(%(ids)s::bigint[], %(errors)s::text[]) AS w (id, error)
)
UPDATE outbox o
   SET attempts = o.attempts + 1, last_error = f.error,
       available_at = f.now + make_interval(secs => least(300, power(2, least(o.attempts, 10)))),
       dead_at = CASE WHEN o.attempts + 1 >= %(max_attempts)s
                       AND o.created_at <= f.now - make_interval(secs => %(dead_after_seconds)s) THEN f.now END
  FROM failed f
 WHERE o.id = f.id
RETURNING o.id, o.job_id, o.attempts, o.dead_at,
          (SELECT j.traceparent FROM jobs j WHERE j.id = o.job_id) AS traceparent;

-- name: outbox.stage -- writes
-- Insert a new outbox row for each region that has to be carried out again, as a submission does. The message's
-- `attempt` is the number of claims so far; it is information only.
WITH wanted AS (
  SELECT w.job_id, w.region, topic(w.region) AS topic, w.reason
    FROM unnest(%(job_ids)s::text[], %(regions)s::text[], %(reasons)s::text[]) AS w (job_id, region, reason)
), staged AS (
  INSERT INTO outbox (job_id, topic, payload)
  SELECT w.job_id, w.topic,
         jsonb_build_object('id', w.job_id, 'request_id', j.request_id, 'enqueued_at',
                            to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                            'attempt', COALESCE((SELECT r.attempt FROM region_runs r
                                                  WHERE r.job_id = w.job_id AND r.region = w.region), 0))
    FROM wanted w JOIN jobs j ON j.id = w.job_id
  RETURNING job_id, topic
), bumped AS (
  UPDATE jobs j SET version = j.version + c.n, updated_at = statement_timestamp()
    FROM (SELECT job_id, count(*) AS n FROM staged GROUP BY job_id) c
   WHERE j.id = c.job_id
  RETURNING j.id, j.version - c.n AS base
)
INSERT INTO job_events (job_id, seq, type, region, detail)
SELECT w.job_id, b.base + row_number() OVER (PARTITION BY w.job_id ORDER BY w.region), 'region_staged', w.region,
       jsonb_build_object('reason', w.reason)
  FROM wanted w JOIN bumped b ON b.id = w.job_id
RETURNING job_id, region;

-- name: outbox.withdraw -- writes
-- Drop the messages of a cancelled job. Rows that a publisher has locked for a push are skipped, so that this never
-- waits; a message that is pushed all the same is refused at its claim.
UPDATE outbox SET processed_at = statement_timestamp(), last_error = 'job cancelled'
 WHERE id IN (SELECT id FROM outbox WHERE job_id = %(job_id)s AND processed_at IS NULL AND dead_at IS NULL
               ORDER BY id FOR UPDATE SKIP LOCKED);

-- name: outbox.settle -- writes
-- Mark dead messages as handled: their regions were staged again, or need no message any more.
UPDATE outbox SET processed_at = statement_timestamp()
 WHERE job_id = %(job_id)s AND dead_at IS NOT NULL AND processed_at IS NULL
   AND topic = ANY (SELECT topic(r.region) FROM unnest(%(regions)s::text[]) AS r (region));
