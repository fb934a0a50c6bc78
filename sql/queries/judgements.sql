-- name: judgements.lock
-- Let one worker at a time take an answer: requests are counted, and one more is counted, before the next worker counts.
SELECT pg_advisory_xact_lock(CASE current_schema() WHEN 'public' THEN 4711 ELSE hashtext(current_schema()) END, 6);

-- name: judgements.asked
-- The requests to a judge in the last 24 hours, and the database's time.
SELECT COALESCE(sum(requests), 0) AS requests, statement_timestamp() AS now
  FROM judgements WHERE judge = %(judge)s AND asked_at > statement_timestamp() - interval '24 hours';

-- name: judgements.jobs
-- A page of the jobs that ended behind (since, after), the earliest first. Each with whether it is compared and has an
-- answer without a row of the judge. No text is read, so that a page costs the same whatever the answers are.
SELECT p.job_id, p.completed_at,
       EXISTS (SELECT FROM jsonb_each(p.plan) AS r (region, models), jsonb_array_elements_text(r.models) AS m (model_id)
                GROUP BY m.model_id HAVING count(*) > 1)
       AND EXISTS (SELECT FROM answers a
                    WHERE a.job_id = p.job_id AND a.status = 'ok'
                      AND NOT EXISTS (SELECT FROM judgements g WHERE g.answer_id = a.id AND g.judge = %(judge)s)) AS open
  FROM (SELECT j.id AS job_id, j.completed_at, j.plan
          FROM jobs j
         WHERE j.status IN ('completed', 'failed') AND j.enable_analysis IS NOT FALSE
           AND j.completed_at >= %(since)s AND (j.completed_at, j.id) > (%(since)s, %(after)s)
         ORDER BY j.completed_at, j.id LIMIT %(page)s) p
 ORDER BY p.completed_at, p.job_id;

-- name: judgements.begin -- writes
-- Add an open row for each answer of a job that has none, and whose category the protocol does not tell: no filter, no
-- refusal that the provider marked, no finish reason of a filter (`filtered`, of answers that earlier releases stored).
-- Nor is there anything to ask about an answer without a text behind its thoughts. Another worker may add the same rows at
-- this moment.
WITH told AS MATERIALIZED (
  SELECT a.id, a.job_id, a.output ->> 'response' AS response, a.output ->> 'refusal_source' AS refusal_source,
         a.output ->> 'filter' AS filter, lower(COALESCE(a.output ->> 'finish_reason', '')) AS finish_reason
    FROM answers a
   WHERE a.job_id = %(job_id)s AND a.status = 'ok'
     AND NOT EXISTS (SELECT FROM judgements g WHERE g.answer_id = a.id AND g.judge = %(judge)s)
)
INSERT INTO judgements (answer_id, judge, job_id)
SELECT t.id, %(judge)s, t.job_id
  FROM told t
 WHERE t.filter IS NULL AND COALESCE(t.refusal_source, '') NOT IN ('filter', 'provider')
   AND (t.refusal_source IS NOT NULL OR t.finish_reason <> ALL (%(filtered)s::text[]))
   AND CASE WHEN t.response ~ '^\s*<think>' THEN substr(t.response, NULLIF(strpos(t.response, '</think>'), 0) + 8)
            ELSE t.response END ~ '\S'
 ORDER BY t.id
ON CONFLICT (answer_id, judge) DO NOTHING
RETURNING answer_id;

-- name: judgements.give_up -- writes
-- End the judgements whose last worker has not come back either.
UPDATE judgements SET open_at = NULL, error = 'abandoned'
 WHERE judge = %(judge)s AND open_at < statement_timestamp() AND tries >= %(most)s;

-- name: judgements.take -- writes
-- Take one open answer for so many seconds and count its request, by chance: the judge must not see the answers of one
-- region one after the other. An answer that was asked about before waits for those that were not.
UPDATE judgements g
   SET requests = g.requests + 1, tries = g.tries + 1, asked_at = statement_timestamp(),
       open_at = statement_timestamp() + make_interval(secs => %(seconds)s)
  FROM (SELECT x.answer_id FROM judgements x
         WHERE x.judge = %(judge)s AND x.open_at < statement_timestamp() AND x.tries < %(most)s
         ORDER BY x.requests, random() LIMIT 1 FOR UPDATE SKIP LOCKED) due
 WHERE g.answer_id = due.answer_id AND g.judge = %(judge)s
RETURNING g.answer_id, g.requests, g.asked_at;

-- name: judgements.failed -- writes
-- After a failed call let the answer be asked about again, so many seconds later. What was not sent is no request
-- (`sent`); what is not due to this answer is no try (`counts`), and the last try ends the judgement with the error.
-- `asked_at` names the request: another worker may have taken the answer since.
WITH pause AS MATERIALIZED (
  SELECT statement_timestamp() + make_interval(secs => %(seconds)s) AS ends
)
UPDATE judgements
   SET requests = requests - (NOT %(sent)s::boolean)::integer, tries = tries - (NOT %(counts)s::boolean)::integer,
       open_at = CASE WHEN %(counts)s::boolean AND tries >= %(most)s THEN NULL ELSE pause.ends END,
       error = CASE WHEN %(counts)s::boolean AND tries >= %(most)s THEN %(error)s END
  FROM pause
 WHERE answer_id = %(answer_id)s AND judge = %(judge)s AND asked_at = %(asked_at)s AND open_at IS NOT NULL;

-- name: judgements.text
-- Question and answer of an answer. Of the text its first `characters` behind a block of thoughts.
WITH t AS MATERIALIZED (
  SELECT a.job_id, a.question_id, a.output ->> 'response' AS response FROM answers a WHERE a.id = %(answer_id)s
)
SELECT q.question ->> 'text' AS question,
       left(t.response, %(characters)s + CASE WHEN t.response ~ '^\s*<think>' THEN strpos(t.response, '</think>') + 7 ELSE 0 END) AS answer
  FROM t
  JOIN jobs j ON j.id = t.job_id
 CROSS JOIN LATERAL jsonb_array_elements(j.questions) AS q (question)
 WHERE q.question ->> 'id' = t.question_id;

-- name: judgements.end -- writes
-- Keep the reply, or the code of the error. The first reply stays.
UPDATE judgements
   SET open_at = NULL, reply = %(reply)s, category = %(category)s, error = %(error)s, sent = %(sent)s::jsonb
 WHERE answer_id = %(answer_id)s AND judge = %(judge)s AND open_at IS NOT NULL
RETURNING answer_id;

-- name: judgements.unlabelled
-- The jobs with categories of the judge that are no labels yet, and without an open answer: the labels of a job come
-- together, because each newest label makes a new analysis.
SELECT DISTINCT g.job_id
  FROM judgements g
 WHERE g.judge = %(judge)s AND g.category IS NOT NULL AND NOT g.labelled
   AND NOT EXISTS (SELECT FROM judgements o WHERE o.job_id = g.job_id AND o.judge = %(judge)s AND o.open_at IS NOT NULL);

-- name: judgements.label -- writes
-- Add the judge's labels of a job; their number.
SELECT label_judged(%(job_id)s, %(judge)s, %(actor)s) AS labels;

-- name: judgements.beside_people
-- The answers that people and this judge labelled, counted by what the newest label of each says: withheld or not. Of
-- those that people labelled, and the judge ended without a category, `by_judge` is null.
SELECT h.withheld AS by_person, g.category IN ('content_filter', 'hard_refusal', 'partial_refusal') AS by_judge,
       count(*) AS answers
  FROM (SELECT DISTINCT ON (answer_id) answer_id,
               category IN ('content_filter', 'hard_refusal', 'partial_refusal') AS withheld
          FROM answer_labels WHERE source = 'human' ORDER BY answer_id, id DESC) h
  JOIN judgements g ON g.answer_id = h.answer_id AND g.judge = %(judge)s
                   AND (g.labelled OR (g.open_at IS NULL AND g.category IS NULL))
 GROUP BY h.withheld, g.category IN ('content_filter', 'hard_refusal', 'partial_refusal');
