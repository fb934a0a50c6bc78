-- Ends jobs, in the columns that the outbox's retention reads.
UPDATE jobs SET status = 'completed', completed_at = clock_timestamp() WHERE status = 'queued'
