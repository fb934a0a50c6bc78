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

-- name: identity.timeline
-- The server's identifier, and its timeline: a number that each promotion raises. A standby's may be the number before.
SELECT s.system_identifier::text AS server, pg_is_in_recovery() AS standby,
       extract(epoch FROM pg_postmaster_start_time())::double precision AS started,
       CASE WHEN pg_is_in_recovery() THEN c.timeline_id
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer END AS timeline
  FROM pg_control_system() s CROSS JOIN pg_control_checkpoint() c;
