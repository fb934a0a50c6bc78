-- Jobs that have ended, as far as the outbox's retention asks.
UPDATE jobs SET status = 'completed', completed_at = clock_timestamp() WHERE status = 'queued'
