-- name: migrations.lock
-- Two deployments at once take turns, a migration each. The transaction's and not the session's: through a pooler the
-- session goes on, and a lock with it.
SELECT pg_advisory_xact_lock(4711, 0);

-- name: migrations.create
-- Where each applied migration is remembered, with the checksum that makes a changed file known.
CREATE TABLE IF NOT EXISTS schema_migrations (
  version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp());

-- name: migrations.applied
-- The migrations that this database has.
SELECT version, name, checksum FROM schema_migrations ORDER BY version;

-- name: migrations.record -- writes
-- In the migration's own transaction.
INSERT INTO schema_migrations (version, name, checksum) VALUES (%(version)s, %(name)s, %(checksum)s);
