-- The size of the outbox with its indexes in bytes, and its live and dead rows.
SELECT pg_total_relation_size('outbox') AS bytes, (SELECT count(*) FROM outbox) AS rows,
       (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox') AS dead
