-- name: canary.rows
-- Count the rows that a finished job must have in each table.
SELECT (SELECT count(*) FROM jobs j WHERE j.id = %(job_id)s) AS jobs,
       (SELECT count(*) FROM idempotency_keys k WHERE k.job_id = %(job_id)s) AS idempotency_keys,
       (SELECT count(DISTINCT o.topic) FROM outbox o WHERE o.job_id = %(job_id)s AND o.processed_at IS NOT NULL) AS published,
       (SELECT count(*) FROM outbox o WHERE o.job_id = %(job_id)s AND o.processed_at IS NULL) AS unpublished,
       (SELECT count(*) FROM region_runs r WHERE r.job_id = %(job_id)s AND r.finished_at IS NOT NULL) AS finished_regions,
       (SELECT count(*) FROM executions e WHERE e.job_id = %(job_id)s) AS executions,
       (SELECT count(*) FROM answers a WHERE a.job_id = %(job_id)s AND a.status = 'ok') AS answers,
       (SELECT count(*) FROM region_results x WHERE x.jobspec_id = %(job_id)s) AS region_results;
