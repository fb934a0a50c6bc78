-- I7: every state change has its event: a job's events are 1 to its version without a hole
SELECT j.id AS job_id, 'its version is ' || j.version || ', but it has ' || count(v.seq) || ' events, '
       || COALESCE(min(v.seq), 0) || ' to ' || COALESCE(max(v.seq), 0) AS broken
  FROM jobs j LEFT JOIN job_events v ON v.job_id = j.id
 GROUP BY j.id, j.version
HAVING count(v.seq) <> j.version OR min(v.seq) IS DISTINCT FROM 1 OR max(v.seq) IS DISTINCT FROM j.version
UNION ALL
SELECT j.id, 'its first event is not its submission'
  FROM jobs j JOIN job_events v ON v.job_id = j.id AND v.seq = 1 WHERE v.type <> 'submitted'
UNION ALL
SELECT j.id, 'it has ended, but no event says so'
  FROM jobs j
 WHERE j.completed_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = j.id AND v.type IN ('job_completed', 'job_failed', 'job_cancelled'))
UNION ALL
SELECT j.id, 'it is cancelled, but no event asked for that'
  FROM jobs j
 WHERE j.cancelled_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = j.id AND v.type = 'cancel_requested')
UNION ALL
SELECT r.job_id, 'region ' || r.region || ' was claimed without an event'
  FROM region_runs r
 WHERE r.started_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = r.job_id AND v.region = r.region AND v.type = 'region_claimed')
UNION ALL
SELECT r.job_id, 'region ' || r.region || ' has finished without an event'
  FROM region_runs r
 WHERE r.finished_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = r.job_id AND v.region = r.region AND v.type = 'region_finished')
UNION ALL
SELECT e.job_id, e.region || ' ' || e.model_id || ' was recorded without an event'
  FROM executions e
 WHERE NOT EXISTS (SELECT FROM job_events v WHERE v.job_id = e.job_id AND v.region = e.region AND v.model_id = e.model_id
                      AND v.type = 'execution_recorded')
UNION ALL
SELECT v.job_id, 'there are events of it, but no job'
  FROM job_events v
 WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = v.job_id)
 GROUP BY v.job_id;
