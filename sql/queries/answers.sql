-- name: answers.start -- writes
-- Insert or renew the row of a call and the row of its first try, before the request is sent. A call without a result
-- row must not be made: its token has lost the lease, or the question has an answer already.
WITH allowed AS MATERIALIZED (
  SELECT w.job_id, w.region, w.model_id, w.question_id, w.run_no, w.provider_id, r.attempt
    FROM unnest(%(job_id)s::text[], %(region)s::text[], %(model_id)s::text[], %(question_id)s::text[], %(run_no)s::integer[],
                %(provider_id)s::text[], %(token)s::uuid[])
         AS w (job_id, region, model_id, question_id, run_no, provider_id, token)
    JOIN region_runs r ON r.job_id = w.job_id AND r.region = w.region AND r.lease_token = w.token
   WHERE r.job_id = ANY (%(job_id)s::text[])
), begun AS (
  INSERT INTO answers AS a (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, started_at)
  SELECT job_id, region, model_id, question_id, run_no, 'started', provider_id, attempt, statement_timestamp()
    FROM allowed ORDER BY job_id, region, model_id, question_id, run_no
  ON CONFLICT (job_id, region, model_id, question_id, run_no) DO UPDATE
     SET attempt = EXCLUDED.attempt, started_at = EXCLUDED.started_at, provider_id = EXCLUDED.provider_id
   WHERE a.status = 'started'
  RETURNING a.job_id, a.region, a.model_id, a.question_id, a.run_no, a.attempt, a.id, a.provider_id
), tried AS (
  INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
  SELECT job_id, region, model_id, question_id, run_no, attempt, 1, id, provider_id FROM begun
  ON CONFLICT (job_id, region, model_id, question_id, run_no, attempt, number) DO NOTHING
)
SELECT job_id, region, model_id, question_id, run_no FROM begun;

-- name: answers.finish -- writes
-- Store the end of a call. A usable answer was paid for, so it is stored even after the lease has gone to another
-- worker, unless the region has ended or that worker has asked the question again or recorded the unit. A failure is
-- stored only with the lease. A stored usable answer is never overwritten, so the repeat after a connection lost in
-- COMMIT counts no call twice. holder: the token that has the lease, empty if none has it, null if the region has ended.
WITH given AS MATERIALIZED (
  SELECT w.*, (SELECT COALESCE(x.lease_token::text, '') FROM region_runs x
                WHERE x.job_id = w.job_id AND x.region = w.region AND x.finished_at IS NULL) AS holder
    FROM unnest(%(job_id)s::text[], %(region)s::text[], %(model_id)s::text[], %(question_id)s::text[], %(run_no)s::integer[],
                %(token)s::uuid[], %(attempt)s::integer[], %(status)s::text[], %(provider_id)s::text[], %(calls)s::integer[], %(completed_at)s::timestamptz[],
                %(duration_ms)s::bigint[], %(output)s::jsonb[], %(error_detail)s::jsonb[], %(earlier)s::jsonb[],
                %(served)s::jsonb[], %(sent)s::jsonb[], %(waited_ms)s::bigint[], %(answered_ms)s::bigint[], %(paid)s::text[])
         AS w (job_id, region, model_id, question_id, run_no, token, attempt, status, provider_id, calls, completed_at, duration_ms,
               output, error, errors, served, sent, waited_ms, answered_ms, paid)
)
UPDATE answers a
   SET status = w.status, provider_id = w.provider_id, calls = a.calls + w.calls, completed_at = w.completed_at,
       duration_ms = w.duration_ms, output = w.output, error = w.error, errors = w.errors, served = w.served, sent = w.sent,
       waited_ms = w.waited_ms, answered_ms = w.answered_ms, paid = w.paid
  FROM given w
 WHERE a.job_id = w.job_id AND a.region = w.region AND a.model_id = w.model_id AND a.question_id = w.question_id
   AND a.run_no = w.run_no AND a.job_id = ANY (%(job_id)s::text[]) AND w.holder IS NOT NULL
   AND CASE w.status WHEN 'ok' THEN a.status <> 'ok' AND (w.holder = w.token::text OR a.attempt = w.attempt
                            AND NOT EXISTS (SELECT FROM executions e WHERE e.job_id = w.job_id AND e.region = w.region
                                               AND e.model_id = w.model_id))
                     ELSE a.status = 'started' AND w.holder = w.token::text END;
