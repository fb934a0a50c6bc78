-- What a judge says of answers, and whose analyses are shown. New tables, and an index of the labels of people: no large
-- table is read or rewritten. It gives up instead of waiting for long for a lock, and can be repeated.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 03258d7c84e40ecd2d0480c424659b0029f76609fae3882e16f4e55359d3e861
SET LOCAL lock_timeout = '3s';

-- judgements: what a judge, a model, was asked about an answer and said of it. One row for an answer and a judge, whatever
-- happens. All answers of a job get their rows at once, as open ones. A worker takes an open row by a lease and counts the
-- request before it sends the request; the reply of whoever comes first stays. A killed worker's lease expires, and the
-- answer is asked about again. `requests` counts towards the requests of a day. `tries` counts those that may have failed
-- because of this answer, so that one answer is not paid for again and again.
CREATE TABLE judgements (
  answer_id    bigint NOT NULL,
  judge        text NOT NULL CHECK (judge <> ''),     -- the judge's id, with the SHA-256 of its prompt
  job_id       text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  requests     integer NOT NULL DEFAULT 0 CHECK (requests >= 0),
  tries        integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  asked_at     timestamptz,                            -- of the newest request
  open_at      timestamptz DEFAULT clock_timestamp(),  -- from when on a worker may take the row; null when it has ended
  reply        text,                                   -- the raw reply; null after an error
  category     text CHECK (category IN ('content_filter', 'hard_refusal', 'partial_refusal', 'deflection', 'non_answer',
                                        'answer')),    -- null if the reply names none, or several
  error        text,                                   -- the code of the failed call
  sent         jsonb,                                  -- the parameters as sent
  labelled     boolean NOT NULL DEFAULT false,         -- whether answer_labels has the category
  PRIMARY KEY (answer_id, judge),
  CHECK (open_at IS NULL OR (reply IS NULL AND error IS NULL)),
  CHECK (category IS NULL OR reply IS NOT NULL)
);
-- No foreign key to answers, as in answer_labels.
CREATE INDEX judgements_job_idx ON judgements (job_id);
CREATE INDEX judgements_asked_idx ON judgements (judge, asked_at);
CREATE INDEX judgements_open_idx ON judgements (judge, open_at) WHERE open_at IS NOT NULL;
CREATE INDEX judgements_unlabelled_idx ON judgements (judge, job_id) WHERE category IS NOT NULL AND NOT labelled;

-- The labels of people alone, for the comparison of judge and people: judges label thousands of answers a day.
CREATE INDEX answer_labels_human_idx ON answer_labels (answer_id, id DESC) INCLUDE (category) WHERE source = 'human';

-- Adds labels of a judge's categories of a job, of answers that are there; returns their number. A worker may add no other
-- label: a label of a person overrules every category, and lets a judge count. The job is locked, so that the ids of its
-- labels grow in the order of the commits. The labels have one time, so that one page of a look at labels has them all.
CREATE FUNCTION label_judged(of_job text, by_judge text, by_actor text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  labelled_at timestamptz;
  added bigint;
BEGIN
  PERFORM FROM jobs WHERE id = of_job FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  labelled_at := clock_timestamp();
  WITH named AS (
    UPDATE judgements SET labelled = true
     WHERE job_id = of_job AND judge = by_judge AND category IS NOT NULL AND NOT labelled
    RETURNING answer_id, job_id, category
  )
  INSERT INTO answer_labels (answer_id, job_id, category, source, actor, at)
  SELECT n.answer_id, n.job_id, n.category, 'judge', by_actor, labelled_at
    FROM named n JOIN answers a ON a.id = n.answer_id
   ORDER BY n.answer_id;
  GET DIAGNOSTICS added = ROW_COUNT;
  RETURN added;
END $$;

-- analysis_methods: the method whose analyses are shown; the newest row counts. Rows are only added. A job's state may have
-- analyses of several methods, and the newest of them is not the one to show when a judge's labels have stopped to count.
CREATE TABLE analysis_methods (
  id     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  method text NOT NULL CHECK (method <> ''),
  at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
