-- Generated from sql/migrations by `python -m tests.schema`; change those, not this.
--
-- PostgreSQL database dump
--

\restrict beacon


SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: cancel_units(text, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cancel_units(job text, reason jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
  ids text[];
  open_regions text[];
  reasons jsonb[];
  ended integer;
BEGIN
  SELECT array_agg(o.job_id), array_agg(o.region), array_agg(reason) INTO ids, open_regions, reasons
    FROM region_outcomes o WHERE o.job_id = job AND o.finished_at IS NULL;
  SELECT count(e.ended_model) INTO ended FROM end_units(ids, open_regions, 'cancelled', reasons) e;
  PERFORM close_regions(ARRAY[job]);
  RETURN ended;
END $$;


--
-- Name: close_jobs(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.close_jobs(job_ids text[]) RETURNS TABLE(closed_job text, closed_status text, closed_succeeded bigint, closed_planned bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  RETURN QUERY
  WITH due AS (
    SELECT v.job_id, v.status, v.succeeded, v.planned, v.status <> j.status AS ends, e.reached,
           v.outcome, v.completed_units, v.failed_units, v.cancelled_units, statement_timestamp() AS now
      FROM jobs j JOIN job_verdicts v ON v.job_id = j.id
     CROSS JOIN LATERAL (SELECT max(x.seq) AS reached FROM job_events x WHERE x.job_id = j.id) e
     WHERE j.id = ANY (job_ids) AND j.status IN ('queued', 'running')
       AND (v.status <> j.status OR e.reached > j.version)
  ), closed AS (
    UPDATE jobs j SET status = d.status, version = d.reached + d.ends::integer, updated_at = d.now,
           started_at = COALESCE(j.started_at, CASE WHEN d.status = 'running' THEN d.now END),
           completed_at = CASE WHEN d.status IN ('completed', 'failed', 'cancelled') THEN d.now END,
           outcome = d.outcome,
           completed_units = CASE WHEN d.outcome IS NOT NULL THEN d.completed_units END,
           failed_units = CASE WHEN d.outcome IS NOT NULL THEN d.failed_units END,
           cancelled_units = CASE WHEN d.outcome IS NOT NULL THEN d.cancelled_units END
      FROM due d WHERE j.id = d.job_id
    RETURNING j.id, j.version, d.status, d.succeeded, d.planned, d.ends
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, detail)
    SELECT id, version, 'job_' || status, jsonb_build_object('succeeded', succeeded, 'regions', planned)
      FROM closed WHERE ends
  )
  SELECT id, status, succeeded, planned FROM closed WHERE ends;
END $$;


--
-- Name: close_regions(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.close_regions(job_ids text[]) RETURNS TABLE(closed_job text, closed_region text, closed_attempt integer, closed_started timestamp with time zone, closed_units bigint, closed_completed bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
    UPDATE region_runs r SET finished_at = statement_timestamp(), lease_token = NULL, lease_expires_at = NULL
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


--
-- Name: end_units(text[], text[], text, jsonb[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[]) RETURNS TABLE(ended_job text, ended_region text, ended_model text, ended_status text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  INSERT INTO region_runs AS r (job_id, region, attempt, max_attempts, last_error)
  SELECT w.job_id, w.region, 0, 0, w.reason ->> 'message'
    FROM unnest(job_ids, region_names, reasons) AS w (job_id, region, reason)
    JOIN jobs j ON j.id = w.job_id AND j.plan ? w.region
   ORDER BY 1, 2
  ON CONFLICT (job_id, region) DO UPDATE SET last_error = EXCLUDED.last_error WHERE r.finished_at IS NULL;

  RETURN QUERY
  WITH missing AS (
    SELECT w.job_id, w.region, m.model_id, w.reason, r.attempt, r.started_at,
           count(*) FILTER (WHERE a.status = 'ok') AS usable,
           count(*) FILTER (WHERE a.status = 'failed') AS failed,
           string_agg(DISTINCT a.provider_id, ',') AS provider_id,
           jsonb_array_length(j.questions) * j.runs AS planned_calls
      FROM unnest(job_ids, region_names, reasons) AS w (job_id, region, reason)
      JOIN jobs j ON j.id = w.job_id
      JOIN region_runs r ON r.job_id = w.job_id AND r.region = w.region AND r.finished_at IS NULL
     CROSS JOIN LATERAL jsonb_array_elements_text(j.plan -> w.region) AS m (model_id)
      LEFT JOIN answers a ON a.job_id = w.job_id AND a.region = w.region AND a.model_id = m.model_id
     WHERE NOT EXISTS (SELECT 1 FROM executions e
                        WHERE e.job_id = w.job_id AND e.region = w.region AND e.model_id = m.model_id)
     GROUP BY w.job_id, w.region, m.model_id, w.reason, r.attempt, r.started_at, j.questions, j.runs
  ), written AS (
    INSERT INTO executions (job_id, region, model_id, status, provider_id, attempt, started_at, completed_at,
                            duration_ms, failed_answers, retry_count, error)
    SELECT job_id, region, model_id,
           CASE WHEN final_status = 'failed' AND usable > 0 THEN 'completed' ELSE final_status END,
           provider_id, attempt, started_at, statement_timestamp(),
           (extract(epoch FROM statement_timestamp() - started_at) * 1000)::bigint,
           planned_calls - usable, greatest(attempt - 1, 0),
           reason || jsonb_build_object('region', region, 'model', model_id)
      FROM missing
    ON CONFLICT (job_id, region, model_id) DO NOTHING
    RETURNING executions.job_id, executions.region, executions.model_id, executions.status, executions.error
  ), bumped AS (
    UPDATE jobs j SET version = j.version + c.n, updated_at = statement_timestamp()
      FROM (SELECT job_id, count(*) AS n FROM written GROUP BY job_id) c
     WHERE j.id = c.job_id
    RETURNING j.id, j.version - c.n AS base
  ), noted AS (
    INSERT INTO job_events (job_id, seq, type, region, model_id, detail)
    SELECT w.job_id, b.base + row_number() OVER (PARTITION BY w.job_id ORDER BY w.region, w.model_id),
           'execution_recorded', w.region, w.model_id,
           jsonb_build_object('status', w.status, 'code', w.error ->> 'code')
      FROM written w JOIN bumped b ON b.id = w.job_id
  )
  SELECT job_id, region, model_id, status FROM written;
END $$;


--
-- Name: fill_jobs(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fill_jobs(batch integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  WITH due AS MATERIALIZED (
    SELECT j.id FROM jobs j
     WHERE j.name IS NULL OR (j.outcome IS NULL AND j.completed_at IS NOT NULL)
     ORDER BY j.id LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
  ), judged AS MATERIALIZED (
    SELECT d.id, (SELECT x FROM job_verdicts x WHERE x.job_id = d.id) AS verdict FROM due d
  ), known AS MATERIALIZED (
    SELECT d.id, (d.verdict).outcome, (d.verdict).completed_units, (d.verdict).failed_units, (d.verdict).cancelled_units,
           (SELECT x.actor FROM job_events x WHERE x.job_id = d.id AND x.type = 'submitted' ORDER BY x.seq LIMIT 1) AS actor
      FROM judged d
  ), filled AS (
    UPDATE jobs j
       SET name = COALESCE(j.name, left(j.spec -> 'benchmark' ->> 'name', 200), ''),
           submitter = COALESCE(j.submitter, left(k.actor, 200), ''),
           outcome = CASE WHEN j.completed_at IS NOT NULL THEN COALESCE(j.outcome, k.outcome, j.status) END,
           completed_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.completed_units
                                                                            ELSE j.completed_units END END,
           failed_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.failed_units
                                                                         ELSE j.failed_units END END,
           cancelled_units = CASE WHEN j.completed_at IS NOT NULL THEN CASE WHEN j.outcome IS NULL THEN k.cancelled_units
                                                                            ELSE j.cancelled_units END END
      FROM known k WHERE j.id = k.id
    RETURNING j.id
  )
  SELECT count(*) FROM filled;
$$;


--
-- Name: forget_events(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.forget_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  DELETE FROM job_events v USING gone g WHERE v.job_id = g.id;
  DELETE FROM tries t USING gone g WHERE t.job_id = g.id;
  RETURN NULL;
END $$;


--
-- Name: label_judged(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.label_judged(of_job text, by_judge text, by_actor text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
  labelled_at timestamptz;
  added bigint;
BEGIN
  PERFORM FROM jobs WHERE id = of_job FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  labelled_at := clock_timestamp();
  WITH named AS (
    UPDATE judgements SET labelled = true
     WHERE job_id = of_job AND judge = by_judge AND category IS NOT NULL AND NOT labelled
    RETURNING answer_id, job_id, category
  )
  INSERT INTO answer_labels (answer_id, job_id, category, source, actor, at)
  SELECT n.answer_id, n.job_id, n.category, 'judge', by_actor, labelled_at
    FROM named n JOIN answers a ON a.id = n.answer_id
   ORDER BY n.answer_id;
  GET DIAGNOSTICS added = ROW_COUNT;
  RETURN added;
END $$;


--
-- Name: reopen_units(text, text, text, text, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer) RETURNS TABLE(unit_region text, unit_model text, earlier jsonb)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT * FROM reopen_units(job, only_region, only_model, only_question, more_attempts, NULL) $$;


--
-- Name: reopen_units(text, text, text, text, integer, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer, only_units jsonb) RETURNS TABLE(unit_region text, unit_model text, earlier jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  RETURN QUERY
  WITH chosen AS (
    SELECT e.id, e.region, e.model_id
      FROM executions e JOIN region_runs r ON r.job_id = e.job_id AND r.region = e.region
     WHERE e.job_id = job AND e.status = 'failed' AND r.finished_at IS NOT NULL
       AND (only_region IS NULL OR e.region = only_region)
       AND (only_model IS NULL OR e.model_id = only_model)
       AND (only_units IS NULL OR only_units @> jsonb_build_array(jsonb_build_object('region', e.region, 'model_id', e.model_id)))
       AND (only_question IS NULL OR NOT EXISTS (
             SELECT 1 FROM answers a WHERE a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id
                AND a.question_id = only_question AND a.status = 'ok'))
  ), forgotten AS (
    DELETE FROM answers a USING chosen c
     WHERE a.job_id = job AND a.region = c.region AND a.model_id = c.model_id AND a.status = 'failed'
       AND (only_question IS NULL OR a.question_id = only_question)
    RETURNING a.region, a.model_id, a.question_id, a.run_no, a.error, a.errors, a.sent, a.paid
  ), reopened AS (
    UPDATE region_runs r SET finished_at = NULL, last_error = NULL, max_attempts = r.attempt + more_attempts
     WHERE r.job_id = job AND r.region IN (SELECT c.region FROM chosen c)
  ), deleted AS (
    DELETE FROM executions e USING chosen c WHERE e.id = c.id
    RETURNING e.id, e.region, e.model_id, e.status, e.attempt, e.error, e.completed_at
  )
  SELECT d.region, d.model_id,
         jsonb_build_object('execution_id', d.id, 'status', d.status, 'attempt', d.attempt, 'error', d.error,
                            'completed_at', d.completed_at,
                            'answers', COALESCE((SELECT jsonb_agg(jsonb_build_object(
                                'question_id', f.question_id, 'run_no', f.run_no, 'error', f.error, 'errors', f.errors,
                                'sent', f.sent, 'paid', f.paid) ORDER BY f.question_id, f.run_no)
                              FROM forgotten f WHERE f.region = d.region AND f.model_id = d.model_id), '[]'))
    FROM deleted d;
END $$;


--
-- Name: topic(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.topic(region text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('beacon-'::text || lower(region));


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: analyses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.analyses (
    job_id text NOT NULL,
    method text NOT NULL,
    job_version bigint NOT NULL,
    label_id bigint DEFAULT 0 NOT NULL,
    input_sha256 bytea NOT NULL,
    result jsonb NOT NULL,
    elapsed_ms bigint NOT NULL,
    computed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT analyses_elapsed_ms_check CHECK ((elapsed_ms >= 0)),
    CONSTRAINT analyses_input_sha256_check CHECK ((length(input_sha256) = 32)),
    CONSTRAINT analyses_job_version_check CHECK ((job_version >= 1)),
    CONSTRAINT analyses_method_check CHECK ((method <> ''::text)),
    CONSTRAINT analyses_result_check CHECK ((jsonb_typeof(result) = 'object'::text))
);


--
-- Name: analysis_methods; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.analysis_methods (
    id bigint NOT NULL,
    method text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT analysis_methods_method_check CHECK ((method <> ''::text))
);


--
-- Name: analysis_methods_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.analysis_methods ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.analysis_methods_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: answer_labels; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.answer_labels (
    id bigint NOT NULL,
    answer_id bigint NOT NULL,
    job_id text NOT NULL,
    category text NOT NULL,
    source text NOT NULL,
    actor text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT answer_labels_category_check CHECK ((category = ANY (ARRAY['content_filter'::text, 'hard_refusal'::text, 'partial_refusal'::text, 'deflection'::text, 'non_answer'::text, 'answer'::text]))),
    CONSTRAINT answer_labels_note_check CHECK ((length(note) <= 2000)),
    CONSTRAINT answer_labels_source_check CHECK ((source = ANY (ARRAY['human'::text, 'judge'::text])))
);


--
-- Name: answer_labels_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.answer_labels ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.answer_labels_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: result_ids; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.result_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: answers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.answers (
    id bigint DEFAULT nextval('public.result_ids'::regclass) NOT NULL,
    job_id text NOT NULL,
    region text NOT NULL,
    model_id text NOT NULL,
    question_id text NOT NULL,
    run_no integer NOT NULL,
    status text NOT NULL,
    provider_id text,
    attempt integer NOT NULL,
    calls integer DEFAULT 0 NOT NULL,
    lost_calls integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    completed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    duration_ms bigint,
    output jsonb,
    error jsonb,
    errors jsonb DEFAULT '[]'::jsonb NOT NULL,
    served jsonb,
    sent jsonb,
    waited_ms bigint,
    answered_ms bigint,
    paid text,
    CONSTRAINT answers_check CHECK (((status = 'ok'::text) = (output IS NOT NULL))),
    CONSTRAINT answers_check1 CHECK (((status = 'failed'::text) = (error IS NOT NULL))),
    CONSTRAINT answers_status_check CHECK ((status = ANY (ARRAY['started'::text, 'ok'::text, 'failed'::text])))
)
WITH (fillfactor='80');


--
-- Name: executions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.executions (
    id bigint DEFAULT nextval('public.result_ids'::regclass) NOT NULL,
    job_id text NOT NULL,
    region text NOT NULL,
    model_id text NOT NULL,
    status text NOT NULL,
    provider_id text,
    attempt integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    duration_ms bigint,
    failed_answers integer DEFAULT 0 NOT NULL,
    retry_count integer DEFAULT 0 NOT NULL,
    error jsonb,
    output jsonb,
    parameters jsonb,
    receipt jsonb,
    served jsonb,
    answered_ms bigint,
    CONSTRAINT executions_check CHECK (((status <> 'failed'::text) OR (error IS NOT NULL))),
    CONSTRAINT executions_status_check CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])))
);


--
-- Name: jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.jobs (
    id text NOT NULL,
    cross_region_execution_id uuid DEFAULT gen_random_uuid() NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    plan jsonb NOT NULL,
    questions jsonb NOT NULL,
    runs integer DEFAULT 1 NOT NULL,
    min_regions integer NOT NULL,
    min_success_rate numeric NOT NULL,
    timeout_seconds double precision NOT NULL,
    provider_timeout_seconds double precision NOT NULL,
    enable_analysis boolean,
    queued_until timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    cancelled_at timestamp with time zone,
    request_id text DEFAULT ''::text NOT NULL,
    traceparent text DEFAULT ''::text NOT NULL,
    public_key text,
    signature_form text,
    digest bytea NOT NULL,
    spec jsonb NOT NULL,
    spec_raw bytea NOT NULL,
    outcome text,
    completed_units integer,
    failed_units integer,
    cancelled_units integer,
    parameters jsonb,
    analysis jsonb,
    name text,
    submitter text,
    CONSTRAINT jobs_check CHECK (((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (completed_at IS NOT NULL))),
    CONSTRAINT jobs_check1 CHECK ((((status = 'cancelled'::text) = (cancelled_at IS NOT NULL)) OR (status = ANY (ARRAY['queued'::text, 'running'::text])))),
    CONSTRAINT jobs_id_check CHECK (((id <> ''::text) AND (length(id) <= 255) AND (id !~ '[^A-Za-z0-9._:-]'::text))),
    CONSTRAINT jobs_min_regions_check CHECK ((min_regions >= 1)),
    CONSTRAINT jobs_min_success_rate_check CHECK (((min_success_rate >= (0)::numeric) AND (min_success_rate <= (1)::numeric))),
    CONSTRAINT jobs_plan_check CHECK (((jsonb_typeof(plan) = 'object'::text) AND (plan <> '{}'::jsonb))),
    CONSTRAINT jobs_provider_timeout_seconds_check CHECK ((provider_timeout_seconds > (0)::double precision)),
    CONSTRAINT jobs_questions_check CHECK ((jsonb_typeof(questions) = 'array'::text)),
    CONSTRAINT jobs_runs_check CHECK (((runs >= 1) AND (runs <= 10))),
    CONSTRAINT jobs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT jobs_timeout_seconds_check CHECK ((timeout_seconds > (0)::double precision))
)
WITH (fillfactor='70', toast_tuple_target='256');


--
-- Name: region_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.region_runs (
    job_id text NOT NULL,
    region text NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    lease_token uuid,
    lease_expires_at timestamp with time zone,
    worker text,
    started_at timestamp with time zone,
    deadline timestamp with time zone,
    finished_at timestamp with time zone,
    last_error text,
    CONSTRAINT region_runs_check CHECK (((attempt >= 0) AND (attempt <= max_attempts))),
    CONSTRAINT region_runs_check1 CHECK (((lease_token IS NULL) = (lease_expires_at IS NULL))),
    CONSTRAINT region_runs_check2 CHECK (((finished_at IS NULL) OR (lease_token IS NULL)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02');


--
-- Name: region_outcomes; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.region_outcomes AS
 SELECT j.id AS job_id,
    p.region,
    r.attempt,
    r.worker,
    r.started_at,
    r.deadline,
    r.finished_at,
    r.last_error,
        CASE
            WHEN ((r.finished_at IS NOT NULL) AND (e.completed > 0)) THEN 'success'::text
            WHEN ((r.finished_at IS NOT NULL) AND (e.cancelled = e.recorded)) THEN 'cancelled'::text
            WHEN ((r.finished_at IS NOT NULL) AND (e.timeouts = e.recorded)) THEN 'timeout'::text
            WHEN (r.finished_at IS NOT NULL) THEN 'failed'::text
            WHEN (r.lease_token IS NOT NULL) THEN 'running'::text
            ELSE 'pending'::text
        END AS status,
    e.completed AS completed_units,
    ((e.recorded - e.completed) - e.cancelled) AS failed_units,
    e.cancelled AS cancelled_units
   FROM (((public.jobs j
     CROSS JOIN LATERAL jsonb_object_keys(j.plan) p(region))
     LEFT JOIN public.region_runs r ON (((r.job_id = j.id) AND (r.region = p.region))))
     LEFT JOIN LATERAL ( SELECT count(*) AS recorded,
            count(*) FILTER (WHERE (x.status = 'completed'::text)) AS completed,
            count(*) FILTER (WHERE (x.status = 'cancelled'::text)) AS cancelled,
            count(*) FILTER (WHERE ((x.error ->> 'code'::text) = ANY (ARRAY['timeout'::text, 'queue_timeout'::text]))) AS timeouts
           FROM public.executions x
          WHERE ((x.job_id = j.id) AND (x.region = p.region))) e ON ((r.finished_at IS NOT NULL)));


--
-- Name: job_verdicts; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.job_verdicts AS
 SELECT job_id,
    planned,
    succeeded,
    finished,
    status,
        CASE
            WHEN ((status = 'completed'::text) AND ((succeeded)::numeric < (min_success_rate * (planned)::numeric))) THEN 'partial'::text
            WHEN (status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) THEN status
            ELSE NULL::text
        END AS outcome,
    completed_units,
    failed_units,
    cancelled_units
   FROM ( SELECT j.id AS job_id,
            j.min_success_rate,
            t.planned,
            t.succeeded,
            t.finished,
            t.completed_units,
            t.failed_units,
            t.cancelled_units,
                CASE
                    WHEN (j.cancelled_at IS NOT NULL) THEN 'cancelled'::text
                    WHEN (t.finished < t.planned) THEN
                    CASE
                        WHEN (t.touched > 0) THEN 'running'::text
                        ELSE 'queued'::text
                    END
                    WHEN (t.succeeded >= j.min_regions) THEN 'completed'::text
                    ELSE 'failed'::text
                END AS status
           FROM (public.jobs j
             CROSS JOIN LATERAL ( SELECT count(*) AS planned,
                    count(o.attempt) AS touched,
                    count(o.finished_at) AS finished,
                    count(*) FILTER (WHERE (o.status = 'success'::text)) AS succeeded,
                    (COALESCE(sum(o.completed_units), (0)::numeric))::integer AS completed_units,
                    (COALESCE(sum(o.failed_units), (0)::numeric))::integer AS failed_units,
                    (COALESCE(sum(o.cancelled_units), (0)::numeric))::integer AS cancelled_units
                   FROM public.region_outcomes o
                  WHERE (o.job_id = j.id)) t)) v;


--
-- Name: cross_region_executions; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.cross_region_executions AS
 SELECT j.cross_region_execution_id AS id,
    j.id AS jobspec_id,
    (v.planned)::integer AS total_regions,
    (v.succeeded)::integer AS success_count,
    ((v.finished - v.succeeded))::integer AS failure_count,
    j.min_regions AS min_regions_required,
    j.min_success_rate,
        CASE
            WHEN (j.status = ANY (ARRAY['queued'::text, 'running'::text])) THEN 'running'::text
            ELSE v.outcome
        END AS status,
    COALESCE(j.started_at, j.created_at) AS started_at,
    j.completed_at,
    ((EXTRACT(epoch FROM (j.completed_at - COALESCE(j.started_at, j.created_at))) * (1000)::numeric))::bigint AS duration_ms,
    j.created_at
   FROM (public.jobs j
     JOIN public.job_verdicts v ON ((v.job_id = j.id)));


--
-- Name: embeddings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.embeddings (
    text_sha256 bytea NOT NULL,
    model text NOT NULL,
    result jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT embeddings_model_check CHECK ((model <> ''::text)),
    CONSTRAINT embeddings_text_sha256_check CHECK ((length(text_sha256) = 32))
);


--
-- Name: ended_sessions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ended_sessions (
    id text NOT NULL,
    ended_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency_keys (
    key text NOT NULL,
    request_digest bytea NOT NULL,
    job_id text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);


--
-- Name: job_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.job_events (
    job_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    region text,
    model_id text,
    actor text DEFAULT 'system'::text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT job_events_type_check CHECK ((type = ANY (ARRAY['submitted'::text, 'region_claimed'::text, 'region_released'::text, 'lease_expired'::text, 'region_staged'::text, 'execution_recorded'::text, 'region_finished'::text, 'cancel_requested'::text, 'retry_requested'::text, 'job_running'::text, 'job_completed'::text, 'job_failed'::text, 'job_cancelled'::text])))
);


--
-- Name: judgements; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.judgements (
    answer_id bigint NOT NULL,
    judge text NOT NULL,
    job_id text NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    asked_at timestamp with time zone,
    open_at timestamp with time zone DEFAULT clock_timestamp(),
    reply text,
    category text,
    error text,
    sent jsonb,
    labelled boolean DEFAULT false NOT NULL,
    CONSTRAINT judgements_category_check CHECK ((category = ANY (ARRAY['content_filter'::text, 'hard_refusal'::text, 'partial_refusal'::text, 'deflection'::text, 'non_answer'::text, 'answer'::text]))),
    CONSTRAINT judgements_check CHECK (((open_at IS NULL) OR ((reply IS NULL) AND (error IS NULL)))),
    CONSTRAINT judgements_check1 CHECK (((category IS NULL) OR (reply IS NOT NULL))),
    CONSTRAINT judgements_judge_check CHECK ((judge <> ''::text)),
    CONSTRAINT judgements_requests_check CHECK ((requests >= 0)),
    CONSTRAINT judgements_tries_check CHECK ((tries >= 0))
);


--
-- Name: listed_jobs; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.listed_jobs AS
 SELECT id,
    status,
    created_at,
    updated_at,
    plan,
    COALESCE(started_at, created_at) AS started_at,
    completed_at,
    ((EXTRACT(epoch FROM (completed_at - COALESCE(started_at, created_at))) * (1000)::numeric))::bigint AS duration_ms,
        CASE
            WHEN (completed_at IS NULL) THEN 'running'::text
            WHEN (outcome IS NOT NULL) THEN outcome
            ELSE ( SELECT v.outcome
               FROM public.job_verdicts v
              WHERE (v.job_id = j.id))
        END AS cross_status,
        CASE
            WHEN ((completed_at IS NOT NULL) AND (outcome IS NOT NULL)) THEN jsonb_build_object('total', ((completed_units + failed_units) + cancelled_units), 'running', 0, 'completed', completed_units, 'failed', failed_units, 'cancelled', cancelled_units)
            ELSE ( SELECT jsonb_build_object('total', count(*), 'running', count(*) FILTER (WHERE ((e.id IS NULL) AND (r.lease_token IS NOT NULL))), 'completed', count(*) FILTER (WHERE (e.status = 'completed'::text)), 'failed', count(*) FILTER (WHERE (e.status = 'failed'::text)), 'cancelled', count(*) FILTER (WHERE (e.status = 'cancelled'::text))) AS jsonb_build_object
               FROM (((jsonb_each(j.plan) p(region, models)
                 CROSS JOIN LATERAL jsonb_array_elements_text(p.models) m(model_id))
                 LEFT JOIN public.region_runs r ON (((r.job_id = j.id) AND (r.region = p.region))))
                 LEFT JOIN public.executions e ON (((e.job_id = j.id) AND (e.region = p.region) AND (e.model_id = m.model_id)))))
        END AS units,
    name,
    submitter,
    failed_units,
        CASE
            WHEN ((status = 'completed'::text) AND ((outcome = 'partial'::text) OR (failed_units > 0))) THEN 'partial'::text
            ELSE status
        END AS state,
    questions,
    runs
   FROM public.jobs j;


--
-- Name: nonces; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.nonces (
    public_key text NOT NULL,
    nonce text NOT NULL,
    job_id text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: open_region_sets; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.open_region_sets AS
 WITH RECURSIVE found(regions) AS (
         SELECT ( SELECT jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath) AS jsonb_path_query_array
                   FROM public.jobs j
                  WHERE (j.status = ANY (ARRAY['queued'::text, 'running'::text]))
                  ORDER BY (jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath))
                 LIMIT 1) AS jsonb_path_query_array
        UNION ALL
         SELECT ( SELECT jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath) AS jsonb_path_query_array
                   FROM public.jobs j
                  WHERE ((j.status = ANY (ARRAY['queued'::text, 'running'::text])) AND (jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath) > f.regions))
                  ORDER BY (jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath))
                 LIMIT 1) AS jsonb_path_query_array
           FROM found f
          WHERE (f.regions IS NOT NULL)
        )
 SELECT regions
   FROM found
  WHERE (regions IS NOT NULL);


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    id bigint NOT NULL,
    job_id text NOT NULL,
    topic text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    available_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    processed_at timestamp with time zone,
    dispatch_id text,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    dead_at timestamp with time zone
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05');


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: outbox_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.outbox_id_seq OWNED BY public.outbox.id;


--
-- Name: processes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.processes (
    id text NOT NULL,
    kind text NOT NULL,
    region text,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    regions_sha text,
    concurrency integer,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    providers jsonb,
    CONSTRAINT processes_kind_check CHECK ((kind = ANY (ARRAY['api'::text, 'publisher'::text, 'worker'::text, 'cli'::text, 'analyst'::text])))
)
WITH (fillfactor='50');


--
-- Name: readiness; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.readiness (
    filling text NOT NULL
);
ALTER TABLE ONLY public.readiness ALTER COLUMN filling SET STORAGE PLAIN;


--
-- Name: region_queues; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.region_queues AS
 SELECT p.region,
    (LEAST(sum((q.jobs + w.jobs)), (10000)::numeric))::bigint AS depth,
    min(LEAST(q.oldest, w.oldest)) AS oldest
   FROM (((public.open_region_sets s
     CROSS JOIN LATERAL ( SELECT count(*) AS jobs,
            min(c.created_at) AS oldest
           FROM ( SELECT j.created_at
                   FROM public.jobs j
                  WHERE ((j.status = 'queued'::text) AND (jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath) = s.regions))
                  ORDER BY j.created_at
                 LIMIT 10000) c) q)
     CROSS JOIN LATERAL jsonb_array_elements_text(s.regions) p(region))
     CROSS JOIN LATERAL ( SELECT count(*) AS jobs,
            min(c.created_at) AS oldest
           FROM ( SELECT j.id,
                    j.created_at
                   FROM public.jobs j
                  WHERE ((j.status = 'running'::text) AND (jsonb_path_query_array(j.plan, '$.keyvalue()."key"'::jsonpath) = s.regions))
                  ORDER BY j.created_at
                 LIMIT 10000) c
          WHERE (( SELECT ((r.lease_token IS NOT NULL) OR (r.finished_at IS NOT NULL))
                   FROM public.region_runs r
                  WHERE ((r.job_id = c.id) AND (r.region = p.region))) IS NOT TRUE)) w)
  GROUP BY p.region;


--
-- Name: region_results; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.region_results AS
 SELECT j.cross_region_execution_id,
    j.id AS jobspec_id,
    o.region,
    o.status,
    u.provider_id,
    o.started_at,
    o.finished_at AS completed_at,
    ((EXTRACT(epoch FROM (o.finished_at - o.started_at)) * (1000)::numeric))::bigint AS duration_ms,
    u.execution_output,
        CASE
            WHEN (o.status = ANY (ARRAY['failed'::text, 'timeout'::text, 'cancelled'::text])) THEN COALESCE(u.error_message, o.last_error)
            ELSE NULL::text
        END AS error_message,
    NULL::jsonb AS scoring,
    jsonb_build_object('attempts', COALESCE(o.attempt, 0), 'models', (j.plan -> o.region)) AS metadata
   FROM ((public.jobs j
     JOIN public.region_outcomes o ON ((o.job_id = j.id)))
     LEFT JOIN LATERAL ( SELECT string_agg(DISTINCT e.provider_id, ','::text) AS provider_id,
            min((e.error ->> 'message'::text)) AS error_message,
                CASE
                    WHEN (count(*) = 0) THEN NULL::jsonb
                    WHEN (jsonb_array_length((j.plan -> o.region)) = 1) THEN (jsonb_agg(COALESCE(e.receipt, e.output)) -> 0)
                    ELSE jsonb_build_object('models', jsonb_object_agg(e.model_id, COALESCE(e.receipt, e.output)))
                END AS execution_output
           FROM public.executions e
          WHERE ((e.job_id = j.id) AND (e.region = o.region))) u ON (true));


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: tries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tries (
    job_id text NOT NULL,
    region text NOT NULL,
    model_id text NOT NULL,
    question_id text NOT NULL,
    run_no integer NOT NULL,
    attempt integer NOT NULL,
    number integer NOT NULL,
    answer_id bigint NOT NULL,
    provider_id text,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tries_number_check CHECK ((number >= 1))
);


--
-- Name: outbox id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox ALTER COLUMN id SET DEFAULT nextval('public.outbox_id_seq'::regclass);


--
-- Name: analyses analyses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analyses
    ADD CONSTRAINT analyses_pkey PRIMARY KEY (job_id, method, job_version, label_id);


--
-- Name: analysis_methods analysis_methods_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analysis_methods
    ADD CONSTRAINT analysis_methods_pkey PRIMARY KEY (id);


--
-- Name: answer_labels answer_labels_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answer_labels
    ADD CONSTRAINT answer_labels_pkey PRIMARY KEY (id);


--
-- Name: answers answers_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answers
    ADD CONSTRAINT answers_id_key UNIQUE (id);


--
-- Name: answers answers_paid_check; Type: CHECK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE public.answers
    ADD CONSTRAINT answers_paid_check CHECK ((paid = ANY (ARRAY['no'::text, 'maybe'::text, 'yes'::text]))) NOT VALID;


--
-- Name: answers answers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answers
    ADD CONSTRAINT answers_pkey PRIMARY KEY (job_id, region, model_id, question_id, run_no);


--
-- Name: embeddings embeddings_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.embeddings
    ADD CONSTRAINT embeddings_pkey PRIMARY KEY (text_sha256, model);


--
-- Name: ended_sessions ended_sessions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ended_sessions
    ADD CONSTRAINT ended_sessions_pkey PRIMARY KEY (id);


--
-- Name: executions executions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT executions_pkey PRIMARY KEY (id);


--
-- Name: job_events job_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.job_events
    ADD CONSTRAINT job_events_pkey PRIMARY KEY (job_id, seq);


--
-- Name: jobs jobs_cross_region_execution_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_cross_region_execution_id_key UNIQUE (cross_region_execution_id);


--
-- Name: jobs jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);


--
-- Name: judgements judgements_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.judgements
    ADD CONSTRAINT judgements_pkey PRIMARY KEY (answer_id, judge);


--
-- Name: nonces nonces_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.nonces
    ADD CONSTRAINT nonces_pkey PRIMARY KEY (public_key, nonce);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: processes processes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.processes
    ADD CONSTRAINT processes_pkey PRIMARY KEY (id);


--
-- Name: region_runs region_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.region_runs
    ADD CONSTRAINT region_runs_pkey PRIMARY KEY (job_id, region);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: tries tries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tries
    ADD CONSTRAINT tries_pkey PRIMARY KEY (job_id, region, model_id, question_id, run_no, attempt, number);


--
-- Name: answer_labels_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX answer_labels_at_idx ON public.answer_labels USING btree (at, job_id);


--
-- Name: answer_labels_human_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX answer_labels_human_idx ON public.answer_labels USING btree (answer_id, id DESC) INCLUDE (category) WHERE (source = 'human'::text);


--
-- Name: answer_labels_job_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX answer_labels_job_idx ON public.answer_labels USING btree (job_id, id DESC);


--
-- Name: embeddings_created_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX embeddings_created_idx ON public.embeddings USING btree (created_at);


--
-- Name: executions_created_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX executions_created_idx ON public.executions USING btree (created_at DESC, id DESC);


--
-- Name: executions_job_region_model_uidx; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX executions_job_region_model_uidx ON public.executions USING btree (job_id, region, model_id);


--
-- Name: idempotency_keys_expiry_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_expiry_idx ON public.idempotency_keys USING btree (expires_at);


--
-- Name: idempotency_keys_job_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_job_idx ON public.idempotency_keys USING btree (job_id);


--
-- Name: idempotency_keys_key_uidx; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX idempotency_keys_key_uidx ON public.idempotency_keys USING btree (key);


--
-- Name: jobs_analysis_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_analysis_idx ON public.jobs USING btree (completed_at, id) WHERE ((status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (enable_analysis IS NOT FALSE));


--
-- Name: jobs_by_state_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_by_state_idx ON public.jobs USING btree ((
CASE
    WHEN ((status = 'completed'::text) AND ((outcome = 'partial'::text) OR (failed_units > 0))) THEN 'partial'::text
    ELSE status
END), created_at, id) INCLUDE (status, outcome, failed_units);


--
-- Name: jobs_by_status_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_by_status_idx ON public.jobs USING btree (status, created_at, id);


--
-- Name: jobs_completed_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_completed_idx ON public.jobs USING btree (completed_at) WHERE (completed_at IS NOT NULL);


--
-- Name: jobs_created_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_created_idx ON public.jobs USING btree (created_at DESC, id DESC);


--
-- Name: jobs_failures_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_failures_idx ON public.jobs USING btree (created_at, id) WHERE (failed_units > 0);


--
-- Name: jobs_id_prefix_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_id_prefix_idx ON public.jobs USING btree (id text_pattern_ops);


--
-- Name: jobs_name_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_name_idx ON public.jobs USING btree (lower(name) text_pattern_ops);


--
-- Name: jobs_open_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_open_idx ON public.jobs USING btree (id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));


--
-- Name: jobs_open_regions_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_open_regions_idx ON public.jobs USING btree (jsonb_path_query_array(plan, '$.keyvalue()."key"'::jsonpath), status, created_at) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));


--
-- Name: jobs_plan_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_plan_idx ON public.jobs USING gin (plan) WITH (fastupdate=off);


--
-- Name: jobs_submitter_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_submitter_idx ON public.jobs USING btree (submitter, created_at, id);


--
-- Name: jobs_unfilled_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX jobs_unfilled_idx ON public.jobs USING btree (id) WHERE ((name IS NULL) OR ((outcome IS NULL) AND (completed_at IS NOT NULL)));


--
-- Name: judgements_asked_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX judgements_asked_idx ON public.judgements USING btree (judge, asked_at);


--
-- Name: judgements_job_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX judgements_job_idx ON public.judgements USING btree (job_id);


--
-- Name: judgements_open_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX judgements_open_idx ON public.judgements USING btree (judge, open_at) WHERE (open_at IS NOT NULL);


--
-- Name: judgements_unlabelled_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX judgements_unlabelled_idx ON public.judgements USING btree (judge, job_id) WHERE ((category IS NOT NULL) AND (NOT labelled));


--
-- Name: nonces_created_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX nonces_created_idx ON public.nonces USING btree (created_at);


--
-- Name: outbox_dead_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_dead_idx ON public.outbox USING btree (id) WHERE ((dead_at IS NOT NULL) AND (processed_at IS NULL));


--
-- Name: outbox_newest_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_newest_idx ON public.outbox USING btree (job_id, topic, id DESC);


--
-- Name: outbox_processed_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_processed_idx ON public.outbox USING btree (processed_at) WHERE (processed_at IS NOT NULL);


--
-- Name: outbox_unprocessed_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_unprocessed_idx ON public.outbox USING btree (id) WHERE ((processed_at IS NULL) AND (dead_at IS NULL));


--
-- Name: region_runs_leased_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX region_runs_leased_idx ON public.region_runs USING btree (job_id, region) WHERE (lease_token IS NOT NULL);


--
-- Name: jobs jobs_forget_events; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER jobs_forget_events AFTER DELETE ON public.jobs REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.forget_events();


--
-- Name: analyses analyses_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analyses
    ADD CONSTRAINT analyses_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: answer_labels answer_labels_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answer_labels
    ADD CONSTRAINT answer_labels_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: answers answers_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answers
    ADD CONSTRAINT answers_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: executions executions_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.executions
    ADD CONSTRAINT executions_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: idempotency_keys idempotency_keys_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: judgements judgements_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.judgements
    ADD CONSTRAINT judgements_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: outbox outbox_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: region_runs region_runs_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.region_runs
    ADD CONSTRAINT region_runs_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA public TO beacon_api;
GRANT USAGE ON SCHEMA public TO beacon_publisher;
GRANT USAGE ON SCHEMA public TO beacon_worker;
GRANT USAGE ON SCHEMA public TO beacon_analyst;


--
-- Name: FUNCTION cancel_units(job text, reason jsonb); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cancel_units(job text, reason jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_units(job text, reason jsonb) TO beacon_api;


--
-- Name: FUNCTION close_jobs(job_ids text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.close_jobs(job_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.close_jobs(job_ids text[]) TO beacon_api;
GRANT ALL ON FUNCTION public.close_jobs(job_ids text[]) TO beacon_publisher;
GRANT ALL ON FUNCTION public.close_jobs(job_ids text[]) TO beacon_worker;


--
-- Name: FUNCTION close_regions(job_ids text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.close_regions(job_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.close_regions(job_ids text[]) TO beacon_publisher;
GRANT ALL ON FUNCTION public.close_regions(job_ids text[]) TO beacon_worker;


--
-- Name: FUNCTION end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_units(job_ids text[], region_names text[], final_status text, reasons jsonb[]) TO beacon_publisher;


--
-- Name: FUNCTION fill_jobs(batch integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fill_jobs(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fill_jobs(batch integer) TO beacon_publisher;


--
-- Name: FUNCTION forget_events(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.forget_events() FROM PUBLIC;


--
-- Name: FUNCTION label_judged(of_job text, by_judge text, by_actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.label_judged(of_job text, by_judge text, by_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.label_judged(of_job text, by_judge text, by_actor text) TO beacon_worker;


--
-- Name: FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer) TO beacon_api;


--
-- Name: FUNCTION reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer, only_units jsonb); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer, only_units jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reopen_units(job text, only_region text, only_model text, only_question text, more_attempts integer, only_units jsonb) TO beacon_api;


--
-- Name: FUNCTION topic(region text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.topic(region text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.topic(region text) TO beacon_api;
GRANT ALL ON FUNCTION public.topic(region text) TO beacon_publisher;
GRANT ALL ON FUNCTION public.topic(region text) TO beacon_worker;


--
-- Name: TABLE analyses; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.analyses TO beacon_api;
GRANT SELECT,INSERT ON TABLE public.analyses TO beacon_analyst;


--
-- Name: TABLE analysis_methods; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.analysis_methods TO beacon_api;
GRANT SELECT,INSERT ON TABLE public.analysis_methods TO beacon_analyst;


--
-- Name: SEQUENCE analysis_methods_id_seq; Type: ACL; Schema: public; Owner: -
--

GRANT USAGE ON SEQUENCE public.analysis_methods_id_seq TO beacon_analyst;


--
-- Name: TABLE answer_labels; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.answer_labels TO beacon_api;
GRANT SELECT ON TABLE public.answer_labels TO beacon_analyst;


--
-- Name: SEQUENCE answer_labels_id_seq; Type: ACL; Schema: public; Owner: -
--

GRANT USAGE ON SEQUENCE public.answer_labels_id_seq TO beacon_api;


--
-- Name: SEQUENCE result_ids; Type: ACL; Schema: public; Owner: -
--

GRANT USAGE ON SEQUENCE public.result_ids TO beacon_worker;


--
-- Name: TABLE answers; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.answers TO beacon_api;
GRANT SELECT,INSERT,UPDATE ON TABLE public.answers TO beacon_worker;
GRANT SELECT ON TABLE public.answers TO beacon_analyst;


--
-- Name: TABLE executions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.executions TO beacon_api;
GRANT SELECT,INSERT ON TABLE public.executions TO beacon_worker;
GRANT SELECT ON TABLE public.executions TO beacon_analyst;


--
-- Name: COLUMN executions.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.executions TO beacon_publisher;


--
-- Name: COLUMN executions.job_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(job_id) ON TABLE public.executions TO beacon_publisher;


--
-- Name: COLUMN executions.region; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(region) ON TABLE public.executions TO beacon_publisher;


--
-- Name: COLUMN executions.model_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(model_id) ON TABLE public.executions TO beacon_publisher;


--
-- Name: COLUMN executions.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.executions TO beacon_publisher;


--
-- Name: COLUMN executions.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.executions TO beacon_publisher;


--
-- Name: TABLE jobs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.jobs TO beacon_api;
GRANT DELETE ON TABLE public.jobs TO beacon_publisher;
GRANT SELECT ON TABLE public.jobs TO beacon_worker;
GRANT SELECT ON TABLE public.jobs TO beacon_analyst;


--
-- Name: COLUMN jobs.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.status; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(status) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(status) ON TABLE public.jobs TO beacon_publisher;
GRANT UPDATE(status) ON TABLE public.jobs TO beacon_worker;


--
-- Name: COLUMN jobs.version; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(version) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(version),UPDATE(version) ON TABLE public.jobs TO beacon_publisher;
GRANT UPDATE(version) ON TABLE public.jobs TO beacon_worker;


--
-- Name: COLUMN jobs.plan; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(plan) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.timeout_seconds; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(timeout_seconds) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.queued_until; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(queued_until) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(queued_until) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(updated_at),UPDATE(updated_at) ON TABLE public.jobs TO beacon_publisher;
GRANT UPDATE(updated_at) ON TABLE public.jobs TO beacon_worker;


--
-- Name: COLUMN jobs.started_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(started_at) ON TABLE public.jobs TO beacon_publisher;
GRANT UPDATE(started_at) ON TABLE public.jobs TO beacon_worker;


--
-- Name: COLUMN jobs.completed_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(completed_at) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(completed_at) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.cancelled_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(cancelled_at) ON TABLE public.jobs TO beacon_api;
GRANT SELECT(cancelled_at) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.request_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(request_id) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.traceparent; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(traceparent) ON TABLE public.jobs TO beacon_publisher;


--
-- Name: COLUMN jobs.outcome; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(outcome) ON TABLE public.jobs TO beacon_api;


--
-- Name: COLUMN jobs.completed_units; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(completed_units) ON TABLE public.jobs TO beacon_api;


--
-- Name: COLUMN jobs.failed_units; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(failed_units) ON TABLE public.jobs TO beacon_api;


--
-- Name: COLUMN jobs.cancelled_units; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(cancelled_units) ON TABLE public.jobs TO beacon_api;


--
-- Name: TABLE region_runs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.region_runs TO beacon_api;
GRANT SELECT ON TABLE public.region_runs TO beacon_publisher;
GRANT SELECT,INSERT,UPDATE ON TABLE public.region_runs TO beacon_worker;
GRANT SELECT ON TABLE public.region_runs TO beacon_analyst;


--
-- Name: COLUMN region_runs.lease_token; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(lease_token) ON TABLE public.region_runs TO beacon_publisher;


--
-- Name: COLUMN region_runs.lease_expires_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(lease_expires_at) ON TABLE public.region_runs TO beacon_publisher;


--
-- Name: COLUMN region_runs.last_error; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(last_error) ON TABLE public.region_runs TO beacon_publisher;


--
-- Name: TABLE region_outcomes; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.region_outcomes TO beacon_api;
GRANT SELECT ON TABLE public.region_outcomes TO beacon_publisher;


--
-- Name: TABLE job_verdicts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.job_verdicts TO beacon_api;
GRANT SELECT ON TABLE public.job_verdicts TO beacon_publisher;


--
-- Name: TABLE cross_region_executions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.cross_region_executions TO beacon_api;
GRANT SELECT ON TABLE public.cross_region_executions TO beacon_analyst;


--
-- Name: TABLE embeddings; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.embeddings TO beacon_api;
GRANT DELETE ON TABLE public.embeddings TO beacon_publisher;
GRANT SELECT,INSERT ON TABLE public.embeddings TO beacon_analyst;


--
-- Name: COLUMN embeddings.text_sha256; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(text_sha256) ON TABLE public.embeddings TO beacon_publisher;


--
-- Name: COLUMN embeddings.model; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(model) ON TABLE public.embeddings TO beacon_publisher;


--
-- Name: COLUMN embeddings.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at),UPDATE(created_at) ON TABLE public.embeddings TO beacon_publisher;
GRANT UPDATE(created_at) ON TABLE public.embeddings TO beacon_analyst;


--
-- Name: TABLE ended_sessions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE ON TABLE public.ended_sessions TO beacon_api;


--
-- Name: TABLE idempotency_keys; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE ON TABLE public.idempotency_keys TO beacon_api;
GRANT SELECT,DELETE ON TABLE public.idempotency_keys TO beacon_publisher;


--
-- Name: COLUMN idempotency_keys.expires_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(expires_at) ON TABLE public.idempotency_keys TO beacon_publisher;


--
-- Name: TABLE job_events; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.job_events TO beacon_api;
GRANT SELECT,INSERT ON TABLE public.job_events TO beacon_publisher;
GRANT SELECT,INSERT ON TABLE public.job_events TO beacon_worker;


--
-- Name: TABLE judgements; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.answer_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(answer_id) ON TABLE public.judgements TO beacon_worker;
GRANT SELECT(answer_id) ON TABLE public.judgements TO beacon_analyst;


--
-- Name: COLUMN judgements.judge; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(judge) ON TABLE public.judgements TO beacon_worker;
GRANT SELECT(judge) ON TABLE public.judgements TO beacon_analyst;


--
-- Name: COLUMN judgements.job_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(job_id) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.requests; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(requests) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.tries; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(tries) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.asked_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(asked_at) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.open_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(open_at) ON TABLE public.judgements TO beacon_worker;
GRANT SELECT(open_at) ON TABLE public.judgements TO beacon_analyst;


--
-- Name: COLUMN judgements.reply; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(reply) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.category; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(category) ON TABLE public.judgements TO beacon_worker;
GRANT SELECT(category) ON TABLE public.judgements TO beacon_analyst;


--
-- Name: COLUMN judgements.error; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(error) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.sent; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(sent) ON TABLE public.judgements TO beacon_worker;


--
-- Name: COLUMN judgements.labelled; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(labelled) ON TABLE public.judgements TO beacon_analyst;


--
-- Name: TABLE listed_jobs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.listed_jobs TO beacon_api;


--
-- Name: TABLE nonces; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.nonces TO beacon_api;
GRANT SELECT,DELETE ON TABLE public.nonces TO beacon_publisher;


--
-- Name: COLUMN nonces.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(created_at) ON TABLE public.nonces TO beacon_publisher;


--
-- Name: TABLE open_region_sets; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.open_region_sets TO beacon_api;
GRANT SELECT ON TABLE public.open_region_sets TO beacon_publisher;


--
-- Name: TABLE outbox; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.outbox TO beacon_api;
GRANT SELECT,DELETE,UPDATE ON TABLE public.outbox TO beacon_publisher;


--
-- Name: COLUMN outbox.job_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(job_id) ON TABLE public.outbox TO beacon_api;
GRANT INSERT(job_id) ON TABLE public.outbox TO beacon_publisher;
GRANT SELECT(job_id),INSERT(job_id) ON TABLE public.outbox TO beacon_worker;


--
-- Name: COLUMN outbox.topic; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(topic) ON TABLE public.outbox TO beacon_api;
GRANT INSERT(topic) ON TABLE public.outbox TO beacon_publisher;
GRANT SELECT(topic),INSERT(topic) ON TABLE public.outbox TO beacon_worker;


--
-- Name: COLUMN outbox.payload; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(payload) ON TABLE public.outbox TO beacon_api;
GRANT INSERT(payload) ON TABLE public.outbox TO beacon_publisher;
GRANT INSERT(payload) ON TABLE public.outbox TO beacon_worker;


--
-- Name: COLUMN outbox.available_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(available_at) ON TABLE public.outbox TO beacon_api;


--
-- Name: COLUMN outbox.processed_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(processed_at) ON TABLE public.outbox TO beacon_api;


--
-- Name: COLUMN outbox.attempts; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(attempts) ON TABLE public.outbox TO beacon_api;


--
-- Name: COLUMN outbox.last_error; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(last_error) ON TABLE public.outbox TO beacon_api;


--
-- Name: COLUMN outbox.dead_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(dead_at) ON TABLE public.outbox TO beacon_api;


--
-- Name: SEQUENCE outbox_id_seq; Type: ACL; Schema: public; Owner: -
--

GRANT USAGE ON SEQUENCE public.outbox_id_seq TO beacon_api;
GRANT USAGE ON SEQUENCE public.outbox_id_seq TO beacon_publisher;
GRANT USAGE ON SEQUENCE public.outbox_id_seq TO beacon_worker;


--
-- Name: TABLE processes; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.processes TO beacon_api;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.processes TO beacon_publisher;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.processes TO beacon_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.processes TO beacon_analyst;


--
-- Name: TABLE readiness; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT ON TABLE public.readiness TO beacon_api;
GRANT INSERT ON TABLE public.readiness TO beacon_publisher;
GRANT INSERT ON TABLE public.readiness TO beacon_worker;
GRANT INSERT ON TABLE public.readiness TO beacon_analyst;


--
-- Name: TABLE region_queues; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.region_queues TO beacon_api;
GRANT SELECT ON TABLE public.region_queues TO beacon_publisher;


--
-- Name: TABLE region_results; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.region_results TO beacon_api;


--
-- Name: TABLE schema_migrations; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.schema_migrations TO beacon_api;
GRANT SELECT ON TABLE public.schema_migrations TO beacon_publisher;
GRANT SELECT ON TABLE public.schema_migrations TO beacon_worker;
GRANT SELECT ON TABLE public.schema_migrations TO beacon_analyst;


--
-- Name: TABLE tries; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.tries TO beacon_api;
GRANT SELECT,INSERT,DELETE ON TABLE public.tries TO beacon_worker;


--
-- PostgreSQL database dump complete
--

\unrestrict beacon

