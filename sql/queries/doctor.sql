-- name: doctor.settings
-- The server's settings of these names, as they are in force for a new session.
SELECT name, setting FROM pg_settings WHERE name = ANY (%(names)s::text[]);

-- name: doctor.alive
-- How many processes of each kind live, each with a pool of its own.
SELECT kind, count(*) AS processes FROM processes WHERE seen_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) GROUP BY kind;
