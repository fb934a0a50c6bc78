-- The rows that an accepted job leaves: the job, its key and its first event. Ids are prefix || first .. prefix || last.
WITH job AS (
  INSERT INTO jobs (id, plan, questions, runs, min_regions, min_success_rate, timeout_seconds, provider_timeout_seconds,
                    queued_until, public_key, signature_form, digest, spec, spec_raw, name, submitter)
  SELECT :prefix || n, :plan::jsonb, :questions::jsonb, 1, 1, 0.67, 600, 300,
         clock_timestamp() + interval '1 day', :key, 'jcs', decode(md5(n::text) || md5(n::text), 'hex'), :spec::text::jsonb,
         convert_to(:spec::text, 'UTF8'), 'bench', 'bench'
    FROM generate_series(:first::integer, :last::integer) AS g (n)
  RETURNING id, digest, created_at
), key AS (
  INSERT INTO idempotency_keys (key, request_digest, job_id, expires_at)
  SELECT 'job:' || id, digest, id, clock_timestamp() + interval '7 days' FROM job
)
INSERT INTO job_events (job_id, seq, type, actor, detail)
SELECT id, 1, 'submitted', 'bench', '{"units": 1, "regions": ["US"]}' FROM job
