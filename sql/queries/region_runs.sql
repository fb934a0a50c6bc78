-- name: region_runs.claim -- writes
-- C1: lease each region that is open, planned and not leased. A repeated message, an unknown job and a leased region
-- give no result row. The attempt is counted here, so a job that kills its workers uses up its attempts. The caller
-- chooses the tokens: after a connection lost in COMMIT it repeats the claim with the same tokens and finds its leases.
-- again: the row existed before (its xmax is set), so earlier attempts may have stored results.
-- begun: the calls that the statement, or the claim that it repeats, has started, as [model, question, run]. It starts
-- calls of first attempts alone, in the order of the plan: of a model that %(rooms)s names at most as many as its provider has room for, and %(places)s in
-- all. Every other call is started by answers.start.
WITH wanted AS (
  SELECT DISTINCT ON (w.job_id, w.region) w.job_id, w.region, w.token
    FROM unnest(%(job_ids)s::text[], %(regions)s::text[], %(tokens)s::uuid[]) AS w (job_id, region, token)
   ORDER BY w.job_id, w.region
), job AS MATERIALIZED (
  SELECT j.id, j.status, j.cancelled_at, j.created_at, j.plan, j.questions, j.runs, j.parameters, j.timeout_seconds,
         j.provider_timeout_seconds, j.request_id, j.traceparent
    FROM jobs j WHERE j.id = ANY (%(job_ids)s::text[])
), ours AS MATERIALIZED (
  -- What the claim that this one repeats has leased and started.
  SELECT r.job_id, r.region, r.attempt, r.lease_token, r.started_at,
         (SELECT COALESCE(jsonb_agg(jsonb_build_array(a.model_id, a.question_id, a.run_no)), '[]') FROM answers a
           WHERE a.job_id = r.job_id AND a.region = r.region AND a.attempt = r.attempt AND a.status = 'started') AS begun
    FROM wanted w JOIN region_runs r ON r.job_id = w.job_id AND r.region = w.region AND r.lease_token = w.token
   WHERE r.job_id = ANY (%(job_ids)s::text[])
), open AS MATERIALIZED (
  SELECT w.job_id, w.region, w.token, statement_timestamp() AS now,
         statement_timestamp() + make_interval(secs => %(lease_seconds)s) AS lease_expires_at,
         statement_timestamp() + make_interval(secs => j.timeout_seconds) AS deadline
    FROM wanted w JOIN job j ON j.id = w.job_id
   WHERE j.status IN ('queued', 'running') AND j.cancelled_at IS NULL AND j.plan ? w.region
), claimed AS (
  INSERT INTO region_runs AS r (job_id, region, attempt, max_attempts, lease_token, lease_expires_at, worker, started_at, deadline)
  SELECT job_id, region, 1, %(max_attempts)s, token, lease_expires_at, %(worker)s, now, deadline
    FROM open ORDER BY job_id, region
  ON CONFLICT (job_id, region) DO UPDATE
     SET attempt = r.attempt + 1, lease_token = EXCLUDED.lease_token, lease_expires_at = EXCLUDED.lease_expires_at,
         worker = EXCLUDED.worker, started_at = EXCLUDED.started_at, deadline = EXCLUDED.deadline
   WHERE r.finished_at IS NULL AND r.attempt < r.max_attempts
     AND (r.lease_token IS NULL OR r.lease_expires_at < EXCLUDED.started_at)
  RETURNING r.job_id, r.region, r.attempt, r.lease_token, r.started_at, r.xmax <> 0 AS again
), bumped AS (
  UPDATE jobs j SET status = 'running', version = j.version + c.n, updated_at = c.started_at,
         started_at = COALESCE(j.started_at, c.started_at)
    FROM (SELECT job_id, started_at, count(*) AS n FROM claimed GROUP BY job_id, started_at) c
   WHERE j.id = c.job_id
  RETURNING j.id, j.version - c.n AS base
), noted AS (
  INSERT INTO job_events (job_id, seq, type, region, detail)
  SELECT c.job_id, b.base + row_number() OVER (PARTITION BY c.job_id ORDER BY c.region), 'region_claimed', c.region,
         jsonb_build_object('attempt', c.attempt, 'worker', %(worker)s::text)
    FROM claimed c JOIN bumped b ON b.id = c.job_id
), planned AS MATERIALIZED (
  SELECT c.job_id, c.region, c.attempt, c.started_at, m.model_id, o.provider_id, o.room, k.question_id, k.run_no,
         m.place AS model_place, k.place AS call_place,
         row_number() OVER (PARTITION BY o.provider_id ORDER BY c.job_id, c.region, m.place, k.place) AS nth
    FROM claimed c
    JOIN job j ON j.id = c.job_id
   CROSS JOIN LATERAL jsonb_array_elements_text(j.plan -> c.region) WITH ORDINALITY AS m (model_id, place)
    JOIN unnest(%(room_regions)s::text[], %(room_models)s::text[], %(room_providers)s::text[], %(rooms)s::integer[])
         AS o (region, model_id, provider_id, room) ON o.region = c.region AND o.model_id = m.model_id
   CROSS JOIN LATERAL (SELECT q.question ->> 'id' AS question_id, n.run_no, (q.place - 1) * j.runs + n.run_no AS place
                         FROM jsonb_array_elements(j.questions) WITH ORDINALITY AS q (question, place)
                        CROSS JOIN generate_series(1, j.runs) AS n (run_no)
                        ORDER BY 3 LIMIT o.room) k
   WHERE NOT c.again
), chosen AS MATERIALIZED (
  SELECT job_id, region, attempt, started_at, model_id, provider_id, question_id, run_no
    FROM planned WHERE nth <= room ORDER BY job_id, region, model_place, call_place LIMIT %(places)s
), begun AS (
  INSERT INTO answers (job_id, region, model_id, question_id, run_no, status, provider_id, attempt, started_at)
  SELECT job_id, region, model_id, question_id, run_no, 'started', provider_id, attempt, started_at
    FROM chosen ORDER BY job_id, region, model_id, question_id, run_no
  ON CONFLICT (job_id, region, model_id, question_id, run_no) DO NOTHING
  RETURNING job_id, region, model_id, question_id, run_no, attempt, id, provider_id
), tried AS (
  INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
  SELECT job_id, region, model_id, question_id, run_no, attempt, 1, id, provider_id FROM begun
  ON CONFLICT (job_id, region, model_id, question_id, run_no, attempt, number) DO NOTHING
)
SELECT c.job_id, c.region, c.attempt, c.lease_token AS token, c.started_at, c.again, c.begun,
       j.plan -> c.region AS models, j.questions, j.runs,
       j.parameters, j.timeout_seconds, j.provider_timeout_seconds, j.request_id, j.traceparent,
       extract(epoch FROM c.started_at - j.created_at)::double precision AS waited_seconds
  FROM (SELECT n.job_id, n.region, n.attempt, n.lease_token, n.started_at, n.again,
               (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.model_id, b.question_id, b.run_no)), '[]')
                  FROM begun b WHERE b.job_id = n.job_id AND b.region = n.region) AS begun
          FROM claimed n
         UNION ALL
        SELECT o.job_id, o.region, o.attempt, o.lease_token, o.started_at, true, o.begun
          FROM ours o
         -- If the lease expired before the repeat, the run was claimed once more, and `ours` has the old row.
         WHERE NOT EXISTS (SELECT 1 FROM claimed n WHERE n.job_id = o.job_id AND n.region = o.region)) c
  JOIN job j ON j.id = c.job_id;

-- name: region_runs.stored
-- The results of earlier attempts: units that have an execution, and answers that need no second call. served, sent and
-- answered_ms are needed again, because the receipt of the unit covers them.
SELECT e.job_id, e.region, e.model_id, NULL AS question_id, 0 AS run_no, e.status, NULL::jsonb AS output, NULL::jsonb AS error, e.provider_id,
       NULL::jsonb AS served, NULL::jsonb AS sent, NULL::bigint AS answered_ms
  FROM executions e JOIN unnest(%(job_ids)s::text[], %(regions)s::text[]) AS w (job_id, region)
    ON e.job_id = w.job_id AND e.region = w.region
UNION ALL
SELECT a.job_id, a.region, a.model_id, a.question_id, a.run_no, a.status, a.output, a.error, a.provider_id, a.served, a.sent, a.answered_ms
  FROM answers a JOIN unnest(%(job_ids)s::text[], %(regions)s::text[]) AS w (job_id, region)
    ON a.job_id = w.job_id AND a.region = w.region
 WHERE a.status IN ('ok', 'failed');

-- name: region_runs.hold
-- Lock the open runs that the following statements write, in a fixed order. mine: this token still has the lease.
-- Here and below `= ANY` repeats what the join says: without it PostgreSQL reads all runs of a table of which it has no
-- statistics yet.
SELECT r.job_id, r.region, w.token, r.lease_token IS NOT DISTINCT FROM w.token AS mine
  FROM region_runs r JOIN unnest(%(job_ids)s::text[], %(regions)s::text[], %(tokens)s::uuid[]) AS w (job_id, region, token)
    ON r.job_id = w.job_id AND r.region = w.region
 WHERE r.job_id = ANY (%(job_ids)s::text[]) AND r.finished_at IS NULL
 ORDER BY r.job_id, r.region
   FOR NO KEY UPDATE OF r;

-- name: region_runs.beat -- writes
-- Extend the leases that these tokens still have. Locked rows are skipped, so that the heartbeat never waits.
UPDATE region_runs r SET lease_expires_at = statement_timestamp() + make_interval(secs => %(lease_seconds)s)
  FROM (SELECT h.job_id, h.region FROM region_runs h
          JOIN unnest(%(job_ids)s::text[], %(regions)s::text[], %(tokens)s::uuid[]) AS w (job_id, region, token)
            ON h.job_id = w.job_id AND h.region = w.region AND h.lease_token = w.token
         WHERE h.job_id = ANY (%(job_ids)s::text[])
         ORDER BY h.job_id, h.region
           FOR NO KEY UPDATE OF h SKIP LOCKED) own
 WHERE r.job_id = own.job_id AND r.region = own.region AND r.job_id = ANY (%(job_ids)s::text[]);

-- name: region_runs.lost
-- The tokens that have lost their lease: the run was cancelled, taken over or finished by another worker.
SELECT w.token
  FROM unnest(%(job_ids)s::text[], %(regions)s::text[], %(tokens)s::uuid[]) AS w (job_id, region, token)
 WHERE NOT EXISTS (SELECT 1 FROM region_runs r
                    WHERE r.job_id = w.job_id AND r.region = w.region AND r.lease_token = w.token
                      AND r.job_id = ANY (%(job_ids)s::text[]));

-- name: region_runs.close -- writes
-- Finish the regions in which every planned unit has an execution.
WITH closed AS MATERIALIZED (SELECT * FROM close_regions(%(job_ids)s::text[]))
SELECT c.closed_job AS job_id, c.closed_region AS region, c.closed_attempt AS attempt, c.closed_started AS started_at,
       c.closed_units AS units, c.closed_completed AS completed,
       (SELECT j.traceparent FROM jobs j WHERE j.id = c.closed_job) AS traceparent
  FROM closed c;

-- name: region_runs.release -- writes
-- Release runs. A run in which no call had begun gets its attempt back.
WITH own AS (
  SELECT h.job_id, h.region, w.unbegun
    FROM region_runs h JOIN unnest(%(job_ids)s::text[], %(regions)s::text[], %(tokens)s::uuid[], %(unbegun)s::boolean[])
         AS w (job_id, region, token, unbegun)
      ON h.job_id = w.job_id AND h.region = w.region AND h.lease_token = w.token
   WHERE h.job_id = ANY (%(job_ids)s::text[]) AND h.finished_at IS NULL
   ORDER BY h.job_id, h.region
     FOR NO KEY UPDATE OF h
), released AS (
  UPDATE region_runs r SET lease_token = NULL, lease_expires_at = NULL,
         attempt = r.attempt - CASE WHEN o.unbegun THEN 1 ELSE 0 END
    FROM own o WHERE r.job_id = o.job_id AND r.region = o.region AND r.job_id = ANY (%(job_ids)s::text[])
  RETURNING r.job_id, r.region, r.attempt, o.unbegun
), bumped AS (
  UPDATE jobs j SET version = j.version + c.n, updated_at = statement_timestamp()
    FROM (SELECT job_id, count(*) AS n FROM released GROUP BY job_id) c
   WHERE j.id = c.job_id
  RETURNING j.id, j.version - c.n AS base
)
INSERT INTO job_events (job_id, seq, type, region, detail)
SELECT r.job_id, b.base + row_number() OVER (PARTITION BY r.job_id ORDER BY r.region), 'region_released', r.region,
       jsonb_build_object('attempt', r.attempt, 'call_begun', NOT r.unbegun)
  FROM released r JOIN bumped b ON b.id = r.job_id
RETURNING job_id, region;
