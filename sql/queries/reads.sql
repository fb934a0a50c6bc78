-- name: reads.job
-- One job with its cross-region view and its progress. Units are counted as lists count them, calls from the planned
-- units, so that calls that have not begun count too. For answers from releases before the table `tries`, the answer row
-- has the number of requests.
SELECT j.id, j.status, j.version, j.spec_raw, j.plan, j.enable_analysis, j.created_at, j.updated_at, j.started_at,
       j.completed_at, j.cross_region_execution_id, x.total_regions, x.success_count, x.failure_count,
       x.min_regions_required, x.min_success_rate::double precision AS min_success_rate, x.status AS cross_status,
       j.provider_timeout_seconds, COALESCE(j.name, left(j.spec -> 'benchmark' ->> 'name', 200)) AS name,
       COALESCE(j.submitter, (SELECT left(e.actor, 200) FROM job_events e WHERE e.job_id = j.id AND e.type = 'submitted' ORDER BY e.seq LIMIT 1)) AS submitter,
       x.started_at AS cross_started_at, x.completed_at AS cross_completed_at, x.duration_ms, u.total, u.completed, u.failed, u.cancelled, u.running,
       u.total * jsonb_array_length(j.questions) * j.runs AS calls, a.calls_done,
       greatest(a.calls_told, (SELECT count(*) FROM tries t WHERE t.job_id = j.id)) AS calls_made
  FROM jobs j
  JOIN cross_region_executions x ON x.jobspec_id = j.id
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE n.status IN ('ok', 'failed')) AS calls_done,
              COALESCE(sum(n.calls + n.lost_calls), 0) AS calls_told
         FROM answers n WHERE n.job_id = j.id) a
 CROSS JOIN LATERAL jsonb_to_record((SELECT l.units FROM listed_jobs l WHERE l.id = j.id)) AS u (total bigint, completed bigint, failed bigint, cancelled bigint, running bigint)
 WHERE j.id = %(job_id)s;

-- name: reads.jobs
-- A page of jobs older than (created_at, id), newest first; with `progress` also their progress in units.
SELECT j.id, j.status, j.created_at, j.updated_at, j.plan, j.started_at, j.completed_at, j.duration_ms, j.cross_status,
       j.name, j.submitter, j.failed_units, jsonb_array_length(j.questions) AS questions, j.runs,
       CASE WHEN %(progress)s::boolean THEN j.units END AS units
  FROM listed_jobs j
 WHERE (j.created_at, j.id) < (%(before)s::timestamptz, %(before_id)s)
 ORDER BY j.created_at DESC, j.id DESC LIMIT %(page)s;

-- name: reads.jobs_by_status
-- The same page for one status. ORDER BY begins with the status so that only the index on the status fits. Otherwise,
-- when most jobs have one status, the planner reads the newest jobs of all statuses and filters, which is slow as soon
-- as many jobs of other statuses are newer.
SELECT j.id, j.status, j.created_at, j.updated_at, j.plan, j.started_at, j.completed_at, j.duration_ms, j.cross_status,
       j.name, j.submitter, j.failed_units, jsonb_array_length(j.questions) AS questions, j.runs,
       CASE WHEN %(progress)s::boolean THEN j.units END AS units
  FROM listed_jobs j
 WHERE (j.status, j.created_at, j.id) < (%(status)s, %(before)s::timestamptz, %(before_id)s) AND j.status >= %(status)s
 ORDER BY j.status DESC, j.created_at DESC, j.id DESC LIMIT %(page)s;

-- name: reads.rows
-- Every planned call of a job with its state. A call without an answer has the status of its unit's execution; before
-- there is an execution, its status is derived from the region run, and it has no id. A call without an answer in a
-- completed unit counts as failed.
-- MATERIALIZED reads the job first, and every table is read by the job's id. Otherwise the planner overestimates the
-- rows of the functions that unfold the plan, and scans all jobs for the one.
WITH j AS MATERIALIZED (SELECT id, plan, questions, runs, created_at FROM jobs WHERE id = %(job_id)s)
SELECT CASE WHEN a.status IN ('ok', 'failed') THEN a.id ELSE e.id END AS id, e.id AS execution_id, j.id AS job_id, p.region,
       m.model_id, q.question ->> 'id' AS question_id, n.run_no,
       CASE WHEN a.status = 'ok' THEN 'completed' WHEN a.status = 'failed' THEN 'failed'
            WHEN e.status = 'completed' THEN CASE WHEN e.error IS NULL THEN 'completed' ELSE 'failed' END
            WHEN e.id IS NOT NULL THEN e.status
            WHEN r.lease_token IS NOT NULL THEN 'running' ELSE 'pending' END AS status,
       COALESCE(a.provider_id, e.provider_id) AS provider_id,
       COALESCE(a.started_at, e.started_at, CASE WHEN r.lease_token IS NOT NULL THEN r.started_at END) AS started_at,
       COALESCE(a.completed_at, e.completed_at) AS completed_at,
       COALESCE(CASE WHEN a.status IN ('ok', 'failed') THEN a.completed_at END, e.created_at, j.created_at) AS created_at,
       COALESCE(a.duration_ms, e.duration_ms) AS duration_ms, a.served, a.sent, a.waited_ms, a.answered_ms, a.paid, a.output,
       CASE WHEN a.status = 'ok' THEN NULL ELSE COALESCE(a.error, e.error) END AS error_detail,
       COALESCE(a.errors, '[]') AS errors, COALESCE(e.receipt IS NOT NULL, false) AS has_receipt,
       greatest(COALESCE(e.attempt, r.attempt, 0) - 1, 0) + COALESCE(jsonb_array_length(a.errors), 0) AS retry_count,
       j.runs
  FROM j
 CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) WITH ORDINALITY AS m (model_id, model_no)
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) WITH ORDINALITY AS q (question, question_no)
 CROSS JOIN LATERAL generate_series(1, j.runs) AS n (run_no)
  LEFT JOIN region_runs r ON r.job_id = %(job_id)s AND r.region = p.region
  LEFT JOIN executions e ON e.job_id = %(job_id)s AND e.region = p.region AND e.model_id = m.model_id
  LEFT JOIN answers a ON a.job_id = %(job_id)s AND a.region = p.region AND a.model_id = m.model_id
                     AND a.question_id = q.question ->> 'id' AND a.run_no = n.run_no
 ORDER BY created_at DESC, id DESC NULLS LAST, p.region, m.model_no, q.question_no, n.run_no;

-- name: reads.executions
-- A page of executions of all jobs older than (created_at, id), newest first. Skipped rows are read from the index
-- only.
SELECT e.id, e.id AS execution_id, e.job_id, e.region, e.model_id, e.status, e.provider_id, e.started_at, e.completed_at,
       e.created_at, e.duration_ms, e.answered_ms, e.served, e.output, e.error AS error_detail, e.receipt IS NOT NULL AS has_receipt, e.retry_count
  FROM executions e
 WHERE e.id = ANY (ARRAY(SELECT x.id FROM executions x WHERE (x.created_at, x.id) < (%(before)s::timestamptz, %(before_id)s::bigint)
                          ORDER BY x.created_at DESC, x.id DESC LIMIT %(page)s OFFSET %(skip)s))
 ORDER BY e.created_at DESC, e.id DESC;

-- name: reads.execution
-- The execution with this id, or the execution of the answer with this id.
SELECT e.id, e.id AS execution_id, e.job_id, e.region, e.model_id, e.status, e.provider_id, e.started_at, e.completed_at,
       e.created_at, e.duration_ms, e.answered_ms, e.served, e.output, e.error AS error_detail, e.receipt IS NOT NULL AS has_receipt, e.retry_count,
       e.attempt, e.failed_answers, e.parameters, e.receipt, j.cross_region_execution_id, j.status AS job_status
  FROM executions e JOIN jobs j ON j.id = e.job_id
 WHERE e.id = COALESCE((SELECT u.id FROM answers a
                          JOIN executions u ON u.job_id = a.job_id AND u.region = a.region AND u.model_id = a.model_id
                         WHERE a.id = %(result_id)s), %(result_id)s);

-- name: reads.answer
-- The answer with this id, while its unit is running and has no execution.
SELECT a.id, NULL::bigint AS execution_id, a.job_id, a.region, a.model_id, 'running' AS status, a.provider_id, a.started_at,
       NULL::timestamptz AS completed_at, a.created_at, NULL::bigint AS duration_ms,
       NULL::bigint AS answered_ms, NULL::jsonb AS served, NULL::jsonb AS output,
       NULL::jsonb AS error_detail, false AS has_receipt, greatest(a.attempt - 1, 0) AS retry_count, a.attempt,
       0 AS failed_answers, NULL::jsonb AS parameters, NULL::jsonb AS receipt, j.cross_region_execution_id,
       j.status AS job_status
  FROM answers a JOIN jobs j ON j.id = a.job_id
 WHERE a.id = %(result_id)s;

-- name: reads.answers
-- Every question of one unit with its answer. lost_calls is the number of tries that have a row and no stored result;
-- tries that a live attempt still waits for do not count. (The column lost_calls has the counts of releases before
-- `tries`.)
SELECT a.id, a.question_id, a.run_no, a.status, a.provider_id, a.attempt, a.calls,
       a.lost_calls + greatest(t.ended - a.calls, 0)::integer AS lost_calls, a.started_at, a.completed_at,
       a.duration_ms, a.waited_ms, a.answered_ms, a.paid, a.served, a.sent, a.output, a.error AS error_detail, a.errors
  FROM answers a
 CROSS JOIN LATERAL (
       SELECT count(*) AS ended
         FROM tries t LEFT JOIN region_runs r ON r.job_id = t.job_id AND r.region = t.region AND r.attempt = t.attempt
        WHERE t.job_id = a.job_id AND t.region = a.region AND t.model_id = a.model_id AND t.question_id = a.question_id
          AND t.run_no = a.run_no AND t.answer_id = a.id AND (a.status <> 'started' OR r.lease_token IS NULL)) t
 WHERE a.job_id = %(job_id)s AND a.region = %(region)s AND a.model_id = %(model_id)s
 ORDER BY a.question_id, a.run_no;

-- name: reads.cross_region
-- The cross-region view of a job, found by its uuid or its job id. The uuid has precedence over a job id of the same
-- text.
SELECT x.id, x.jobspec_id, x.total_regions, x.success_count, x.failure_count, x.min_regions_required,
       x.min_success_rate::double precision AS min_success_rate, x.status, x.started_at, x.completed_at, x.duration_ms,
       j.enable_analysis, j.version
  FROM jobs j JOIN cross_region_executions x ON x.jobspec_id = j.id
 WHERE j.cross_region_execution_id = %(cross_region_id)s::uuid OR j.id = %(job_id)s
 ORDER BY j.cross_region_execution_id = %(cross_region_id)s::uuid DESC NULLS LAST LIMIT 1;

-- name: reads.region_results
-- One row for each planned region.
SELECT region, status, provider_id, started_at, completed_at, duration_ms, execution_output, error_message, scoring, metadata
  FROM region_results WHERE jobspec_id = %(job_id)s ORDER BY region;

-- name: reads.summary
-- The numbers that summarise a job's results.
SELECT (SELECT count(*) FROM executions e WHERE e.job_id = %(job_id)s AND e.status = 'completed') AS completed_units,
       (SELECT count(*) FROM executions e WHERE e.job_id = %(job_id)s AND e.status = 'failed') AS failed_units,
       count(*) FILTER (WHERE (a.output ->> 'refused')::boolean) AS refused_answers, count(*) AS answers
  FROM answers a WHERE a.job_id = %(job_id)s AND a.status = 'ok';

-- name: reads.events
-- The events of a job after `after`, in order.
SELECT seq, type, region, model_id, actor, detail, at FROM job_events
 WHERE job_id = %(job_id)s AND seq > %(after)s ORDER BY seq LIMIT %(page)s;

-- name: reads.version
-- The status and version of a job. No row if there is no such job.
SELECT id, status, version FROM jobs WHERE id = %(job_id)s;

-- name: reads.watched
-- The state of all watched jobs, for event streams and long polls. calls_done is needed because an answer does not
-- change the version.
SELECT j.id, j.status, j.version,
       (SELECT count(*) FROM answers a WHERE a.job_id = j.id AND a.status IN ('ok', 'failed')) AS calls_done
  FROM jobs j WHERE j.id = ANY (%(job_ids)s::text[]);

-- name: reads.processes
-- The processes that were seen lately, and how long ago. A silent process is left out if another has replaced it.
SELECT p.id, p.kind, p.region, p.host, p.pid, p.version, p.regions_sha, p.concurrency, p.started_at, p.seen_at, p.providers,
       extract(epoch FROM clock_timestamp() - p.seen_at)::double precision AS seconds_since
  FROM processes p
 WHERE p.seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s)
    OR NOT EXISTS (SELECT 1 FROM processes n WHERE n.kind = p.kind AND n.region IS NOT DISTINCT FROM p.region AND n.host = p.host
                      AND n.started_at > p.seen_at)
 ORDER BY p.kind, p.region NULLS FIRST, p.started_at;

-- name: reads.alive
-- The number of live processes by kind and region. A process updates seen_at every 5 seconds.
SELECT kind, region, count(*) AS alive FROM processes
 WHERE seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) AND kind <> 'cli' GROUP BY kind, region ORDER BY kind, region;

-- name: reads.queues
-- For each region of the open jobs: the number of region runs that wait for a worker, up to 10,000; how long the oldest
-- has waited; the number of runs that a worker holds.
SELECT COALESCE(q.region, h.region) AS region, COALESCE(q.depth, 0) AS depth, COALESCE(h.running, 0) AS running,
       extract(epoch FROM clock_timestamp() - q.oldest)::double precision AS oldest_seconds
  FROM region_queues q
  FULL JOIN (SELECT r.region, count(*) AS running FROM region_runs r WHERE r.lease_token IS NOT NULL GROUP BY r.region) h
    ON h.region = q.region
 WHERE q.depth > 0 OR h.running > 0
 ORDER BY 1;

-- name: reads.outbox
-- The oldest messages that were not published yet.
SELECT id, job_id, topic, created_at, available_at, attempts, last_error FROM outbox
 WHERE processed_at IS NULL AND dead_at IS NULL ORDER BY id LIMIT %(page)s;

-- name: reads.dead
-- Dead messages that nobody has republished or marked as handled.
SELECT id, job_id, topic, created_at, dead_at, attempts, last_error FROM outbox
 WHERE dead_at IS NOT NULL AND processed_at IS NULL ORDER BY id LIMIT %(page)s;

-- name: reads.stuck
-- Jobs that have been queued for more than stuck_seconds, oldest first.
SELECT j.id, j.status, j.created_at, j.started_at, j.queued_until, NULL::timestamptz AS deadline, 'queued' AS reason
  FROM jobs j WHERE j.status = 'queued' AND j.created_at < statement_timestamp() - make_interval(secs => %(stuck_seconds)s)
 ORDER BY j.created_at, j.id LIMIT %(page)s;

-- name: reads.overdue
-- The jobs, among the `most` oldest running ones, that are past the last deadline of their regions; oldest first. This
-- is separate from reads.stuck, so that each statement reads the index of its status in order.
WITH oldest AS MATERIALIZED (
  SELECT j.id, j.status, j.created_at, j.started_at, j.queued_until,
         (SELECT max(x.deadline) FROM region_runs x WHERE x.job_id = j.id) AS deadline
    FROM (SELECT r.id, r.status, r.created_at, r.started_at, r.queued_until FROM jobs r
           WHERE r.status = 'running' ORDER BY r.created_at, r.id LIMIT %(most)s) j
)
SELECT j.id, j.status, j.created_at, j.started_at, j.queued_until, j.deadline, 'overdue' AS reason
  FROM oldest j
 WHERE j.deadline < statement_timestamp() - make_interval(secs => %(grace_seconds)s)
 ORDER BY j.created_at, j.id LIMIT %(page)s;

-- name: reads.open_regions
-- The planned regions of a job that have not ended, and for each whether a worker has its lease.
SELECT p.region, r.lease_token IS NOT NULL AS leased
  FROM jobs j CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS p (region)
  LEFT JOIN region_runs r ON r.job_id = j.id AND r.region = p.region
 WHERE j.id = %(job_id)s AND r.finished_at IS NULL ORDER BY p.region;

-- name: reads.outbox_row
-- One message, whatever its state is.
SELECT id, job_id, topic, processed_at, dead_at FROM outbox WHERE id = %(outbox_id)s;
