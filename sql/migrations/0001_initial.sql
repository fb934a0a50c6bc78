-- The tables of one signed cross-region job, from submission to its last answer.
-- PostgreSQL is the truth; Redis only carries hints that a region waits. Forward only.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 9e5f29ed5a552beff7f47ff86606753548c929e9db376df9766ad5291d7f973e

-- A database that holds other people's tables of these names must not be half adopted.
DO $$
DECLARE taken text;
BEGIN
  SELECT string_agg(relname, ', ' ORDER BY relname) INTO taken
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v', 'p')
     AND relname IN ('jobs', 'executions', 'outbox', 'idempotency_keys', 'nonces', 'region_runs', 'answers',
                     'job_events', 'processes', 'cross_region_executions', 'region_results');
  IF taken IS NOT NULL THEN
    RAISE EXCEPTION 'this database already holds tables of these names: %; Beacon Runner needs a schema of its own', taken;
  END IF;
END $$;

-- jobs: a submitted job. The received bytes are kept, because jsonb reorders keys and rewrites numbers and the
-- signature must stay checkable; the wide columns live out of line, so that a status change rewrites a narrow row.
CREATE TABLE jobs (
  id                        text PRIMARY KEY
                            -- Checked with every update: one class of characters is a tenth of the cost of {1,255}.
                            CHECK (id <> '' AND length(id) <= 255 AND id !~ '[^A-Za-z0-9._:-]'),
  cross_region_execution_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  status                    text NOT NULL DEFAULT 'queued'
                            CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
  version                   integer NOT NULL DEFAULT 1,
  plan                      jsonb NOT NULL CHECK (jsonb_typeof(plan) = 'object' AND plan <> '{}'),
  questions                 jsonb NOT NULL CHECK (jsonb_typeof(questions) = 'array'),
  runs                      integer NOT NULL DEFAULT 1 CHECK (runs BETWEEN 1 AND 10),
  min_regions               integer NOT NULL CHECK (min_regions >= 1),
  min_success_rate          numeric NOT NULL CHECK (min_success_rate BETWEEN 0 AND 1),
  timeout_seconds           double precision NOT NULL CHECK (timeout_seconds > 0),
  provider_timeout_seconds  double precision NOT NULL CHECK (provider_timeout_seconds > 0),
  enable_analysis           boolean,
  queued_until              timestamptz NOT NULL,
  created_at                timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at                timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at                timestamptz,
  completed_at              timestamptz,
  cancelled_at              timestamptz,
  request_id                text NOT NULL DEFAULT '',
  traceparent               text NOT NULL DEFAULT '',
  public_key                text,
  signature_form            text,
  digest                    bytea NOT NULL,
  spec                      jsonb NOT NULL,
  spec_raw                  bytea NOT NULL,
  CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
  CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL) OR status IN ('queued', 'running'))
) WITH (fillfactor = 70, toast_tuple_target = 256);
CREATE INDEX jobs_created_idx ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_status_created_idx ON jobs (status, created_at DESC, id DESC);
CREATE INDEX jobs_open_idx ON jobs (id) WHERE status IN ('queued', 'running');

-- idempotency_keys: one accepted key, the client's own or job:<id>. A second insert of it is how a repeat is known.
CREATE TABLE idempotency_keys (
  key            text NOT NULL,
  request_digest bytea NOT NULL,
  job_id         text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at     timestamptz NOT NULL
);
CREATE UNIQUE INDEX idempotency_keys_key_uidx ON idempotency_keys (key);
CREATE INDEX idempotency_keys_job_idx ON idempotency_keys (job_id);
CREATE INDEX idempotency_keys_expiry_idx ON idempotency_keys (expires_at);

-- nonces: one used (public key, nonce). Written with the job, after verification, so nobody else can burn it.
CREATE TABLE nonces (
  public_key text NOT NULL,
  nonce      text NOT NULL,
  job_id     text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (public_key, nonce)
);
CREATE INDEX nonces_created_idx ON nonces (created_at);

-- outbox: one message to publish, one region of one job. dispatch_id is what was pushed last, so that its
-- presence in Redis can be asked for; a rolled-back push never reuses one.
CREATE TABLE outbox (
  id           bigserial PRIMARY KEY,
  job_id       text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  topic        text NOT NULL,
  payload      jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  processed_at timestamptz,
  dispatch_id  text,
  attempts     integer NOT NULL DEFAULT 0,
  last_error   text,
  dead_at      timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
-- Partial and by id: claiming reads only what waits, whatever a year of processed rows has left behind.
CREATE INDEX outbox_unprocessed_idx ON outbox (id) WHERE processed_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_newest_idx ON outbox (job_id, topic, id DESC);
CREATE INDEX outbox_processed_idx ON outbox (processed_at) WHERE processed_at IS NOT NULL;
CREATE INDEX outbox_dead_idx ON outbox (id) WHERE dead_at IS NOT NULL AND processed_at IS NULL;

-- region_runs: the current run of one region of one job. Narrow, because heartbeats touch it; its expiry is not
-- indexed, because that would end HOT updates.
CREATE TABLE region_runs (
  job_id           text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  region           text NOT NULL,
  attempt          integer NOT NULL CHECK (attempt BETWEEN 0 AND max_attempts),
  max_attempts     integer NOT NULL,
  lease_token      uuid,
  lease_expires_at timestamptz,
  worker           text,
  started_at       timestamptz,
  deadline         timestamptz,
  finished_at      timestamptz,
  last_error       text,
  PRIMARY KEY (job_id, region),
  CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL)),
  CHECK (finished_at IS NULL OR lease_token IS NULL)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX region_runs_leased_idx ON region_runs (job_id, region) WHERE lease_token IS NOT NULL;

-- Rows of answers and executions share one series of ids, so that a client's row id names exactly one of them.
CREATE SEQUENCE result_ids;

-- executions: the result of one model in one region, written once; a second insert is an idempotent success.
CREATE TABLE executions (
  id             bigint PRIMARY KEY DEFAULT nextval('result_ids'),
  job_id         text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  region         text NOT NULL,
  model_id       text NOT NULL,
  status         text NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
  provider_id    text,
  attempt        integer NOT NULL DEFAULT 0,
  started_at     timestamptz,
  completed_at   timestamptz NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  duration_ms    integer,
  failed_answers integer NOT NULL DEFAULT 0,
  retry_count    integer NOT NULL DEFAULT 0,
  error          jsonb,
  output         jsonb,
  parameters     jsonb,
  receipt        jsonb,
  CHECK (status <> 'failed' OR error IS NOT NULL)
);
CREATE UNIQUE INDEX executions_job_region_model_uidx ON executions (job_id, region, model_id);
CREATE INDEX executions_created_idx ON executions (created_at DESC, id DESC);

-- answers: one paid call. Inserted as started before the first call and completed as soon as the provider has
-- answered, so that a crash pays for no answer twice; lost_calls counts calls whose answer a crash swallowed.
CREATE TABLE answers (
  id           bigint NOT NULL UNIQUE DEFAULT nextval('result_ids'),
  job_id       text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  region       text NOT NULL,
  model_id     text NOT NULL,
  question_id  text NOT NULL,
  run_no       integer NOT NULL,
  status       text NOT NULL CHECK (status IN ('started', 'ok', 'failed')),
  provider_id  text,
  attempt      integer NOT NULL,
  calls        integer NOT NULL DEFAULT 0,
  lost_calls   integer NOT NULL DEFAULT 0,
  started_at   timestamptz NOT NULL,
  completed_at timestamptz,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  duration_ms  integer,
  output       jsonb,
  error        jsonb,
  errors       jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (job_id, region, model_id, question_id, run_no),
  CHECK ((status = 'ok') = (output IS NOT NULL)),
  CHECK ((status = 'failed') = (error IS NOT NULL))
) WITH (fillfactor = 80);

-- job_events: what happened to a job, in the transaction in which it happened. seq is the job's version under its
-- row lock: a sequence would be drawn before commit, and a reader would miss what commits late.
CREATE TABLE job_events (
  job_id   text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  seq      integer NOT NULL,
  type     text NOT NULL CHECK (type IN ('submitted', 'region_claimed', 'region_released', 'lease_expired',
                                         'region_staged', 'execution_recorded', 'region_finished', 'cancel_requested',
                                         'retry_requested', 'job_running', 'job_completed', 'job_failed', 'job_cancelled')),
  region   text,
  model_id text,
  actor    text NOT NULL DEFAULT 'system',
  detail   jsonb NOT NULL DEFAULT '{}',
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (job_id, seq)
);

-- processes: one running process, seen every few seconds. This is how the API knows workers without Redis, and its
-- write and read-back is what a readiness probe does.
CREATE TABLE processes (
  id          text PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('api', 'publisher', 'worker', 'cli')),
  region      text,
  host        text NOT NULL,
  pid         integer NOT NULL,
  version     text NOT NULL,
  regions_sha text,
  concurrency integer,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- region_outcomes: every planned region of every job with what became of it. The one place that says when a region
-- has succeeded: when it has finished and at least one of its models completed.
CREATE VIEW region_outcomes AS
SELECT j.id AS job_id, p.region, r.attempt, r.worker, r.started_at, r.deadline, r.finished_at, r.last_error,
       CASE WHEN r.finished_at IS NOT NULL AND e.completed > 0 THEN 'success'
            WHEN r.finished_at IS NOT NULL AND e.cancelled = e.recorded THEN 'cancelled'
            WHEN r.finished_at IS NOT NULL AND e.timeouts = e.recorded THEN 'timeout'
            WHEN r.finished_at IS NOT NULL THEN 'failed'
            WHEN r.lease_token IS NOT NULL THEN 'running'
            ELSE 'pending' END AS status
  FROM jobs j
 CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
  LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
  LEFT JOIN LATERAL (
       SELECT count(*) AS recorded,
              count(*) FILTER (WHERE x.status = 'completed') AS completed,
              count(*) FILTER (WHERE x.status = 'cancelled') AS cancelled,
              count(*) FILTER (WHERE x.error ->> 'code' IN ('timeout', 'queue_timeout')) AS timeouts
         FROM executions x WHERE x.job_id = j.id AND x.region = p.region) e ON r.finished_at IS NOT NULL;

-- job_verdicts: the status that a job must have, from its regions, its executions and its cancellation.
-- Every verb that ends something writes what this says; `beacon verify` has a definition of its own.
CREATE VIEW job_verdicts AS
SELECT j.id AS job_id, t.planned, t.succeeded, t.finished,
       CASE WHEN j.cancelled_at IS NOT NULL THEN 'cancelled'
            WHEN t.finished < t.planned THEN CASE WHEN t.touched > 0 THEN 'running' ELSE 'queued' END
            WHEN t.succeeded >= j.min_regions THEN 'completed'
            ELSE 'failed' END AS status
  FROM jobs j
 CROSS JOIN LATERAL (
       SELECT count(*) AS planned, count(o.attempt) AS touched, count(o.finished_at) AS finished,
              count(*) FILTER (WHERE o.status = 'success') AS succeeded
         FROM region_outcomes o WHERE o.job_id = j.id) t;

-- cross_region_executions: the same job as cross-region clients see it. Partial means: enough regions succeeded for
-- the job to have ended well, too few for the rate that was asked for.
CREATE VIEW cross_region_executions AS
SELECT j.cross_region_execution_id AS id, j.id AS jobspec_id, v.planned::integer AS total_regions,
       v.succeeded::integer AS success_count, (v.finished - v.succeeded)::integer AS failure_count,
       j.min_regions AS min_regions_required, j.min_success_rate,
       CASE WHEN j.status IN ('queued', 'running') THEN 'running'
            WHEN j.status = 'completed' AND v.succeeded < j.min_success_rate * v.planned THEN 'partial'
            ELSE j.status END AS status,
       COALESCE(j.started_at, j.created_at) AS started_at, j.completed_at,
       (extract(epoch FROM j.completed_at - COALESCE(j.started_at, j.created_at)) * 1000)::bigint AS duration_ms,
       j.created_at
  FROM jobs j JOIN job_verdicts v ON v.job_id = j.id;

-- region_results: one planned region each. A region's output is its only model's, or all of them by name.
CREATE VIEW region_results AS
SELECT j.cross_region_execution_id, j.id AS jobspec_id, o.region, o.status, u.provider_id, o.started_at,
       o.finished_at AS completed_at,
       (extract(epoch FROM o.finished_at - o.started_at) * 1000)::bigint AS duration_ms,
       u.execution_output,
       CASE WHEN o.status IN ('failed', 'timeout', 'cancelled') THEN COALESCE(u.error_message, o.last_error) END AS error_message,
       NULL::jsonb AS scoring,
       jsonb_build_object('attempts', COALESCE(o.attempt, 0), 'models', j.plan -> o.region) AS metadata
  FROM jobs j
  JOIN region_outcomes o ON o.job_id = j.id
  LEFT JOIN LATERAL (
       SELECT string_agg(DISTINCT e.provider_id, ',') AS provider_id,
              min(e.error ->> 'message') AS error_message,
              CASE WHEN count(*) = 0 THEN NULL
                   WHEN jsonb_array_length(j.plan -> o.region) = 1 THEN (jsonb_agg(COALESCE(e.receipt, e.output)) -> 0)
                   ELSE jsonb_build_object('models', jsonb_object_agg(e.model_id, COALESCE(e.receipt, e.output)))
              END AS execution_output
         FROM executions e WHERE e.job_id = j.id AND e.region = o.region) u ON true;
