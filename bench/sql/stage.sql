-- The outbox rows of those jobs: one message per region.
INSERT INTO outbox (job_id, topic, payload)
SELECT j.id, 'beacon-' || lower(r.region),
       jsonb_build_object('id', j.id, 'attempt', 0, 'request_id', '',
                          'enqueued_at', to_char(j.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
  FROM generate_series(:first::integer, :last::integer) AS g (n)
  JOIN jobs j ON j.id = :prefix || n
 CROSS JOIN LATERAL jsonb_object_keys(j.plan) AS r (region)
