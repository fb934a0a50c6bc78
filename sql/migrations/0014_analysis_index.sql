-- outside a transaction
-- The ended jobs that are analysed, by their end. CONCURRENTLY: jobs are accepted while the index is built. A build that
-- was broken off leaves an invalid index, which the first statement removes.
DROP INDEX CONCURRENTLY IF EXISTS jobs_analysis_idx;
CREATE INDEX CONCURRENTLY jobs_analysis_idx ON jobs (completed_at, id)
  WHERE status IN ('completed', 'failed') AND enable_analysis IS NOT FALSE;
