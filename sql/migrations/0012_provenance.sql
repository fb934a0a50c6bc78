-- What a job asks its models with, and what is kept of each answer: who served the answer, the parameters as sent, and
-- how long the call waited and the answer took. New columns without a default: no table is rewritten or read, and the locks
-- are held for a moment. Behind a transaction that keeps its locks everybody else would wait with the migration, so it gives
-- up instead and can be repeated.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 6561c26e2079dc011aa0b963cd4b7ac74bc0158366a7532470b8b3408e2e30e9
SET LOCAL lock_timeout = '3s';

-- The parameters that the signed job gives: {"job": {..}, "models": {"id": {..}}}; null if it gives none.
ALTER TABLE jobs ADD COLUMN parameters jsonb;

-- paid: whether the call was paid for, as far as can be known. Rows of earlier releases have none of these, so the constraint
-- need not be validated: that reads the whole table while nobody may use it (3.3 s with a million answers).
ALTER TABLE answers
  ADD COLUMN served jsonb,
  ADD COLUMN sent jsonb,
  ADD COLUMN waited_ms bigint,
  ADD COLUMN answered_ms bigint,
  ADD COLUMN paid text,
  ADD CONSTRAINT answers_paid_check CHECK (paid IN ('no', 'maybe', 'yes')) NOT VALID;

-- served: the different {model, fingerprint, upstream, geography} of the execution's answers, sorted; answered_ms: the mean
-- of its answers' times.
ALTER TABLE executions
  ADD COLUMN served jsonb,
  ADD COLUMN answered_ms bigint;

-- The state of each (provider, model) in a worker: calls in flight, calls that wait, the breaker.
ALTER TABLE processes ADD COLUMN providers jsonb;

-- reopen_units: as before, and the earlier result has the failed answers too: their partial texts, tokens and request ids
-- were paid for, and a retry deletes the rows.
CREATE OR REPLACE FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer)
RETURNS TABLE (unit_region text, unit_model text, earlier jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH chosen AS (
    SELECT e.id, e.region, e.model_id
      FROM executions e JOIN region_runs r ON r.job_id = e.job_id AND r.region = e.region
     WHERE e.job_id = job AND e.status = 'failed' AND r.finished_at IS NOT NULL
       AND (only_region IS NULL OR e.region = only_region)
       AND (only_model IS NULL OR e.model_id = only_model)
       AND (only_question IS NULL OR NOT EXISTS (
             SELECT 1 FROM answers a WHERE a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id
                AND a.question_id = only_question AND a.status = 'ok'))
  ), forgotten AS (
    DELETE FROM answers a USING chosen c
     WHERE a.job_id = job AND a.region = c.region AND a.model_id = c.model_id AND a.status = 'failed'
       AND (only_question IS NULL OR a.question_id = only_question)
    RETURNING a.region, a.model_id, a.question_id, a.run_no, a.error, a.errors, a.sent, a.paid
  ), reopened AS (
    UPDATE region_runs r SET finished_at = NULL, last_error = NULL, max_attempts = r.attempt + more_attempts
     WHERE r.job_id = job AND r.region IN (SELECT c.region FROM chosen c)
  ), deleted AS (
    DELETE FROM executions e USING chosen c WHERE e.id = c.id
    RETURNING e.id, e.region, e.model_id, e.status, e.attempt, e.error, e.completed_at
  )
  SELECT d.region, d.model_id,
         jsonb_build_object('execution_id', d.id, 'status', d.status, 'attempt', d.attempt, 'error', d.error,
                            'completed_at', d.completed_at,
                            'answers', COALESCE((SELECT jsonb_agg(jsonb_build_object(
                                'question_id', f.question_id, 'run_no', f.run_no, 'error', f.error, 'errors', f.errors,
                                'sent', f.sent, 'paid', f.paid) ORDER BY f.question_id, f.run_no)
                              FROM forgotten f WHERE f.region = d.region AND f.model_id = d.model_id), '[]'))
    FROM deleted d;
END $$;
