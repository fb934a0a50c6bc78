-- name: bell.ring
-- Notify publishers and watchers of commits that have happened. This transaction stores nothing, so its COMMIT does not
-- wait for the disk. The channels of the schema public begin with beacon_, those of another schema with its name.
SELECT pg_notify(CASE current_schema() WHEN 'public' THEN 'beacon' ELSE current_schema() END || '_' || n.channel, n.payload),
       set_config('synchronous_commit', 'off', true)
  FROM unnest(%(channels)s::text[], %(payloads)s::text[]) AS n (channel, payload);

-- name: bell.listen_outbox
-- Each publisher has one listening session. A pooler in transaction mode does not support LISTEN: the publisher then
-- polls.
DO $$ BEGIN
  EXECUTE 'LISTEN ' || quote_ident(CASE current_schema() WHEN 'public' THEN 'beacon' ELSE current_schema() END || '_outbox');
END $$;

-- name: bell.listen_jobs
-- Each API process has one listening session for all its watching clients.
DO $$ BEGIN
  EXECUTE 'LISTEN ' || quote_ident(CASE current_schema() WHEN 'public' THEN 'beacon' ELSE current_schema() END || '_jobs');
END $$;
