-- name: portal.counts
-- The number of jobs of each state, counted up to `most`: the filters of the page need no exact larger number.
SELECT s.state, (SELECT count(*) FROM (SELECT 1 FROM listed_jobs j WHERE j.state = s.state LIMIT %(most)s) AS few) AS jobs
  FROM unnest(ARRAY['queued', 'running', 'completed', 'partial', 'failed', 'cancelled']) AS s (state);

-- name: portal.job
-- The columns that the job's page shows and the JSON API does not.
SELECT questions, plan, runs, signature_form, public_key, request_id, traceparent, queued_until, timeout_seconds,
       provider_timeout_seconds, cancelled_at, COALESCE(name, left(spec -> 'benchmark' ->> 'name', 200)) AS name,
       (SELECT e.actor FROM job_events e WHERE e.job_id = jobs.id AND e.type = 'submitted' ORDER BY e.seq LIMIT 1) AS submitter
  FROM jobs WHERE id = %(job_id)s;

-- name: portal.calls
-- Every planned call of a job with the states of reads.rows, in the order of the plan. An answer and an error's message
-- are cut to `characters`, so that the page's bytes depend on the number of calls and not on the answers' lengths.
-- jsonb_to_record unpacks each stored document once.
WITH j AS MATERIALIZED (SELECT id, plan, questions, runs FROM jobs WHERE id = %(job_id)s)
SELECT CASE WHEN a.status IN ('ok', 'failed') THEN a.id ELSE e.id END AS id, e.id AS execution_id, p.region, m.model_id,
       q.question ->> 'id' AS question_id, n.run_no,
       CASE WHEN a.status = 'ok' THEN 'completed' WHEN a.status = 'failed' THEN 'failed'
            WHEN e.status = 'completed' THEN CASE WHEN e.error IS NULL THEN 'completed' ELSE 'failed' END
            WHEN e.id IS NOT NULL THEN e.status
            WHEN r.lease_token IS NOT NULL THEN 'running' ELSE 'pending' END AS status,
       COALESCE(a.provider_id, e.provider_id) AS provider_id,
       COALESCE(a.started_at, e.started_at, CASE WHEN r.lease_token IS NOT NULL THEN r.started_at END) AS started_at,
       COALESCE(a.completed_at, e.completed_at) AS completed_at, a.status IS NOT NULL AS begun,
       COALESCE(a.duration_ms, e.duration_ms) AS duration_ms, a.waited_ms, a.answered_ms,
       greatest(COALESCE(e.attempt, r.attempt, 0) - 1, 0) + COALESCE(jsonb_array_length(a.errors), 0) AS retry_count,
       CASE WHEN a.status = 'ok' THEN jsonb_build_object('response', left(o.response, %(characters)s),
            'characters', length(o.response), 'refused', o.refused, 'simulated', o.simulated, 'sanitised', o.sanitised,
            'filter', o.filter) END AS output,
       CASE WHEN f.code IS NOT NULL AND a.status IS DISTINCT FROM 'ok' THEN jsonb_build_object('code', f.code,
            'message', left(f.message, %(characters)s), 'provider', f.provider) END AS error_detail
  FROM j
 CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) WITH ORDINALITY AS m (model_id, model_no)
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) WITH ORDINALITY AS q (question, question_no)
 CROSS JOIN LATERAL generate_series(1, j.runs) AS n (run_no)
  LEFT JOIN region_runs r ON r.job_id = %(job_id)s AND r.region = p.region
  LEFT JOIN executions e ON e.job_id = %(job_id)s AND e.region = p.region AND e.model_id = m.model_id
  LEFT JOIN answers a ON a.job_id = %(job_id)s AND a.region = p.region AND a.model_id = m.model_id
                     AND a.question_id = q.question ->> 'id' AND a.run_no = n.run_no
  LEFT JOIN LATERAL jsonb_to_record(a.output)
            AS o (response text, refused boolean, simulated boolean, sanitised boolean, filter text) ON true
  LEFT JOIN LATERAL jsonb_to_record(COALESCE(a.error, e.error)) AS f (code text, message text, provider text) ON true
 ORDER BY p.region, m.model_no, q.question_no, n.run_no;

-- name: portal.units
-- The ended units of a job, to go from one to the next.
SELECT id, region, model_id, status FROM executions WHERE job_id = %(job_id)s;

-- name: portal.siblings
-- The ended calls of one model in all regions of a job, without their answers.
SELECT id, region, question_id, run_no, status FROM answers
 WHERE job_id = %(job_id)s AND model_id = %(model_id)s AND status IN ('ok', 'failed');

-- name: portal.regions
-- Each planned region of a job, with its run and its newest message. The page derives from them why a region waits.
SELECT o.region, o.status, o.attempt, o.worker, o.started_at, o.deadline, o.finished_at, o.last_error,
       r.max_attempts, r.lease_expires_at, b.created_at AS staged_at, b.processed_at AS published_at, b.dead_at,
       b.attempts AS publish_attempts, b.last_error AS publish_error, b.available_at
  FROM region_outcomes o
  LEFT JOIN region_runs r ON r.job_id = o.job_id AND r.region = o.region
  LEFT JOIN LATERAL (SELECT x.created_at, x.processed_at, x.dead_at, x.attempts, x.last_error, x.available_at
                       FROM outbox x WHERE x.job_id = o.job_id AND x.topic = topic(o.region)
                      ORDER BY x.id DESC LIMIT 1) b ON true
 WHERE o.job_id = %(job_id)s;

-- name: portal.held
-- For each worker: the number of region runs that it holds, and its `few` oldest runs. The limit is per worker, so that
-- the runs of a busy worker do not displace those of the others.
SELECT h.job_id, h.region, h.worker, h.started_at, h.held
  FROM (SELECT r.job_id, r.region, r.worker, r.started_at, count(*) OVER (PARTITION BY r.worker) AS held,
               row_number() OVER (PARTITION BY r.worker ORDER BY r.started_at) AS place
          FROM region_runs r WHERE r.lease_token IS NOT NULL) h
 WHERE h.place <= %(few)s ORDER BY h.started_at;

-- name: portal.intervals
-- For each interval of `minutes` in the last `hours`: how many units ended, counted up to `most_counted` in the index,
-- and of the newest `most_read` of them the statuses and the times of their answers without waiting. A unit of a release
-- that did not store these times has its duration. Intervals without units have a row; one row without a part has the
-- sum, and with `split` (region, provider) there is a row for each part. Both limits hold the cost, however many units a
-- day has.
SELECT t.at, n.units, e.part, COALESCE(e.completed, 0) AS completed, COALESCE(e.failed, 0) AS failed,
       COALESCE(e.cancelled, 0) AS cancelled, e.p50_ms, e.p95_ms
  FROM generate_series(date_bin(make_interval(mins => %(minutes)s), statement_timestamp(), 'epoch')
                         - make_interval(hours => %(hours)s) + make_interval(mins => %(minutes)s),
                       date_bin(make_interval(mins => %(minutes)s), statement_timestamp(), 'epoch'),
                       make_interval(mins => %(minutes)s)) AS t (at)
 CROSS JOIN LATERAL (SELECT count(*) AS units
                       FROM (SELECT 1 FROM executions x
                              WHERE x.created_at >= t.at AND x.created_at < t.at + make_interval(mins => %(minutes)s)
                              LIMIT %(most_counted)s) c) n
 CROSS JOIN LATERAL (SELECT r.part, count(*) FILTER (WHERE r.status = 'completed') AS completed,
                            count(*) FILTER (WHERE r.status = 'failed') AS failed,
                            count(*) FILTER (WHERE r.status = 'cancelled') AS cancelled,
                            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.speed_ms) AS p50_ms,
                            percentile_cont(0.95) WITHIN GROUP (ORDER BY r.speed_ms) AS p95_ms
                       FROM (SELECT x.status, CASE WHEN x.served IS NULL THEN x.duration_ms ELSE x.answered_ms END AS speed_ms,
                                    CASE %(split)s::text WHEN 'region' THEN x.region
                                                         WHEN 'provider' THEN COALESCE(x.provider_id, 'none') END AS part
                               FROM executions x
                              WHERE x.created_at >= t.at AND x.created_at < t.at + make_interval(mins => %(minutes)s)
                              ORDER BY x.created_at DESC, x.id DESC LIMIT %(most_read)s) r
                      GROUP BY GROUPING SETS ((), (r.part))
                     HAVING GROUPING(r.part) = 1 OR r.part IS NOT NULL) e
 ORDER BY t.at;

-- name: portal.ended
-- The newest units that ended in an interval, with their jobs.
SELECT e.id, e.job_id, e.region, e.model_id, e.provider_id, e.status, e.error->>'code' AS code, e.created_at,
       CASE WHEN e.served IS NULL THEN e.duration_ms ELSE e.answered_ms END AS speed_ms
  FROM executions e
 WHERE e.created_at >= %(after)s AND e.created_at < %(until)s
 ORDER BY e.created_at DESC, e.id DESC LIMIT %(page)s;
