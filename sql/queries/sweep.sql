-- name: sweep.lead
-- Take the lead for one kind of work: one sweeper at a time does it. Leases and messages have separate locks, so that
-- expired leases do not wait for the long check of messages. The lock saves work; the statements are safe without it.
SELECT pg_try_advisory_xact_lock(CASE current_schema() WHEN 'public' THEN 4711 ELSE hashtext(current_schema()) END, %(work)s) AS leading;

-- name: sweep.expired
-- The jobs with an expired lease, except those set aside. The index of live leases finds these few rows.
SELECT DISTINCT job_id FROM region_runs
 WHERE lease_token IS NOT NULL AND lease_expires_at < clock_timestamp() AND job_id <> ALL (%(left_out)s::text[])
 ORDER BY job_id LIMIT %(page)s;

-- name: sweep.lock
-- Lock the open ones among these jobs; jobs that another transaction has locked are skipped.
SELECT id, traceparent FROM jobs WHERE id = ANY (%(job_ids)s::text[]) AND status IN ('queued', 'running')
 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: sweep.page
-- Lock the next page of open jobs in id order, except those set aside. Keyset paging reaches every job, however many
-- healthy jobs there are.
SELECT id, traceparent FROM jobs WHERE status IN ('queued', 'running') AND id > %(after)s AND id <> ALL (%(left_out)s::text[])
 ORDER BY id LIMIT %(page)s FOR NO KEY UPDATE SKIP LOCKED;

-- name: sweep.clear -- writes
-- Clear expired leases. From now on the previous holder's writes are fenced.
WITH lost AS (
  SELECT job_id, region FROM region_runs
   WHERE job_id = ANY (%(job_ids)s::text[]) AND lease_token IS NOT NULL AND lease_expires_at < statement_timestamp()
   ORDER BY job_id, region FOR NO KEY UPDATE
), cleared AS (
  UPDATE region_runs r SET lease_token = NULL, lease_expires_at = NULL, last_error = 'the lease ran out'
    FROM lost l WHERE r.job_id = l.job_id AND r.region = l.region
  RETURNING r.job_id, r.region, r.attempt, r.worker
), bumped AS (
  UPDATE jobs j SET version = j.version + c.n, updated_at = statement_timestamp()
    FROM (SELECT job_id, count(*) AS n FROM cleared GROUP BY job_id) c
   WHERE j.id = c.job_id
  RETURNING j.id, j.version - c.n AS base
), noted AS (
  INSERT INTO job_events (job_id, seq, type, region, detail)
  SELECT c.job_id, b.base + row_number() OVER (PARTITION BY c.job_id ORDER BY c.region), 'lease_expired', c.region,
         jsonb_build_object('attempt', c.attempt, 'worker', c.worker)
    FROM cleared c JOIN bumped b ON b.id = c.job_id
)
SELECT job_id, region FROM cleared;

-- name: sweep.doomed
-- The open regions that must end, with the reason: no attempts left, message undeliverable, or too long in the queue.
SELECT o.job_id, o.region,
       CASE WHEN r.attempt >= r.max_attempts THEN 'worker_crashed'
            WHEN m.dead_at IS NOT NULL THEN 'undeliverable'
            ELSE 'queue_timeout' END AS code, j.traceparent
  FROM jobs j
 CROSS JOIN LATERAL (SELECT j.id AS job_id, p.region FROM jsonb_object_keys(j.plan) AS p (region)) o
  LEFT JOIN region_runs r ON r.job_id = o.job_id AND r.region = o.region AND r.job_id = ANY (%(job_ids)s::text[])
  LEFT JOIN LATERAL (SELECT x.dead_at FROM outbox x WHERE x.job_id = o.job_id AND x.topic = topic(o.region)
                      ORDER BY x.id DESC LIMIT 1) m ON true
 WHERE j.id = ANY (%(job_ids)s::text[]) AND j.status IN ('queued', 'running')
   AND r.finished_at IS NULL AND r.lease_token IS NULL
   AND (r.attempt >= r.max_attempts OR m.dead_at IS NOT NULL
        -- If the region was claimed before, its time in the queue counts from the last claim.
        OR GREATEST(j.queued_until, r.started_at + (j.queued_until - j.created_at)) < clock_timestamp())
 ORDER BY o.job_id, o.region;

-- name: sweep.end -- writes
-- End these regions as failed, with an execution for every planned unit that has none.
SELECT ended_job AS job_id, ended_region AS region, ended_model AS model_id, ended_status AS status
  FROM end_units(%(job_ids)s::text[], %(regions)s::text[], 'failed', %(reasons)s::jsonb[]);

-- name: sweep.silent
-- The open regions without a lease whose newest message was pushed before as_of, with that message's dispatch id. The
-- region is lost if Redis does not have the message any more. The statement starts from the open regions, so that a
-- region without a waiting outbox row is found.
SELECT j.id AS job_id, p.region, topic(p.region) AS topic, m.dispatch_id
  FROM jobs j
 CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
  LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region AND r.job_id = ANY (%(job_ids)s::text[])
  LEFT JOIN LATERAL (SELECT x.id, x.dispatch_id, x.processed_at, x.dead_at FROM outbox x
                      WHERE x.job_id = j.id AND x.topic = topic(p.region) ORDER BY x.id DESC LIMIT 1) m ON true
 WHERE j.id = ANY (%(job_ids)s::text[]) AND j.status IN ('queued', 'running')
   AND r.finished_at IS NULL AND r.lease_token IS NULL AND m.dead_at IS NULL
   AND (m.id IS NULL OR m.processed_at < %(as_of)s)
 ORDER BY j.id, p.region;

-- name: sweep.clock
-- The database's time. Leases and ages are measured with no other clock.
SELECT clock_timestamp() AS now;

-- name: sweep.topics
-- The queues of the regions of all open jobs.
SELECT DISTINCT topic(p.region) AS topic
  FROM open_region_sets s CROSS JOIN LATERAL jsonb_array_elements_text(s.regions) AS p (region);

-- name: retention.outbox_due
-- Lock a batch of pushed messages that are older than the retention time.
SELECT o.id FROM outbox o JOIN jobs j ON j.id = o.job_id
 WHERE o.processed_at < statement_timestamp() - make_interval(days => %(days)s)
   AND j.status IN ('completed', 'failed', 'cancelled') AND o.id <> ALL (%(left_out)s::bigint[])
 ORDER BY o.processed_at LIMIT %(batch)s FOR UPDATE OF o SKIP LOCKED;

-- name: retention.outbox -- writes
-- Delete the rows that the previous statement has locked, by key: if the delete fails, the failing rows can be found.
DELETE FROM outbox WHERE id = ANY (%(ids)s::bigint[]);

-- name: retention.keys_due
-- Lock a batch of expired idempotency keys.
SELECT key AS id FROM idempotency_keys WHERE expires_at < statement_timestamp() AND key <> ALL (%(left_out)s::text[])
 ORDER BY expires_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED;

-- name: retention.keys -- writes
-- As retention.outbox.
DELETE FROM idempotency_keys WHERE key = ANY (%(keys)s::text[]);

-- name: retention.nonces_due
-- Lock a batch of old nonces. They are kept as long as idempotency keys: a later replay is refused by its timestamp.
-- Rows are identified by ctid, because their key has two columns and no transaction updates them.
SELECT ctid::text AS id FROM nonces
 WHERE created_at < statement_timestamp() - make_interval(days => %(days)s) AND ctid <> ALL (%(left_out)s::tid[])
 ORDER BY created_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED;

-- name: retention.nonces -- writes
-- As retention.outbox.
DELETE FROM nonces WHERE ctid = ANY (%(places)s::tid[]);

-- name: retention.embeddings_due
-- Lock a batch of results of embeddings that no analysis has used for as long as jobs are kept, and a day: a use in the
-- first day does not renew a result (embeddings.renew). So a result outlives every job that was analysed with it. A key is
-- told as one text: the digits of the SHA-256, a space, the model.
SELECT encode(text_sha256, 'hex') || ' ' || model AS id FROM embeddings
 WHERE created_at < statement_timestamp() - make_interval(days => %(days)s + 1)
   AND encode(text_sha256, 'hex') || ' ' || model <> ALL (%(left_out)s::text[])
 ORDER BY created_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED;

-- name: retention.embeddings -- writes
-- As retention.outbox.
DELETE FROM embeddings e USING unnest(%(texts)s::text[]) AS t (id)
 WHERE e.text_sha256 = decode(left(t.id, 64), 'hex') AND e.model = substr(t.id, 66);

-- name: retention.processes -- writes
-- Delete processes that have not been seen for an hour.
DELETE FROM processes WHERE seen_at < statement_timestamp() - interval '1 hour';

-- name: retention.jobs_due
-- Lock a batch of ended jobs that are older than the retention time.
SELECT id FROM jobs WHERE status IN ('completed', 'failed', 'cancelled')
   AND completed_at < statement_timestamp() - make_interval(days => %(days)s) AND id <> ALL (%(left_out)s::text[])
 ORDER BY completed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED;

-- name: retention.jobs -- writes
-- Delete jobs; the foreign keys delete everything that belongs to them.
DELETE FROM jobs WHERE id = ANY (%(job_ids)s::text[]);

-- name: sweep.fill -- writes
-- Fill what lists show of up to `batch` jobs that have none of it: those of earlier releases.
SELECT fill_jobs(%(batch)s) AS filled;
