-- kept: every job and every receipt that the client's files name is in the database
SELECT k.job_id,
       CASE WHEN j.id IS NULL THEN 'the job is missing (' || k.file || ')'
            WHEN k.signature IS NULL OR e.receipt ->> 'signature' = k.signature THEN NULL
            WHEN e.job_id IS NULL THEN 'the result of ' || k.region || ' ' || k.model_id || ' is missing (' || k.file || ')'
            -- A retry of a failed unit replaces its execution; the unit's count of retries says so.
            WHEN e.retry_count > 0 THEN NULL
            ELSE 'the result of ' || k.region || ' ' || k.model_id || ' is another than the receipt''s (' || k.file || ')'
       END AS broken
  FROM unnest(%(files)s::text[], %(job_ids)s::text[], %(regions)s::text[], %(model_ids)s::text[], %(signatures)s::text[])
       WITH ORDINALITY AS k (file, job_id, region, model_id, signature, place)
  LEFT JOIN jobs j ON j.id = k.job_id
  LEFT JOIN executions e ON e.job_id = k.job_id AND e.region = k.region AND e.model_id = k.model_id
 ORDER BY k.place;
