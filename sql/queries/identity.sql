-- name: identity.database
-- The identity of this database in its server. `since` distinguishes installations if the server's identifier can't be
-- read.
SELECT d.oid::bigint AS oid, d.datname AS database, c.relnamespace::regnamespace::text AS schema,
       (SELECT extract(epoch FROM min(m.applied_at))::bigint FROM schema_migrations m) AS since
  FROM pg_database d CROSS JOIN pg_class c
 WHERE d.datname = current_database() AND c.oid = 'schema_migrations'::regclass;

-- name: identity.server
-- The identifier of this server. A replica that became the primary keeps it; a restored dump has the new server's.
SELECT system_identifier::text AS server FROM pg_control_system();
