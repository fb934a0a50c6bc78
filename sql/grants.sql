-- The privileges of each process's login: the API can't write a result, the publisher can't read an answer, a worker
-- can't accept a job, the analyst can't change an answer. `beacon migrate` compares this file with the database, and runs it if a privilege is missing.
-- Starting processes and `beacon doctor` compare too. Works in psql as well: `psql -f sql/grants.sql`.
-- A test checks that this file names every table, view, sequence and function of the schema.

-- PostgreSQL lets every role call a new function, and these functions run with their owner's privileges.
REVOKE ALL ON FUNCTION end_units(text[], text[], text, jsonb[]), close_regions(text[]), close_jobs(text[]),
  cancel_units(text, jsonb), reopen_units(text, text, text, text, integer), forget_events(),
  label_judged(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION fill_jobs(integer), reopen_units(text, text, text, text, integer, jsonb) FROM PUBLIC;
-- topic runs with its caller's rights. No other login needs it.
REVOKE ALL ON FUNCTION topic(text) FROM PUBLIC;

GRANT CONNECT ON DATABASE :"DBNAME" TO beacon_api, beacon_publisher, beacon_worker, beacon_analyst;
GRANT USAGE ON SCHEMA public TO beacon_api, beacon_publisher, beacon_worker, beacon_analyst;
GRANT SELECT ON TABLE schema_migrations TO beacon_api, beacon_publisher, beacon_worker, beacon_analyst;
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE processes TO beacon_api, beacon_publisher, beacon_worker, beacon_analyst;
GRANT INSERT ON TABLE readiness TO beacon_api, beacon_publisher, beacon_worker, beacon_analyst;
GRANT SELECT, INSERT ON TABLE job_events TO beacon_api, beacon_publisher, beacon_worker;
GRANT INSERT (job_id, topic, payload) ON TABLE outbox TO beacon_api, beacon_publisher, beacon_worker;
GRANT USAGE ON SEQUENCE outbox_id_seq TO beacon_api, beacon_publisher, beacon_worker;
GRANT EXECUTE ON FUNCTION close_jobs(text[]) TO beacon_api, beacon_publisher, beacon_worker;
GRANT EXECUTE ON FUNCTION topic(text) TO beacon_api, beacon_publisher, beacon_worker;

-- beacon_api: inserts jobs, reads everything, cancels and retries through cancel_units and reopen_units.
GRANT SELECT ON TABLE jobs, idempotency_keys, nonces, outbox, region_runs, executions, answers, tries,
  region_outcomes, job_verdicts, cross_region_executions, region_results,
  listed_jobs TO beacon_api;
GRANT SELECT ON TABLE open_region_sets, region_queues TO beacon_api;
GRANT INSERT ON TABLE jobs, idempotency_keys, nonces TO beacon_api;
GRANT DELETE ON TABLE idempotency_keys TO beacon_api;
GRANT SELECT, INSERT, DELETE ON TABLE ended_sessions TO beacon_api;
GRANT UPDATE (status, version, updated_at, completed_at, cancelled_at, queued_until) ON TABLE jobs TO beacon_api;
-- A separate statement, because a GRANT that names a column which a pending migration adds fails as a whole.
GRANT UPDATE (outcome, completed_units, failed_units, cancelled_units) ON TABLE jobs TO beacon_api;
GRANT UPDATE (processed_at, last_error, dead_at, available_at, attempts) ON TABLE outbox TO beacon_api;
-- The API reads analyses with what they are computed from, and adds labels. It writes no analysis.
GRANT SELECT ON TABLE analyses, embeddings, analysis_methods TO beacon_api;
GRANT SELECT, INSERT ON TABLE answer_labels TO beacon_api;
GRANT USAGE ON SEQUENCE answer_labels_id_seq TO beacon_api;
GRANT EXECUTE ON FUNCTION cancel_units(text, jsonb) TO beacon_api;
GRANT EXECUTE ON FUNCTION reopen_units(text, text, text, text, integer) TO beacon_api;
GRANT EXECUTE ON FUNCTION reopen_units(text, text, text, text, integer, jsonb) TO beacon_api;

-- beacon_publisher: the outbox, and the sweeper's reads of unfinished jobs. Of executions it reads keys and status
-- only.
GRANT SELECT, UPDATE, DELETE ON TABLE outbox TO beacon_publisher;
GRANT SELECT (id, status, version, plan, created_at, updated_at, completed_at, cancelled_at, queued_until, request_id,
  traceparent, timeout_seconds, started_at) ON TABLE jobs TO beacon_publisher;
GRANT UPDATE (version, updated_at) ON TABLE jobs TO beacon_publisher;
GRANT DELETE ON TABLE jobs TO beacon_publisher;
GRANT SELECT ON TABLE region_runs, region_outcomes, job_verdicts, open_region_sets, region_queues TO beacon_publisher;
GRANT UPDATE (lease_token, lease_expires_at, last_error) ON TABLE region_runs TO beacon_publisher;
GRANT SELECT (id, job_id, region, model_id, status, created_at) ON TABLE executions TO beacon_publisher;
GRANT SELECT, DELETE ON TABLE idempotency_keys, nonces TO beacon_publisher;
-- Sweepers skip each other's locked rows, and locking a row needs the UPDATE privilege on some column of it.
GRANT UPDATE (expires_at) ON TABLE idempotency_keys TO beacon_publisher;
GRANT UPDATE (created_at) ON TABLE nonces TO beacon_publisher;
-- Not the result of an embedding: it may have a sentence of an answer.
GRANT SELECT (text_sha256, model, created_at), UPDATE (created_at), DELETE ON TABLE embeddings TO beacon_publisher;
GRANT EXECUTE ON FUNCTION fill_jobs(integer) TO beacon_publisher;
GRANT EXECUTE ON FUNCTION end_units(text[], text[], text, jsonb[]) TO beacon_publisher;
GRANT EXECUTE ON FUNCTION close_regions(text[]) TO beacon_publisher;

-- beacon_worker: claims regions, stores answers, records executions, stages the regions that it releases.
GRANT SELECT ON TABLE jobs, region_runs, executions, answers TO beacon_worker;
GRANT UPDATE (status, version, started_at, updated_at) ON TABLE jobs TO beacon_worker;
GRANT INSERT, UPDATE ON TABLE region_runs, answers TO beacon_worker;
GRANT INSERT ON TABLE executions TO beacon_worker;
GRANT SELECT, INSERT, DELETE ON TABLE tries TO beacon_worker;
GRANT USAGE ON SEQUENCE result_ids TO beacon_worker;
GRANT SELECT (job_id, topic) ON TABLE outbox TO beacon_worker; -- the columns that outbox.stage returns
GRANT EXECUTE ON FUNCTION close_regions(text[]) TO beacon_worker;
-- The worker with the judge's provider: it keeps the judge's calls, and adds the judge's labels through label_judged.
GRANT SELECT, INSERT (answer_id, judge, job_id) ON TABLE judgements TO beacon_worker;
GRANT UPDATE (requests, tries, asked_at, open_at, reply, category, error, sent) ON TABLE judgements TO beacon_worker;
GRANT EXECUTE ON FUNCTION label_judged(text, text, text) TO beacon_worker;

-- beacon_analyst: reads jobs, their answers and the labels; adds analyses and results of embeddings. Of a result it changes
-- the time of its last use alone.
GRANT SELECT ON TABLE jobs, region_runs, executions, answers, answer_labels, cross_region_executions TO beacon_analyst;
GRANT SELECT, INSERT ON TABLE analyses, embeddings, analysis_methods TO beacon_analyst;
GRANT USAGE ON SEQUENCE analysis_methods_id_seq TO beacon_analyst;
-- Of a judge's calls what is compared with people's labels, and not what the judge wrote.
GRANT SELECT (answer_id, judge, open_at, category, labelled) ON TABLE judgements TO beacon_analyst;
GRANT UPDATE (created_at) ON TABLE embeddings TO beacon_analyst;
