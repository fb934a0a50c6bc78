-- topic: the name of a region's queue, without RQ's prefix: beacon-us for US. runner_core/message.py has the same rule for
-- Python; a test compares the two. PostgreSQL puts the body in place of the call, so that an index on outbox.topic serves
-- a condition with the function: the function therefore has no SET clause, and its body names only what pg_catalog has.
-- Processes of the release before spell the rule out and do not call the function.
CREATE FUNCTION topic(region text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'beacon-' || lower(region);
