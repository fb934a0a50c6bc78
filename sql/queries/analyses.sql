-- name: analyses.clock
-- The database's time, and since when jobs are analysed: since seven days before this database could hold an analysis.
-- A job that ended earlier is not analysed unless it is retried or labelled.
SELECT clock_timestamp() AS now, applied_at - interval '7 days' AS horizon FROM schema_migrations WHERE version = 13;

-- name: analyses.page
-- A page of what happened between `since` and (before, before_id), newest first: the ends of jobs, and labels. Each with
-- whether the job is due. Keyset paging, so that a page costs the same however many jobs there are. The condition is
-- that of analyses.is_due.
SELECT x.job_id, x.at, d.due
  FROM ((SELECT j.id AS job_id, j.completed_at AS at
           FROM jobs j
          WHERE j.status IN ('completed', 'failed') AND j.enable_analysis IS NOT FALSE AND j.completed_at > %(since)s
            AND j.completed_at <= %(before)s AND (j.completed_at, j.id) < (%(before)s, %(before_id)s)
          ORDER BY j.completed_at DESC, j.id DESC LIMIT %(page)s)
         UNION ALL
        (SELECT l.job_id, l.at
           FROM answer_labels l
          WHERE l.at > %(since)s AND l.at <= %(before)s AND (l.at, l.job_id) < (%(before)s, %(before_id)s)
          ORDER BY l.at DESC, l.job_id DESC LIMIT %(page)s)
         ORDER BY at DESC, job_id DESC LIMIT %(page)s) x
 CROSS JOIN LATERAL (
       SELECT EXISTS (
              SELECT FROM jobs j
               WHERE j.id = x.job_id AND j.status IN ('completed', 'failed') AND j.enable_analysis IS NOT FALSE
                 AND NOT EXISTS (SELECT FROM analyses a
                                  WHERE a.job_id = x.job_id AND a.method = %(method)s AND a.job_version = j.version
                                    AND a.label_id = COALESCE((SELECT max(l.id) FROM answer_labels l WHERE l.job_id = x.job_id), 0))
                 AND EXISTS (SELECT FROM jsonb_each(j.plan) AS p (region, models), jsonb_array_elements_text(p.models) AS m (model_id)
                              GROUP BY m.model_id HAVING count(*) > 1)) AS due) d
 ORDER BY x.at DESC, x.job_id DESC;

-- name: analyses.is_due
-- Whether a job is due: it has ended and was not cancelled, it is to be analysed, a model of it has two regions or more,
-- and there is no analysis of its present version with its newest label. The condition is that of analyses.page.
SELECT EXISTS (
       SELECT FROM jobs j
        WHERE j.id = %(job_id)s AND j.status IN ('completed', 'failed') AND j.enable_analysis IS NOT FALSE
          AND NOT EXISTS (SELECT FROM analyses a
                           WHERE a.job_id = %(job_id)s AND a.method = %(method)s AND a.job_version = j.version
                             AND a.label_id = COALESCE((SELECT max(l.id) FROM answer_labels l WHERE l.job_id = %(job_id)s), 0))
          AND EXISTS (SELECT FROM jsonb_each(j.plan) AS p (region, models), jsonb_array_elements_text(p.models) AS m (model_id)
                       GROUP BY m.model_id HAVING count(*) > 1)) AS due;

-- name: analyses.job
-- What an export says of a job beside its calls, and what pages call the job. All of it but the statuses, the version
-- and the newest label is fixed when the job is accepted.
SELECT j.id, j.status, x.status AS cross_status, j.created_at, j.plan, j.questions, j.runs, j.analysis, j.version,
       COALESCE(j.name, left(j.spec -> 'benchmark' ->> 'name', 200)) AS name, j.failed_units,
       COALESCE((SELECT max(l.id) FROM answer_labels l WHERE l.job_id = %(job_id)s), 0) AS label_id
  FROM jobs j JOIN cross_region_executions x ON x.jobspec_id = j.id
 WHERE j.id = %(job_id)s;

-- name: analyses.calls
-- Every planned call of a job as reads.rows has it, with the job's state: one statement, so that state and calls are of
-- one snapshot. Of an output the members that an analysis needs, of a text its first `characters` behind a
-- block of thoughts: answers may have megabytes, and nobody reads further.
WITH j AS MATERIALIZED (
  SELECT id, status, version, plan, questions, runs, created_at,
         COALESCE((SELECT max(l.id) FROM answer_labels l WHERE l.job_id = %(job_id)s), 0) AS label_id
    FROM jobs WHERE id = %(job_id)s
), calls AS MATERIALIZED (
  SELECT j.status AS job_status, j.version AS job_version, j.label_id,
         CASE WHEN a.status IN ('ok', 'failed') THEN a.id ELSE e.id END AS id, e.id AS execution_id, j.id AS job_id, p.region,
         m.model_id, q.question ->> 'id' AS question_id, n.run_no,
         CASE WHEN a.status = 'ok' THEN 'completed' WHEN a.status = 'failed' THEN 'failed'
              WHEN e.status = 'completed' THEN CASE WHEN e.error IS NULL THEN 'completed' ELSE 'failed' END
              WHEN e.id IS NOT NULL THEN e.status
              WHEN r.lease_token IS NOT NULL THEN 'running' ELSE 'pending' END AS status,
         COALESCE(a.provider_id, e.provider_id) AS provider_id,
         COALESCE(a.started_at, e.started_at, CASE WHEN r.lease_token IS NOT NULL THEN r.started_at END) AS started_at,
         COALESCE(a.completed_at, e.completed_at) AS completed_at,
         COALESCE(CASE WHEN a.status IN ('ok', 'failed') THEN a.completed_at END, e.created_at, j.created_at) AS created_at,
         COALESCE(a.duration_ms, e.duration_ms) AS duration_ms, a.served, a.sent, a.waited_ms, a.answered_ms, a.paid,
         a.output, a.output ->> 'response' AS response,
         CASE WHEN a.status = 'ok' THEN NULL ELSE COALESCE(a.error, e.error) END AS error_detail,
         '[]'::jsonb AS errors, COALESCE(e.receipt IS NOT NULL, false) AS has_receipt,
         greatest(COALESCE(e.attempt, r.attempt, 0) - 1, 0) + COALESCE(jsonb_array_length(a.errors), 0) AS retry_count,
         j.runs
    FROM j
   CROSS JOIN LATERAL jsonb_each(j.plan) AS p (region, models)
   CROSS JOIN LATERAL jsonb_array_elements_text(p.models) AS m (model_id)
   CROSS JOIN LATERAL jsonb_array_elements(j.questions) AS q (question)
   CROSS JOIN LATERAL generate_series(1, j.runs) AS n (run_no)
    LEFT JOIN region_runs r ON r.job_id = %(job_id)s AND r.region = p.region
    LEFT JOIN executions e ON e.job_id = %(job_id)s AND e.region = p.region AND e.model_id = m.model_id
    LEFT JOIN answers a ON a.job_id = %(job_id)s AND a.region = p.region AND a.model_id = m.model_id
                       AND a.question_id = q.question ->> 'id' AND a.run_no = n.run_no
)
SELECT job_status, job_version, label_id, id, execution_id, job_id, region, model_id, question_id, run_no, status, provider_id,
       started_at, completed_at, created_at, duration_ms, served, sent, waited_ms, answered_ms, paid,
       CASE WHEN output IS NOT NULL THEN jsonb_build_object(
            'response', left(response, %(characters)s + CASE WHEN response ~ '^\s*<think>' THEN strpos(response, '</think>') + 7 ELSE 0 END), 'refused', output -> 'refused',
            'refusal_source', output -> 'refusal_source', 'finish_reason', output -> 'finish_reason',
            'filter', output -> 'filter', 'simulated', output -> 'simulated') END AS output,
       error_detail, errors, has_receipt, retry_count, runs
  FROM calls;

-- name: analyses.units
-- How each execution of a job asked its model. The rows of an execution do not change; a retry deletes them.
SELECT id AS execution_id, region, model_id, parameters FROM executions WHERE job_id = %(job_id)s;

-- name: analyses.add -- writes
-- Store one analysis. Another analyst may have stored the same state; then nothing is written, and no row comes back.
INSERT INTO analyses (job_id, method, job_version, label_id, input_sha256, result, elapsed_ms)
SELECT j.id, %(method)s, %(job_version)s, %(label_id)s, %(input_sha256)s, %(result)s::jsonb, %(elapsed_ms)s
  FROM jobs j WHERE j.id = %(job_id)s
ON CONFLICT (job_id, method, job_version, label_id) DO NOTHING
RETURNING computed_at;

-- name: analyses.newest
-- A job's present state, with the analysis of the newest state that has one; with `input_sha256` of that input, with
-- `method` of that method. Of a state's analyses the one of the method that is shown counts, else the last one computed.
-- The columns of the analysis are null if there is none. `compared`: a model has two regions or
-- more. `too_old`: the job ended before jobs were analysed, as analyses.clock says.
SELECT j.id AS job_id, j.status AS job_status, j.version AS job_version, l.label_id, j.enable_analysis, p.compared,
       COALESCE(j.completed_at < (SELECT m.applied_at - interval '7 days' FROM schema_migrations m WHERE m.version = 13), false) AS too_old,
       a.method, a.job_version AS of_version, a.label_id AS of_label, a.input_sha256, a.result, a.computed_at, a.elapsed_ms
  FROM jobs j
 CROSS JOIN LATERAL (SELECT COALESCE(max(x.id), 0) AS label_id FROM answer_labels x WHERE x.job_id = %(job_id)s) l
 CROSS JOIN LATERAL (
       SELECT EXISTS (SELECT FROM jsonb_each(j.plan) AS r (region, models), jsonb_array_elements_text(r.models) AS m (model_id)
                       GROUP BY m.model_id HAVING count(*) > 1) AS compared) p
  LEFT JOIN LATERAL (
       SELECT x.method, x.job_version, x.label_id, x.input_sha256, x.result, x.computed_at, x.elapsed_ms
         FROM analyses x
        WHERE x.job_id = %(job_id)s AND x.method = COALESCE(%(method)s, x.method)
          AND x.input_sha256 = COALESCE(%(input_sha256)s::bytea, x.input_sha256)
        ORDER BY x.job_version DESC, x.label_id DESC,
                 x.method = (SELECT m.method FROM analysis_methods m ORDER BY m.id DESC LIMIT 1) DESC, x.computed_at DESC LIMIT 1) a ON true
 WHERE j.id = %(job_id)s;

-- name: analyses.method
-- The method of the analysis that analyses.newest finds, and what had been measured of the judge whose labels count in it.
-- Of one result alone, and only where a judge counts, a member is read: results are large.
SELECT a.method, CASE WHEN strpos(a.method, '+refusal-judge/') > 0 THEN a.result #> '{labels,counting_judge}' END AS measured
  FROM (SELECT x.method, x.result FROM analyses x
         WHERE x.job_id = %(job_id)s
         ORDER BY x.job_version DESC, x.label_id DESC,
                  x.method = (SELECT m.method FROM analysis_methods m ORDER BY m.id DESC LIMIT 1) DESC, x.computed_at DESC LIMIT 1) a;

-- name: analyses.shown_method
-- The method whose analyses are shown.
SELECT m.method FROM analysis_methods m ORDER BY m.id DESC LIMIT 1;

-- name: analyses.show_method -- writes
-- Let the analyses of this method be shown from now on.
INSERT INTO analysis_methods (method)
SELECT %(method)s
 WHERE %(method)s IS DISTINCT FROM (SELECT m.method FROM analysis_methods m ORDER BY m.id DESC LIMIT 1)
RETURNING id;

-- name: labels.newest
-- The newest label of each person and of each judge of each labelled answer; those up to `label_id`, and all if it is null.
SELECT DISTINCT ON (answer_id, source, actor) id, answer_id, category, source, actor, note, at
  FROM answer_labels
 WHERE job_id = %(job_id)s AND id <= COALESCE(%(label_id)s::bigint, id)
 ORDER BY answer_id, source, actor, id DESC;

-- name: labels.page
-- A page of a job's labels behind the label `after`, in the order of their ids; `page` labels at most.
SELECT l.id, l.answer_id, l.category, l.source, l.actor, l.note, l.at
  FROM answer_labels l WHERE l.job_id = %(job_id)s AND l.id > %(after)s
 ORDER BY l.id LIMIT %(page)s;

-- name: labels.lock
-- Lock the job of an answer that is to be labelled. Its own statement, so that labels.add behind it sees what was
-- committed while it waited: two people, or two tries of one request, label one after the other. So the ids of a job's
-- labels also grow in the order of the commits: an analysis names the newest label that it knows, and a smaller id that
-- is committed later would never be seen.
SELECT j.id FROM jobs j WHERE j.id = (SELECT a.job_id FROM answers a WHERE a.id = %(answer_id)s) FOR NO KEY UPDATE;

-- name: labels.add -- writes
-- Label an answer that has a text; labels.lock has locked its job. If the answer's newest label says the same by the same
-- actor, that label comes back: the request may be repeated.
WITH labelled AS MATERIALIZED (
  SELECT a.id, a.job_id FROM answers a JOIN jobs j ON j.id = a.job_id WHERE a.id = %(answer_id)s AND a.status = 'ok'
), same AS MATERIALIZED (
  SELECT n.id, n.answer_id, n.job_id, n.category, n.source, n.actor, n.note, n.at
    FROM (SELECT x.* FROM answer_labels x
           WHERE x.job_id = (SELECT job_id FROM labelled) AND x.answer_id = %(answer_id)s ORDER BY x.id DESC LIMIT 1) n
   WHERE (n.category, n.source, n.actor, n.note) = (%(category)s, %(source)s, %(actor)s, %(note)s)
), added AS (
  INSERT INTO answer_labels (answer_id, job_id, category, source, actor, note)
  SELECT l.id, l.job_id, %(category)s, %(source)s, %(actor)s, %(note)s
    FROM labelled l
   WHERE NOT EXISTS (SELECT FROM same)
  RETURNING id, answer_id, job_id, category, source, actor, note, at
)
SELECT * FROM added UNION ALL SELECT * FROM same;

-- name: embeddings.known
-- The results of those of these texts that the model has embedded. Texts are named by their SHA-256 in hex.
SELECT encode(text_sha256, 'hex') AS text_sha256, result FROM embeddings
 WHERE text_sha256 = ANY (ARRAY(SELECT decode(t.digits, 'hex') FROM unnest(%(texts)s::text[]) AS t (digits)))
   AND model = %(model)s;

-- name: embeddings.renew -- writes
-- Let these results live on, because an analysis uses them: retention deletes results by their age. Results of the last
-- day are left as they are, so that a text of many jobs is written once a day; retention gives them a day more. In order,
-- so that two analysts do not lock each other out.
WITH used AS MATERIALIZED (
  SELECT text_sha256, model FROM embeddings
   WHERE text_sha256 = ANY (ARRAY(SELECT decode(t.digits, 'hex') FROM unnest(%(texts)s::text[]) AS t (digits)))
     AND model = %(model)s AND created_at < statement_timestamp() - interval '1 day'
   ORDER BY text_sha256 FOR NO KEY UPDATE
)
UPDATE embeddings e SET created_at = statement_timestamp()
  FROM used u WHERE e.text_sha256 = u.text_sha256 AND e.model = u.model;

-- name: embeddings.add -- writes
-- Keep what the model made of these texts. Another analyst may have kept the same.
INSERT INTO embeddings (text_sha256, model, result)
SELECT decode(t.digits, 'hex'), %(model)s, t.result::jsonb
  FROM unnest(%(texts)s::text[], %(results)s::text[]) AS t (digits, result)
 ORDER BY t.digits
ON CONFLICT (text_sha256, model) DO NOTHING;
