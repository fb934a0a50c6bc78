-- The rows of ended, queued and running jobs as the processes leave them, in one go. A job has one region, one model and
-- three questions. Ids are random, as clients' are, so that neighbours in an index are strangers in the table. Every
-- fifth job is for EU and every fiftieth for ASIA, so that no region is the whole table. Redis has been away for a while:
-- most of the queued jobs' messages have not been sent. Every other job ended before jobs kept their outcome and their name. Nothing is
-- old enough to be removed after seven days.
CREATE TEMP TABLE crowd AS
SELECT n, 'job-' || md5('job' || n)::uuid AS id, n <= %(ended)s AS ended, n > %(ended)s + %(queued)s AS running,
       CASE WHEN mod(n, 50) = 0 THEN 'ASIA' WHEN mod(n, 5) = 0 THEN 'EU' ELSE 'US' END AS region,
       CASE WHEN mod(n, 20) = 0 THEN 'failed' WHEN mod(n, 33) = 0 THEN 'cancelled' ELSE 'completed' END AS outcome,
       CASE WHEN n <= %(ended)s THEN now() - interval '25 minutes' - interval '6 days' * (1 - n / (%(ended)s + 1.0))
            ELSE now() - interval '20 minutes' * (1 - (n - %(ended)s) / (%(queued)s + %(running)s + 1.0)) END AS at
  FROM generate_series(1, %(ended)s + %(queued)s + %(running)s) AS g (n);

INSERT INTO jobs (id, status, version, plan, questions, runs, min_regions, min_success_rate, timeout_seconds,
                  provider_timeout_seconds, queued_until, created_at, updated_at, started_at, completed_at,
                  cancelled_at, public_key, signature_form, digest, spec, spec_raw, outcome, completed_units,
                  failed_units, cancelled_units, name, submitter)
SELECT id, CASE WHEN ended THEN outcome WHEN running THEN 'running' ELSE 'queued' END,
       CASE WHEN ended THEN 8 WHEN running THEN 2 ELSE 1 END, jsonb_build_object(region, ARRAY['m1']),
       (SELECT jsonb_agg(jsonb_build_object('id', 'q' || q, 'text', 'What is the answer to question ' || q || '?'))
          FROM generate_series(1, 3) AS s (q)),
       1, 1, 0.67, 600, 300, at + interval '1 day', at, at, CASE WHEN ended OR running THEN at END,
       CASE WHEN ended THEN at + interval '20 seconds' END, CASE WHEN ended AND outcome = 'cancelled' THEN at END,
       'key-' || mod(n, 7), 'jcs', sha256(id::bytea), jsonb_build_object('id', id, 'description', repeat('a job ', 100)),
       convert_to('{"id": "' || id || '", "description": "' || repeat('a job ', 100) || '"}', 'UTF8'),
       CASE WHEN kept THEN outcome END, CASE WHEN kept THEN (outcome = 'completed')::integer END,
       CASE WHEN kept THEN (outcome = 'failed')::integer END, CASE WHEN kept THEN (outcome = 'cancelled')::integer END,
       CASE WHEN kept OR NOT ended THEN 'Nightly ' || mod(n, 500) END, CASE WHEN kept OR NOT ended THEN 'tester ' || mod(n, 7) END
  FROM (SELECT *, ended AND mod(n, 2) = 0 AS kept FROM crowd) c ORDER BY n;

INSERT INTO idempotency_keys (key, request_digest, job_id, created_at, expires_at)
SELECT 'job:' || id, sha256(id::bytea), id, at, at + interval '7 days' FROM crowd ORDER BY n;

INSERT INTO nonces (public_key, nonce, job_id, created_at)
SELECT 'key-' || mod(n, 7), md5(id), id, at FROM crowd ORDER BY n;

INSERT INTO outbox (job_id, topic, payload, created_at, available_at, processed_at, dispatch_id, attempts)
SELECT id, 'beacon-' || lower(region), jsonb_build_object('id', id, 'attempt', 0, 'request_id', ''), at, at,
       CASE WHEN n <= %(ended)s + 8000 OR running THEN at + interval '10 milliseconds' END, md5('dispatch' || n), 1
  FROM crowd ORDER BY n;

INSERT INTO region_runs (job_id, region, attempt, max_attempts, lease_token, lease_expires_at, worker, started_at,
                         deadline, finished_at)
SELECT id, region, 1, 3, CASE WHEN running THEN md5('token' || n)::uuid END,
       CASE WHEN running THEN now() + interval '1 hour' END, lower(region) || '-host-' || mod(n, 3) || '-abcd', at,
       at + interval '10 minutes', CASE WHEN ended THEN at + interval '20 seconds' END
  FROM crowd WHERE ended OR running ORDER BY n;

INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at, created_at,
                        duration_ms, error, output, receipt)
SELECT id, region, 'm1', outcome, 'sandbox-' || lower(region), 1, at, at + interval '20 seconds',
       at + interval '20 seconds', mod(n, 20000),
       CASE WHEN outcome <> 'completed' THEN jsonb_build_object('code', 'http_503', 'message', 'away') END,
       CASE WHEN outcome = 'completed' THEN jsonb_build_object('response', repeat('an answer ', 10)) END,
       jsonb_build_object('schema_version', 'v1', 'signature', repeat('x', 400))
  FROM crowd WHERE ended ORDER BY n;

INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, calls, started_at,
                     completed_at, created_at, duration_ms, output, error)
SELECT id, region, 'm1', 'q' || q, 1,
       CASE WHEN running THEN 'started' WHEN outcome = 'completed' THEN 'ok' ELSE 'failed' END,
       'sandbox-' || lower(region), 1, 1, at, CASE WHEN ended THEN at + interval '9 seconds' END, at, mod(n, 9000),
       CASE WHEN ended AND outcome = 'completed' THEN jsonb_build_object('response', repeat('an answer ', 10)) END,
       CASE WHEN ended AND outcome <> 'completed' THEN jsonb_build_object('code', 'http_503', 'message', 'away') END
  FROM crowd, generate_series(1, 3) AS s (q) WHERE ended OR running ORDER BY n, q;

INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
SELECT a.job_id, a.region, a.model_id, a.question_id, a.run_no, 1, 1, a.id, a.provider_id FROM answers a ORDER BY a.id;

INSERT INTO job_events (job_id, seq, type, region, at)
SELECT id, seq, type, CASE WHEN seq IN (1, 8) THEN NULL ELSE region END, at + seq * interval '1 second'
  FROM crowd, (VALUES (1, 'submitted'), (2, 'region_claimed'), (3, 'lease_expired'), (4, 'region_staged'),
                      (5, 'region_claimed'), (6, 'execution_recorded'), (7, 'region_finished'),
                      (8, 'job_completed')) AS e (seq, type)
 WHERE ended OR seq = 1 OR running AND seq = 2 ORDER BY n, seq;

DROP TABLE crowd
