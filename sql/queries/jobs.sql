-- name: jobs.submit -- writes
-- Transaction A, for one job or a group of jobs with different ids: insert the job, its idempotency key, its nonce, its
-- first event and one outbox row per region, and notify the publishers. A job that exists gives no result row. Rows are
-- inserted in a fixed order, so that two groups can't deadlock. ON CONFLICT instead of a query for existing jobs: such
-- a query was planned while the tables were small, and then scanned the whole tables.
WITH received AS (
  SELECT *
    FROM json_to_recordset(%(jobs)s::json)
      AS r (id text, plan jsonb, questions jsonb, runs integer, min_regions integer, min_success_rate numeric,
            timeout_seconds double precision, provider_timeout_seconds double precision, enable_analysis boolean,
            request_id text, traceparent text, public_key text, signature_form text, digest bytea, spec jsonb, spec_raw bytea,
            parameters jsonb, analysis jsonb, name text, key text, nonce text, actor text, regions json)
), planned AS (
  SELECT r.id, p.region, p.units, p.number
    FROM received r,
         ROWS FROM (json_to_recordset(r.regions) AS (region text, units integer)) WITH ORDINALITY AS p (region, units, number)
), job AS (
  INSERT INTO jobs (id, plan, questions, runs, min_regions, min_success_rate, timeout_seconds, provider_timeout_seconds,
                    enable_analysis, request_id, traceparent, public_key, signature_form, digest, spec, spec_raw, parameters,
                    analysis, name, submitter, queued_until)
  SELECT id, plan, questions, runs, min_regions, min_success_rate, timeout_seconds, provider_timeout_seconds,
         enable_analysis, request_id, traceparent, public_key, signature_form, digest, spec, spec_raw, parameters,
         analysis, name, left(actor, 200), clock_timestamp() + make_interval(secs => %(queue_timeout_seconds)s)
    FROM received ORDER BY id
  ON CONFLICT (id) DO NOTHING
  RETURNING id, cross_region_execution_id, created_at, request_id
), key AS (
  INSERT INTO idempotency_keys (key, request_digest, job_id, expires_at)
  SELECT r.key, r.digest, r.id, clock_timestamp() + make_interval(days => %(key_days)s)
    FROM job JOIN received r USING (id) ORDER BY r.key
), nonce AS (
  INSERT INTO nonces (public_key, nonce, job_id)
  SELECT r.public_key, r.nonce, r.id
    FROM job JOIN received r USING (id)
   WHERE r.nonce IS NOT NULL AND r.public_key IS NOT NULL ORDER BY r.nonce
), event AS (
  INSERT INTO job_events (job_id, seq, type, actor, detail)
  SELECT r.id, 1, 'submitted', r.actor,
         jsonb_build_object('regions', p.regions, 'units', p.units, 'form', r.signature_form, 'request_id', r.request_id)
    FROM job JOIN received r USING (id)
    JOIN (SELECT id, jsonb_agg(region ORDER BY number) AS regions, sum(units) AS units FROM planned GROUP BY id) p USING (id)
), staged AS (
  INSERT INTO outbox (job_id, topic, payload)
  SELECT job.id, topic(p.region),
         jsonb_build_object('id', job.id, 'attempt', 0, 'request_id', job.request_id, 'enqueued_at',
                            to_char(job.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    FROM job JOIN planned p ON p.id = job.id
   ORDER BY p.number
), told AS (
  SELECT CASE WHEN %(notify)s::boolean
              THEN pg_notify(CASE current_schema() WHEN 'public' THEN 'beacon' ELSE current_schema() END || '_outbox', '')::text END
    FROM (SELECT FROM job LIMIT 1) AS accepted
)
SELECT job.id, job.cross_region_execution_id, job.created_at FROM job CROSS JOIN told;

-- name: jobs.repeats
-- After the database has refused a group: the jobs whose key or nonce was used before. The other jobs are then
-- inserted.
SELECT r.id
  FROM unnest(%(job_ids)s::text[], %(keys)s::text[], %(public_keys)s::text[], %(nonces)s::text[])
    AS r (id, key, public_key, nonce)
 WHERE EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.key = r.key)
    OR EXISTS (SELECT 1 FROM nonces n WHERE n.public_key = r.public_key AND n.nonce = r.nonce);

-- name: jobs.lock
-- Every transaction that changes a job's regions, units or status begins with this: it locks the jobs first, in id
-- order. FOR NO KEY UPDATE, because FOR UPDATE deadlocks with the foreign keys' KEY SHARE locks when two regions finish
-- together. The trace id goes into the audit log.
SELECT id, traceparent FROM jobs WHERE id = ANY (%(job_ids)s::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: jobs.close -- writes
-- Set each job's status from its regions, its executions and its cancellation.
WITH closed AS MATERIALIZED (SELECT * FROM close_jobs(%(job_ids)s::text[]))
SELECT c.closed_job AS job_id, c.closed_status AS status, c.closed_succeeded AS succeeded, c.closed_planned AS planned,
       (SELECT j.traceparent FROM jobs j WHERE j.id = c.closed_job) AS traceparent
  FROM closed c;

-- name: jobs.cancel -- writes
-- Mark the job as cancelled. No result row if the job has ended or does not exist.
WITH cancelled AS (
  UPDATE jobs SET cancelled_at = statement_timestamp(), version = version + 1, updated_at = statement_timestamp()
   WHERE id = %(job_id)s AND status IN ('queued', 'running')
  RETURNING id, version, status, cancelled_at
), noted AS (
  INSERT INTO job_events (job_id, seq, type, actor, detail)
  SELECT id, version, 'cancel_requested', %(actor)s,
         jsonb_build_object('previous_status', status, 'action_id', %(action_id)s::text)
    FROM cancelled
)
SELECT id, status AS previous_status, cancelled_at FROM cancelled;

-- name: jobs.cancel_units -- writes
-- Insert a cancelled execution for every unit without one. The function runs with the owner's rights, because the API's
-- login may not write executions.
SELECT cancel_units(%(job_id)s, %(reason)s::jsonb) AS cancelled;

-- name: jobs.reopen_units -- writes
-- Delete the executions of failed units in finished regions. Return these executions; the event of the retry keeps
-- them.
SELECT unit_region AS region, unit_model AS model_id, earlier
  FROM reopen_units(%(job_id)s, %(region)s, %(model_id)s, %(question_id)s, %(more_attempts)s, %(units)s::jsonb);

-- name: jobs.reopen -- writes
-- Set the job to running for a retry, unless it was cancelled.
WITH reopened AS (
  UPDATE jobs SET status = 'running', completed_at = NULL, outcome = NULL, completed_units = NULL, failed_units = NULL,
         cancelled_units = NULL, version = version + 1, updated_at = statement_timestamp(),
         queued_until = statement_timestamp() + make_interval(secs => %(queue_timeout_seconds)s)
   WHERE id = %(job_id)s AND status IN ('running', 'completed', 'failed')
  RETURNING id, version
), noted AS (
  INSERT INTO job_events (job_id, seq, type, actor, detail)
  SELECT id, version, 'retry_requested', %(actor)s, %(detail)s::jsonb FROM reopened
)
SELECT id, version FROM reopened;

-- name: jobs.state
-- The columns from which cancel and retry decide; read while the job is locked.
SELECT id, status, version, public_key, plan, questions, parameters FROM jobs WHERE id = %(job_id)s;

-- name: jobs.stored
-- The job of a repeated submission: the digest to compare with, and the columns of the answer.
SELECT j.id, j.status, j.digest, j.cross_region_execution_id, j.created_at, j.plan, j.min_regions, j.enable_analysis
  FROM jobs j WHERE j.id = %(job_id)s;

-- name: jobs.action
-- The event of a cancellation or retry that was committed before. Asked when the transaction is repeated after a
-- connection was lost in COMMIT.
SELECT type, detail, at FROM job_events
 WHERE job_id = %(job_id)s AND type IN ('cancel_requested', 'retry_requested') AND detail ->> 'action_id' = %(action_id)s;
