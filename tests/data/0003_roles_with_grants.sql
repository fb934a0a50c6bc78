-- One login per process with only what its verb needs: the API can't write a result, the publisher can't read an
-- answer, a worker can't accept a job. They have no password here: `beacon up` sets one, an operator with \password.
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['beacon_api', 'beacon_publisher', 'beacon_worker'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- roles belong to the cluster, not to this database
    END;
  END LOOP;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO beacon_api, beacon_publisher, beacon_worker', current_database());
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO beacon_api, beacon_publisher, beacon_worker;
GRANT SELECT ON schema_migrations TO beacon_api, beacon_publisher, beacon_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON processes TO beacon_api, beacon_publisher, beacon_worker;
GRANT SELECT, INSERT ON job_events TO beacon_api, beacon_publisher, beacon_worker;
GRANT INSERT (job_id, topic, payload) ON outbox TO beacon_api, beacon_publisher, beacon_worker;
GRANT USAGE ON SEQUENCE outbox_id_seq TO beacon_api, beacon_publisher, beacon_worker;
GRANT EXECUTE ON FUNCTION close_jobs(text[]) TO beacon_api, beacon_publisher, beacon_worker;

-- beacon_api: inserts jobs, reads everything, cancels and retries through the two functions.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO beacon_api;
GRANT INSERT ON jobs, idempotency_keys, nonces TO beacon_api;
GRANT DELETE ON idempotency_keys TO beacon_api;
GRANT UPDATE (status, version, updated_at, completed_at, cancelled_at, queued_until) ON jobs TO beacon_api;
GRANT UPDATE (processed_at, last_error, dead_at, available_at, attempts) ON outbox TO beacon_api;
GRANT EXECUTE ON FUNCTION cancel_units(text, jsonb) TO beacon_api;
GRANT EXECUTE ON FUNCTION reopen_units(text, text, text, text, integer) TO beacon_api;

-- beacon_publisher: the outbox, and the sweep's view of what is unfinished. Of executions it sees that they exist.
GRANT SELECT, UPDATE, DELETE ON outbox TO beacon_publisher;
GRANT SELECT (id, status, version, plan, created_at, updated_at, completed_at, cancelled_at, queued_until, request_id,
              traceparent, timeout_seconds, started_at) ON jobs TO beacon_publisher;
GRANT UPDATE (version, updated_at) ON jobs TO beacon_publisher;
GRANT DELETE ON jobs TO beacon_publisher;
GRANT SELECT ON region_runs, region_outcomes, job_verdicts TO beacon_publisher;
GRANT UPDATE (lease_token, lease_expires_at, last_error) ON region_runs TO beacon_publisher;
GRANT SELECT (id, job_id, region, model_id, status, created_at) ON executions TO beacon_publisher;
GRANT SELECT, DELETE ON idempotency_keys, nonces TO beacon_publisher;
-- Two sweepers skip each other's rows, and to lock a row one must be allowed to update something of it.
GRANT UPDATE (expires_at) ON idempotency_keys TO beacon_publisher;
GRANT UPDATE (created_at) ON nonces TO beacon_publisher;
GRANT EXECUTE ON FUNCTION end_units(text[], text[], text, jsonb[]) TO beacon_publisher;
GRANT EXECUTE ON FUNCTION close_regions(text[]) TO beacon_publisher;

-- beacon_worker: claims regions, stores answers, records executions, stages a region that it hands back.
GRANT SELECT ON jobs, region_runs, executions, answers TO beacon_worker;
GRANT UPDATE (status, version, started_at, updated_at) ON jobs TO beacon_worker;
GRANT INSERT, UPDATE ON region_runs, answers TO beacon_worker;
GRANT INSERT ON executions TO beacon_worker;
GRANT USAGE ON SEQUENCE result_ids TO beacon_worker;
GRANT SELECT (job_id, topic) ON outbox TO beacon_worker;  -- what staging returns
GRANT EXECUTE ON FUNCTION close_regions(text[]) TO beacon_worker;
