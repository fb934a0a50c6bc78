-- Jobs that ended long ago, with all rows that this system would have written.
INSERT INTO jobs (id, status, version, plan, questions, runs, min_regions, min_success_rate, timeout_seconds,
                  provider_timeout_seconds, queued_until, created_at, started_at, completed_at, public_key, signature_form,
                  digest, spec, spec_raw, outcome, completed_units, failed_units, cancelled_units,
                  name, submitter)
SELECT 'old-' || n, 'completed', 5, '{"US": ["m1"]}', '[{"id": "q1", "text": "What is the capital of France?"}]', 1, 1, 0.67, 600, 300,
       t, t, t, t, :key, 'jcs', decode(md5(n::text) || md5(n::text), 'hex'), :spec::text::jsonb, convert_to(:spec::text, 'UTF8'), 'completed', 1, 0, 0,
       'Capital ' || mod(n, 1000), 'team-' || mod(n, 50)
  FROM generate_series(:first::integer, :last::integer) AS g (n),
       LATERAL (SELECT clock_timestamp() - make_interval(secs => (10000000 - n) / 10.0) AS t) AS at;
INSERT INTO idempotency_keys (key, request_digest, job_id, created_at, expires_at)
SELECT 'job:old-' || n, decode(md5(n::text) || md5(n::text), 'hex'), 'old-' || n, clock_timestamp(), clock_timestamp() + interval '7 days'
  FROM generate_series(:first::integer, :last::integer) AS g (n);
INSERT INTO nonces (public_key, nonce, job_id)
SELECT :key, 'old-' || n, 'old-' || n FROM generate_series(:first::integer, :last::integer) AS g (n);
INSERT INTO outbox (job_id, topic, payload, processed_at, dispatch_id, attempts)
SELECT 'old-' || n, 'beacon-us', jsonb_build_object('id', 'old-' || n, 'attempt', 0, 'request_id', '', 'enqueued_at', '2026-01-01T00:00:00.000000Z'),
       clock_timestamp(), md5(n::text), 1
  FROM generate_series(:first::integer, :last::integer) AS g (n);
INSERT INTO region_runs (job_id, region, attempt, max_attempts, worker, started_at, deadline, finished_at)
SELECT 'old-' || n, 'US', 1, 3, 'us-host-1-abcd', clock_timestamp(), clock_timestamp(), clock_timestamp()
  FROM generate_series(:first::integer, :last::integer) AS g (n);
INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at, created_at, duration_ms, output, parameters, receipt)
SELECT 'old-' || n, 'US', 'm1', 'completed', 'sandbox-us', 1, t, t, t, 0, :output::jsonb, :parameters::jsonb, :receipt::jsonb
  FROM generate_series(:first::integer, :last::integer) AS g (n),
       LATERAL (SELECT clock_timestamp() - make_interval(secs => (10000000 - n) / 10.0) AS t) AS at;
INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, calls, started_at, completed_at, duration_ms, output)
SELECT 'old-' || n, 'US', 'm1', 'q1', 1, 'ok', 'sandbox-us', 1, 1, clock_timestamp(), clock_timestamp(), 0, :answer::jsonb
  FROM generate_series(:first::integer, :last::integer) AS g (n);
INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
SELECT a.job_id, a.region, a.model_id, a.question_id, a.run_no, 1, 1, a.id, a.provider_id
  FROM generate_series(:first::integer, :last::integer) AS g (n) JOIN answers a ON a.job_id = 'old-' || n;
INSERT INTO job_events (job_id, seq, type, region, model_id, detail)
SELECT 'old-' || n, e.seq, e.type, 'US', e.model_id, e.detail
  FROM generate_series(:first::integer, :last::integer) AS g (n),
       (VALUES (1, 'submitted', NULL, '{"units": 1, "regions": ["US"]}'::jsonb),
               (2, 'region_claimed', NULL, '{"worker": "us-host-1-abcd", "attempt": 1}'),
               (3, 'execution_recorded', 'm1', '{"status": "completed"}'),
               (4, 'region_finished', NULL, '{"units": 1, "attempt": 1, "completed": 1}'),
               (5, 'job_completed', NULL, '{"regions": 1, "succeeded": 1}')) AS e (seq, type, model_id, detail)
