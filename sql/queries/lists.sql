-- name: lists.newest
-- The `most` newest jobs before a place, with what they are filtered by. `planned` says whether the plan has the model
-- and the region; true if none is asked for.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM listed_jobs j
 WHERE (j.created_at, j.id) < (%(before)s::timestamptz, %(before_id)s) AND j.created_at >= %(since)s::timestamptz
 ORDER BY j.created_at DESC, j.id DESC LIMIT %(most)s;

-- name: lists.by_state
-- The same of one state. The conditions and the order begin with the state, so that only the index on the state fits;
-- see reads.jobs_by_status.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM listed_jobs j
 WHERE (j.state, j.created_at, j.id) < (%(state)s, %(before)s::timestamptz, %(before_id)s)
   AND (j.state, j.created_at) >= (%(state)s, %(since)s::timestamptz)
 ORDER BY j.state DESC, j.created_at DESC, j.id DESC LIMIT %(most)s;

-- name: lists.with_failures
-- The same of the jobs with failed units, which have an index of their own.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM listed_jobs j
 WHERE (j.created_at, j.id) < (%(before)s::timestamptz, %(before_id)s) AND j.created_at >= %(since)s::timestamptz
   AND j.failed_units > 0
 ORDER BY j.created_at DESC, j.id DESC LIMIT %(most)s;

-- name: lists.by_submitter
-- The same of one submitter.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM listed_jobs j
 WHERE (j.submitter, j.created_at, j.id) < (%(submitter)s, %(before)s::timestamptz, %(before_id)s)
   AND (j.submitter, j.created_at) >= (%(submitter)s, %(since)s::timestamptz)
 ORDER BY j.submitter DESC, j.created_at DESC, j.id DESC LIMIT %(most)s;

-- name: lists.named
-- Up to `most` jobs for each beginning of a name, in the small letters that the database gives it, and for each beginning of an id:
-- those that are at least the one text and below the other; in no order. The operators compare bytes, as the indexes on both do.
-- `last`: the character that no name has.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM (SELECT DISTINCT lower(t.name) AS low FROM unnest(%(names)s::text[]) AS t (name)) p
 CROSS JOIN LATERAL (SELECT * FROM listed_jobs n WHERE lower(n.name) ~>=~ p.low AND lower(n.name) ~<~ (p.low || %(last)s::text) LIMIT %(most)s) j
UNION ALL
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM unnest(%(ids)s::text[]) AS p (id)
 CROSS JOIN LATERAL (SELECT * FROM listed_jobs n WHERE n.id ~>=~ p.id AND n.id ~<~ (p.id || %(last)s::text) LIMIT %(most)s) j;

-- name: lists.planned
-- Up to `most` jobs whose plan has the model in any region, in no order; `planned` says whether it has the model in the region that is
-- asked for. The index knows models and regions but not which is in which: a search for both would read from the table every job
-- that has both somewhere. A value that is selected is one that the planner does not know: else it reads the table instead of the
-- index when it takes the value for a frequent one.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, COALESCE(j.plan @? %(path)s::jsonpath, true) AS planned
  FROM listed_jobs j WHERE j.plan @? (SELECT %(in_any)s::jsonpath) LIMIT %(most)s;

-- name: lists.in_region
-- The same of a region alone. A jsonpath that ends with a key would read the whole index.
SELECT j.id, j.created_at, j.state, j.failed_units, j.submitter, j.name, true AS planned
  FROM listed_jobs j WHERE j.plan ? (SELECT %(region)s::text) LIMIT %(most)s;

-- name: lists.shown
-- What a list shows of these jobs.
SELECT j.id, j.status, j.created_at, j.updated_at, j.plan, j.started_at, j.completed_at, j.duration_ms, j.cross_status,
       j.name, j.submitter, j.failed_units, jsonb_array_length(j.questions) AS questions, j.runs,
       CASE WHEN %(progress)s::boolean THEN j.units END AS units
  FROM listed_jobs j WHERE j.id = ANY (%(job_ids)s::text[]);

-- name: lists.calls
-- How many calls the failed units of these jobs have.
SELECT COALESCE(sum(j.failed_units * jsonb_array_length(j.questions) * j.runs), 0)::bigint AS calls
  FROM jobs j WHERE j.id = ANY (%(job_ids)s::text[]);

-- name: lists.ended
-- The jobs that ended in each minute of the last hour, and how many of them had failures; of the `most` newest ends. Cancelled jobs are
-- not counted.
-- `uncounted`: the limit left out jobs of this minute.
WITH ended AS MATERIALIZED (
  SELECT j.completed_at, j.status, j.outcome, j.failed_units FROM jobs j
   WHERE j.completed_at >= date_trunc('minute', statement_timestamp()) - interval '59 minutes'
   ORDER BY j.completed_at DESC LIMIT %(most)s
)
SELECT t.minute, count(*) FILTER (WHERE NOT e.bad AND e.status <> 'cancelled') AS well, count(*) FILTER (WHERE e.bad) AS bad,
       (SELECT count(*) FROM ended) >= %(most)s AND t.minute <= (SELECT date_trunc('minute', min(completed_at)) FROM ended) AS uncounted
  FROM generate_series(date_trunc('minute', statement_timestamp()) - interval '59 minutes',
                       date_trunc('minute', statement_timestamp()), interval '1 minute') AS t (minute)
  LEFT JOIN (SELECT date_trunc('minute', x.completed_at) AS minute, x.status,
                    x.status = 'failed' OR COALESCE(x.failed_units > 0 OR x.outcome = 'partial', false) AS bad
               FROM ended x) e ON e.minute = t.minute
 GROUP BY t.minute ORDER BY t.minute;
