-- Jobs that have not ended.
SELECT count(*) AS open FROM jobs WHERE status IN ('queued', 'running')
