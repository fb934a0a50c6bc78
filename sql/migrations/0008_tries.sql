-- tries: one request to a provider, written before it is sent. The answer's own counters could not promise that every
-- call is counted: a crash loses what its worker had not written yet, and a retry deletes the failed answer. A try's row
-- outlives both. A try that ended before it reached the provider is deleted again, so that the rows are the calls.
-- The attempts of a region only rise, so a retry's tries are new rows. answer_id says which answer a try belongs to,
-- should a retry ask the same question again. No foreign key, for the reason that job_events has none: whoever inserts
-- has read or written the answer's row in the same statement.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 6db4dc96c8d2834832cafbb3b8886e1ac1b90e7301ecca35f462453a7bab938d
CREATE TABLE tries (
  job_id      text NOT NULL,
  region      text NOT NULL,
  model_id    text NOT NULL,
  question_id text NOT NULL,
  run_no      integer NOT NULL,
  attempt     integer NOT NULL,
  number      integer NOT NULL CHECK (number >= 1),
  answer_id   bigint NOT NULL,
  provider_id text,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (job_id, region, model_id, question_id, run_no, attempt, number)
);

-- Tries go with their job, by the trigger that removes its events.
CREATE OR REPLACE FUNCTION forget_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  DELETE FROM job_events v USING gone g WHERE v.job_id = g.id;
  DELETE FROM tries t USING gone g WHERE t.job_id = g.id;
  RETURN NULL;
END $$;
