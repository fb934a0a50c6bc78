-- name: bell.ring
-- Notify publishers and watchers of commits that have happened. This transaction stores nothing, so its COMMIT does not
-- wait for the disk.
SELECT pg_notify(n.channel, n.payload), set_config('synchronous_commit', 'off', true)
  FROM unnest(%(channels)s::text[], %(payloads)s::text[]) AS n (channel, payload);

-- name: bell.listen_outbox
-- Each publisher has one listening session. A pooler in transaction mode does not support LISTEN: the publisher then
-- polls.
LISTEN beacon_outbox;

-- name: bell.listen_jobs
-- Each API process has one listening session for all its watching clients.
LISTEN beacon_jobs;
