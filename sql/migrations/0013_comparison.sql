-- What is computed from a job's answers (analyses), what people and judges say an answer is (answer_labels), and results
-- of sentence embeddings (embeddings). New tables, and a new column without a default: nothing is rewritten. Behind a
-- transaction that keeps its locks everybody else would wait with the migration, so it gives up instead and can be repeated.
SET LOCAL lock_timeout = '3s';

-- The controls and facts of the comparison that were fixed when the job was accepted: {"controls": [..], "facts": {..}};
-- null if there are none, and for jobs of earlier releases.
ALTER TABLE jobs ADD COLUMN analysis jsonb;

ALTER TABLE processes DROP CONSTRAINT processes_kind_check,
  ADD CONSTRAINT processes_kind_check CHECK (kind IN ('api', 'publisher', 'worker', 'cli', 'analyst'));

-- analyses: what one method made of one state of a job's answers. A state is a job's version with the newest label. Rows
-- are never changed. A retry that fails again and a label that confirms a category lead to a state with the same input,
-- so the input's hash alone is not the key: such a state would have no row, and stay due for ever.
CREATE TABLE analyses (
  job_id       text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  method       text NOT NULL CHECK (method <> ''),
  job_version  bigint NOT NULL CHECK (job_version >= 1),
  label_id     bigint NOT NULL DEFAULT 0,                         -- the newest label that the result knows; 0 for none
  input_sha256 bytea NOT NULL CHECK (length(input_sha256) = 32),  -- of the canonical JSON of what went in
  result       jsonb NOT NULL CHECK (jsonb_typeof(result) = 'object'),
  elapsed_ms   bigint NOT NULL CHECK (elapsed_ms >= 0),
  computed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (job_id, method, job_version, label_id)
);

-- answer_labels: what somebody says an answer is. Rows are only added. The newest human label counts, then the newest
-- label of a judge, then the category that the rules give. The ids of a job's labels grow in the order of the commits,
-- because labels.add locks the job.
CREATE TABLE answer_labels (
  id        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  answer_id bigint NOT NULL,
  job_id    text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  category  text NOT NULL CHECK (category IN ('content_filter', 'hard_refusal', 'partial_refusal', 'deflection',
                                              'non_answer', 'answer')),
  source    text NOT NULL CHECK (source IN ('human', 'judge')),
  actor     text NOT NULL,                                        -- name of a token or key; a judge's model and prompt hash
  note      text NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
  at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- No foreign key to answers: it would be looked up for every answer that retention deletes. labels.add checks the answer.
CREATE INDEX answer_labels_job_idx ON answer_labels (job_id, id DESC);
CREATE INDEX answer_labels_at_idx ON answer_labels (at, job_id);

-- embeddings: what a model of sentence embeddings made of a text, so that no text is embedded twice. `result` is what the
-- model's stage keeps of the text. A row may have a sentence of an answer, so it goes by age where ended jobs do.
CREATE TABLE embeddings (
  text_sha256 bytea NOT NULL CHECK (length(text_sha256) = 32),
  model       text NOT NULL CHECK (model <> ''),
  result      jsonb NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (text_sha256, model)
);
CREATE INDEX embeddings_created_idx ON embeddings (created_at);
