-- name: doctor.settings
-- The values of the named server settings in this session.
SELECT name, setting FROM pg_settings WHERE name = ANY (%(names)s::text[]);

-- name: doctor.alive
-- The number of live processes of each kind. Each process has its own connection pool.
SELECT kind, count(*) AS processes FROM processes WHERE seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) GROUP BY kind;
