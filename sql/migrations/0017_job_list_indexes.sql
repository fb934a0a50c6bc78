-- outside a transaction
-- What lists of jobs are found by. CONCURRENTLY: jobs are accepted while the indexes are built. A build that was broken
-- off leaves an invalid index, which the statement before it removes.
DROP INDEX CONCURRENTLY IF EXISTS jobs_by_state_idx;
-- The columns of the expression are included, because else PostgreSQL reads the table to count from this index.
CREATE INDEX CONCURRENTLY jobs_by_state_idx ON jobs
  ((CASE WHEN status = 'completed' AND (outcome = 'partial' OR failed_units > 0) THEN 'partial' ELSE status END), created_at, id)
  INCLUDE (status, outcome, failed_units);
DROP INDEX CONCURRENTLY IF EXISTS jobs_failures_idx;
CREATE INDEX CONCURRENTLY jobs_failures_idx ON jobs (created_at, id) WHERE failed_units > 0;
DROP INDEX CONCURRENTLY IF EXISTS jobs_submitter_idx;
CREATE INDEX CONCURRENTLY jobs_submitter_idx ON jobs (submitter, created_at, id);
-- text_pattern_ops compares bytes, so that the texts with one beginning are neighbours whatever the collation is.
DROP INDEX CONCURRENTLY IF EXISTS jobs_name_idx;
CREATE INDEX CONCURRENTLY jobs_name_idx ON jobs (lower(name) text_pattern_ops);
DROP INDEX CONCURRENTLY IF EXISTS jobs_id_prefix_idx;
CREATE INDEX CONCURRENTLY jobs_id_prefix_idx ON jobs (id text_pattern_ops);
-- Models and regions. Without fastupdate a search never reads a list of pending entries.
DROP INDEX CONCURRENTLY IF EXISTS jobs_plan_idx;
CREATE INDEX CONCURRENTLY jobs_plan_idx ON jobs USING gin (plan) WITH (fastupdate = off);
-- The few jobs that fill_jobs has to fill.
DROP INDEX CONCURRENTLY IF EXISTS jobs_unfilled_idx;
CREATE INDEX CONCURRENTLY jobs_unfilled_idx ON jobs (id) WHERE name IS NULL OR (outcome IS NULL AND completed_at IS NOT NULL);
