-- name: outbox.claim
-- Transaction B begins: the oldest rows that wait and that no other publisher holds, without those that are set aside.
SELECT id, job_id, topic, payload, attempts,
       (SELECT j.traceparent FROM jobs j WHERE j.id = outbox.job_id) AS traceparent
  FROM outbox
 WHERE processed_at IS NULL AND dead_at IS NULL AND available_at <= clock_timestamp() AND id <> ALL (%(left_out)s::bigint[])
 ORDER BY id
 LIMIT %(batch)s
   FOR UPDATE SKIP LOCKED;

-- name: outbox.mark -- writes
-- Transaction B ends: pushed, with the id under which each was pushed.
UPDATE outbox o SET processed_at = clock_timestamp(), dispatch_id = d.dispatch_id, attempts = o.attempts + 1, last_error = NULL
  FROM unnest(%(ids)s::bigint[], %(dispatch_ids)s::text[]) AS d (id, dispatch_id)
 WHERE o.id = d.id;

-- name: outbox.fail -- writes
-- A row that could not be pushed backs off alone; after its attempts and a minimum age it is dead, and its region ends.
UPDATE outbox o
   SET attempts = o.attempts + 1, last_error = f.error,
       available_at = clock_timestamp() + make_interval(secs => least(300, power(2, least(o.attempts, 10)))),
       dead_at = CASE WHEN o.attempts + 1 >= %(max_attempts)s
                       AND o.created_at <= clock_timestamp() - make_interval(secs => %(dead_after_seconds)s)
                      THEN clock_timestamp() END
  FROM unnest(%(ids)s::bigint[], %(errors)s::text[]) AS f (id, error)
 WHERE o.id = f.id
RETURNING o.id, o.job_id, o.attempts, o.dead_at,
          (SELECT j.traceparent FROM jobs j WHERE j.id = o.job_id) AS traceparent;

-- name: outbox.stage -- writes
-- A region enters again by the front door. The envelope's attempt counts earlier dispatches, for information.
WITH wanted AS (
  SELECT w.job_id, w.region, 'beacon-' || lower(w.region) AS topic, w.reason
    FROM unnest(%(job_ids)s::text[], %(regions)s::text[], %(reasons)s::text[]) AS w (job_id, region, reason)
), staged AS (
  INSERT INTO outbox (job_id, topic, payload)
  SELECT w.job_id, w.topic,
         jsonb_build_object('id', w.job_id, 'request_id', j.request_id, 'enqueued_at',
                            to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                            'attempt', COALESCE((SELECT r.attempt FROM region_runs r
                                                  WHERE r.job_id = w.job_id AND r.region = w.region), 0))
    FROM wanted w JOIN jobs j ON j.id = w.job_id
  RETURNING job_id, topic
), bumped AS (
  UPDATE jobs j SET version = j.version + c.n, updated_at = clock_timestamp()
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
-- A cancelled job's messages need not be sent. Never waits: a publisher holds its rows during a push, and then the
-- claim refuses the message.
UPDATE outbox SET processed_at = clock_timestamp(), last_error = 'job cancelled'
 WHERE id IN (SELECT id FROM outbox WHERE job_id = %(job_id)s AND processed_at IS NULL AND dead_at IS NULL
               ORDER BY id FOR UPDATE SKIP LOCKED);

-- name: outbox.settle -- writes
-- Undeliverable messages whose regions were sent again, or need not be sent: nobody has to look at them any more.
UPDATE outbox SET processed_at = clock_timestamp()
 WHERE job_id = %(job_id)s AND dead_at IS NOT NULL AND processed_at IS NULL
   AND topic = ANY (SELECT 'beacon-' || lower(r.region) FROM unnest(%(regions)s::text[]) AS r (region));
