-- Milliseconds from just before the commit of a job to the claim of its region, both by the database's clock.
SELECT extract(epoch FROM r.started_at - j.created_at)::float8 * 1000 AS ms
  FROM jobs j JOIN region_runs r ON r.job_id = j.id
 ORDER BY j.created_at
