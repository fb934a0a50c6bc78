-- Gives the four logins of the processes their passwords, from the environment: nothing secret is in any argv.
-- For psql 15 and later, as the database's owner, after `beacon migrate`. May be run again, with other passwords too.
\getenv api BEACON_API_PASSWORD
\getenv publisher BEACON_PUBLISHER_PASSWORD
\getenv worker BEACON_WORKER_PASSWORD
\getenv analyst BEACON_ANALYST_PASSWORD
-- The server must not log what it is told here.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
ALTER ROLE beacon_api PASSWORD :'api';
ALTER ROLE beacon_publisher PASSWORD :'publisher';
ALTER ROLE beacon_worker PASSWORD :'worker';
ALTER ROLE beacon_analyst PASSWORD :'analyst';
