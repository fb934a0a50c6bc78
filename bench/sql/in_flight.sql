-- Calls in flight: runs that were claimed and have not ended.
SELECT count(*) AS running FROM region_runs WHERE lease_token IS NOT NULL
