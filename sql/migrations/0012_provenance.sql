-- What a job asks its models with, and what is kept of each answer: who served the answer, the parameters as sent, and
-- how long the call waited and the answer took. New columns without a default: the tables are not rewritten, and each
-- lock is held for a moment.

-- The parameters that the signed job gives: {"job": {..}, "models": {"id": {..}}}; null if it gives none.
ALTER TABLE jobs ADD COLUMN parameters jsonb;

-- paid: whether the call was paid for, as far as can be known. Rows of earlier releases have none of these.
ALTER TABLE answers
  ADD COLUMN served jsonb,
  ADD COLUMN sent jsonb,
  ADD COLUMN waited_ms bigint,
  ADD COLUMN answered_ms bigint,
  ADD COLUMN paid text CHECK (paid IN ('no', 'maybe', 'yes'));

-- The different {model, fingerprint, upstream, geography} of the execution's answers, sorted.
ALTER TABLE executions ADD COLUMN served jsonb;

-- The state of each (provider, model) in a worker: calls in flight, calls that wait, the breaker.
ALTER TABLE processes ADD COLUMN providers jsonb;
