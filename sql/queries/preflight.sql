-- name: preflight.server
-- The properties of the database that this program requires. The statement reads system catalogues only, so that a
-- login without any grant can run it.
SELECT current_setting('server_version_num')::integer / 10000 AS version,
       current_setting('server_encoding') AS encoding,
       lower('ABCDEFGHIJKLMNOPQRSTUVWXYZ') = 'abcdefghijklmnopqrstuvwxyz' AS lowers_ascii,
       current_user AS login,
       pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::boolean AS read_only,
       has_schema_privilege(to_regnamespace(%(schema)s::text)::oid, 'USAGE') AS usable,
       has_table_privilege(t.oid, 'SELECT') AS readable, a.attnum IS NOT NULL AS migrated
  FROM (VALUES (1)) AS one (row)
  LEFT JOIN pg_class t ON t.relname = 'schema_migrations' AND t.relnamespace = to_regnamespace(%(schema)s::text)
  LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'checksum';

-- name: preflight.switches
-- The logins for which an operator has set default_transaction_read_only, for this database or for all databases
-- (setdatabase 0).
SELECT COALESCE(r.rolname, 'every login') AS login
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS c (setting)
 WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
   AND (s.setrole = 0 OR r.rolname = ANY (%(logins)s::text[]))
   AND split_part(c.setting, '=', 1) = 'default_transaction_read_only' AND split_part(c.setting, '=', 2)::boolean
 ORDER BY 1;

-- name: preflight.creators
-- Who may create objects in the schema: `PUBLIC` if everybody may, else the logins that may.
SELECT w.grantee
  FROM unnest(%(logins)s::text[]) WITH ORDINALITY AS w (grantee, number)
  LEFT JOIN pg_roles r ON r.rolname = w.grantee
 CROSS JOIN (SELECT to_regnamespace(%(schema)s::text)::oid) AS s (oid)
 WHERE has_schema_privilege(r.oid, s.oid, 'CREATE') AND NOT has_schema_privilege(0::oid, s.oid, 'CREATE')
UNION ALL
SELECT 'PUBLIC' WHERE has_schema_privilege(0::oid, to_regnamespace(%(schema)s::text)::oid, 'CREATE')
 ORDER BY 1;
