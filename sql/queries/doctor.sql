-- name: doctor.settings
-- The server's settings of these names, as they are in force for a new session.
SELECT name, setting FROM pg_settings WHERE name = ANY (%(names)s::text[]);

-- name: doctor.alive
-- How many processes of each kind live, each with a pool of its own.
SELECT kind, count(*) AS processes FROM processes WHERE seen_at > clock_timestamp() - interval '20 seconds' GROUP BY kind;
