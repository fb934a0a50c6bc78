-- Before every measurement on an empty database.
TRUNCATE jobs, idempotency_keys, nonces, outbox, region_runs, executions, answers, tries, job_events CASCADE
