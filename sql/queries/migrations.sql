-- name: migrations.schema
-- Create the schema of this cell, the first of search_path.
DO $$ BEGIN
  EXECUTE 'CREATE SCHEMA IF NOT EXISTS ' || quote_ident(split_part(current_setting('search_path'), ',', 1));
END $$;

-- name: migrations.lock
-- Serialise concurrent deployments. The lock belongs to the transaction and not to the session, because a pooler keeps
-- the session, and its locks, after the deployment has ended. Each schema has its own locks; 4711 is that of public.
SELECT pg_advisory_xact_lock(CASE current_schema() WHEN 'public' THEN 4711 ELSE hashtext(current_schema()) END, 0);

-- name: migrations.lead
-- Ask whether this deployment may build an index outside a transaction. The answer comes at once, see migrate.py.
SELECT pg_try_advisory_xact_lock(CASE current_schema() WHEN 'public' THEN 4711 ELSE hashtext(current_schema()) END, 3) AS leading;

-- name: migrations.create
-- The table of applied migrations. A changed file is detected by its checksum.
CREATE TABLE IF NOT EXISTS schema_migrations (
  version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp());

-- name: migrations.applied
-- The migrations that were applied to this database.
SELECT version, name, checksum FROM schema_migrations ORDER BY version;

-- name: migrations.backend
-- The number of the server's process. A pooler names another one to its clients.
SELECT pg_backend_pid() AS pid;

-- name: migrations.record -- writes
-- Record a migration in the transaction that applies it.
INSERT INTO schema_migrations (version, name, checksum) VALUES (%(version)s, %(name)s, %(checksum)s);
