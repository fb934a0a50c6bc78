-- I1: every accepted job exists, with a message or a run for every region that it plans
-- A nonce is written in the transaction of its job, and outlives it only where retention removes ended jobs.
SELECT j.id AS job_id, 'region ' || p.region || ' has neither an outbox row nor a run' AS broken
  FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
 WHERE NOT EXISTS (SELECT FROM region_runs r WHERE r.job_id = j.id AND r.region = p.region)
   AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id AND o.topic = 'beacon-' || lower(p.region))
UNION ALL
SELECT n.job_id, 'its nonce was spent at ' || n.created_at || ', but there is no such job'
  FROM nonces n
 WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = n.job_id)
   AND (%(retention_days)s::integer IS NULL
        OR n.created_at > clock_timestamp() - make_interval(days => %(retention_days)s::integer));
