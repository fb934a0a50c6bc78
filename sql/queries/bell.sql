-- name: bell.ring
-- Wakes publishers and watchers, after the commits that they are told of. There is nothing to lose, so nobody waits for
-- the disk.
SELECT pg_notify(n.channel, n.payload), set_config('synchronous_commit', 'off', true)
  FROM unnest(%(channels)s::text[], %(payloads)s::text[]) AS n (channel, payload);

-- name: bell.listen_outbox
-- One listener a publisher; a pooler in transaction mode can't carry it, and then polling does.
LISTEN beacon_outbox;

-- name: bell.listen_jobs
-- One listener an API process, however many clients watch.
LISTEN beacon_jobs;
