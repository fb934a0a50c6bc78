-- name: identity.database
-- Which database this is, in its server; `since` tells installations apart where the server has no identifier to give.
SELECT d.oid::bigint AS oid, d.datname AS database, c.relnamespace::regnamespace::text AS schema,
       (SELECT extract(epoch FROM min(m.applied_at))::bigint FROM schema_migrations m) AS since
  FROM pg_database d CROSS JOIN pg_class c
 WHERE d.datname = current_database() AND c.oid = 'schema_migrations'::regclass;

-- name: identity.server
-- Which server this is: a replica that became the primary keeps the number, a restored dump has the new server's.
SELECT system_identifier::text AS server FROM pg_control_system();
