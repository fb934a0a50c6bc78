-- name: rights.logins
-- The process logins that do not exist as roles.
SELECT w.login FROM unnest(%(logins)s::text[]) WITH ORDINALITY AS w (login, number)
 WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w.login) ORDER BY w.number;

-- name: rights.missing
-- The numbers of the wrong privileges: one that a login lacks, or one that PUBLIC has. The statement reads system
-- catalogues only, so that a login without any grant can run it.
SELECT w.number
  FROM unnest(%(logins)s::text[], %(privileges)s::text[], %(kinds)s::text[], %(names)s::text[], %(columns)s::text[])
       WITH ORDINALITY AS w (login, privilege, kind, name, column_name, number)
 CROSS JOIN LATERAL (SELECT CASE WHEN w.login = 'PUBLIC' THEN 0::oid
                                 ELSE (SELECT r.oid FROM pg_roles r WHERE r.rolname = w.login) END AS oid) g
  LEFT JOIN pg_class c ON w.kind IN ('TABLE', 'SEQUENCE') AND c.relname = w.name
                      AND c.relnamespace = to_regnamespace(%(schema)s::text)
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.column_name
  LEFT JOIN pg_proc p ON w.kind = 'FUNCTION' AND p.proname = split_part(w.name, '(', 1)
                     AND p.pronamespace = to_regnamespace(%(schema)s::text)
                     AND p.proname || '(' || oidvectortypes(p.proargtypes) || ')' = w.name
 WHERE (w.login <> 'PUBLIC') IS DISTINCT FROM
       CASE w.kind WHEN 'DATABASE' THEN has_database_privilege(g.oid, current_database(), w.privilege)
                   WHEN 'SCHEMA' THEN has_schema_privilege(g.oid, to_regnamespace(w.name)::oid, w.privilege)
                   WHEN 'SEQUENCE' THEN has_sequence_privilege(g.oid, c.oid, w.privilege)
                   WHEN 'FUNCTION' THEN has_function_privilege(g.oid, p.oid, w.privilege)
                   ELSE CASE WHEN w.column_name IS NULL THEN has_table_privilege(g.oid, c.oid, w.privilege)
                             ELSE has_column_privilege(g.oid, c.oid, a.attnum, w.privilege) END END
 ORDER BY w.number;

-- name: rights.database
-- The database's name, quoted for use in a statement.
SELECT quote_ident(current_database()) AS name;
