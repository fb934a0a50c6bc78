-- Empties the database before a measurement.
TRUNCATE jobs, idempotency_keys, nonces, outbox, region_runs, executions, answers, tries, job_events CASCADE
