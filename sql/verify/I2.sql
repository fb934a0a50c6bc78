-- I2: every region that has not finished is reachable: a waiting message, a live lease, or the sweeper's next pass
-- The bound T is three leases. A message that was sent longer ago than that is alive only while Redis holds it:
-- `queued` has the ids that Redis holds, or is null where nobody could look, and then no such message counts as alive.
-- Regions without any trace are I1's, unfinished regions of ended jobs I5's.
WITH bound AS (
  SELECT clock_timestamp() AS now, clock_timestamp() - 3 * make_interval(secs => %(lease_seconds)s::double precision) AS t
), region AS (
  SELECT j.id AS job_id, p.region,
         GREATEST(j.queued_until, r.started_at + (j.queued_until - j.created_at)) AS queued_until, r.lease_token, r.lease_expires_at, r.job_id IS NOT NULL AS has_run,
         m.id AS message, m.processed_at, m.dead_at, m.dispatch_id,
         EXISTS (SELECT FROM outbox w WHERE w.job_id = j.id AND w.topic = 'beacon-' || lower(p.region)
                    AND w.processed_at IS NULL AND w.dead_at IS NULL) AS waits
    FROM jobs j
   CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
    LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
    LEFT JOIN LATERAL (SELECT o.id, o.processed_at, o.dead_at, o.dispatch_id FROM outbox o
                        WHERE o.job_id = j.id AND o.topic = 'beacon-' || lower(p.region) ORDER BY o.id DESC LIMIT 1) m ON true
   WHERE j.status IN ('queued', 'running') AND r.finished_at IS NULL
), judged AS (
  SELECT job_id, region,
         CASE WHEN lease_token IS NOT NULL THEN
                CASE WHEN lease_expires_at < t THEN 'its lease ran out at ' || lease_expires_at || ' and was not taken back' END
              WHEN queued_until < t THEN 'it should have ended at ' || queued_until || ', when its time in the queue was over'
              WHEN waits THEN NULL
              WHEN message IS NULL THEN CASE WHEN has_run THEN 'it has a run, but no lease and no message' END
              WHEN dead_at IS NOT NULL THEN
                CASE WHEN dead_at < t THEN 'its message was given up at ' || dead_at || ' and the region did not end' END
              WHEN processed_at < t AND COALESCE(dispatch_id <> ALL (%(queued)s::text[]), true) THEN
                'its message was sent at ' || processed_at || '; it was neither claimed nor sent again'
         END AS broken
    FROM region, bound
)
SELECT job_id, 'region ' || region || ' is out of reach: ' || broken AS broken FROM judged WHERE broken IS NOT NULL;
