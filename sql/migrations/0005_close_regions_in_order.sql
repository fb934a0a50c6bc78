-- close_regions locked its rows in whatever order the plan found them. Locks are taken by job and region everywhere.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: cb49f07520adda0c7ac4e0e050179c43548e389569489f8bb77e66d6968b1d7e
CREATE OR REPLACE FUNCTION close_regions(job_ids text[])
RETURNS TABLE (closed_job text, closed_region text, closed_attempt integer, closed_started timestamptz,
               closed_units bigint, closed_completed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
  WITH ended AS (
    SELECT r.job_id, r.region
      FROM region_runs r JOIN jobs j ON j.id = r.job_id
     WHERE r.job_id = ANY (job_ids) AND r.finished_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text(j.plan -> r.region) AS m (model_id)
                        WHERE NOT EXISTS (SELECT 1 FROM executions e WHERE e.job_id = r.job_id
                                             AND e.region = r.region AND e.model_id = m.model_id))
     ORDER BY r.job_id, r.region
       FOR NO KEY UPDATE OF r
  ), closed AS (
    UPDATE region_runs r SET finished_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
      FROM ended d WHERE r.job_id = d.job_id AND r.region = d.region
    RETURNING r.job_id, r.region, r.attempt, r.started_at
  ), counted AS (
    SELECT c.job_id, c.region, c.attempt, c.started_at, count(*) AS units,
           count(*) FILTER (WHERE e.status = 'completed') AS completed
      FROM closed c JOIN executions e ON e.job_id = c.job_id AND e.region = c.region
     GROUP BY c.job_id, c.region, c.attempt, c.started_at
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, region, detail)
    SELECT c.job_id, (SELECT max(v.seq) FROM job_events v WHERE v.job_id = c.job_id)
                     + row_number() OVER (PARTITION BY c.job_id ORDER BY c.region),
           'region_finished', c.region,
           jsonb_build_object('attempt', c.attempt, 'completed', c.completed, 'units', c.units)
      FROM counted c
  )
  SELECT job_id, region, attempt, started_at, units, completed FROM counted;
END $$;
