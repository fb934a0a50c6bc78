-- kept: every job and every receipt that the client's files name is in the database
SELECT k.job_id,
       CASE WHEN j.id IS NULL THEN 'the job is missing (' || k.file || ')'
            WHEN k.signature IS NULL OR e.receipt ->> 'signature' = k.signature THEN NULL
            -- A retry of a failed unit replaces its execution; the job's event names the attempt of the replaced one.
            WHEN EXISTS (SELECT FROM job_events v CROSS JOIN LATERAL jsonb_array_elements(v.detail -> 'units') AS u (unit)
                          WHERE v.job_id = k.job_id AND v.type = 'retry_requested' AND u.unit ->> 'region' = k.region
                            AND u.unit ->> 'model_id' = k.model_id AND u.unit #>> '{earlier,attempt}' = k.attempt) THEN NULL
            WHEN e.job_id IS NULL THEN 'the result of ' || k.region || ' ' || k.model_id || ' is missing (' || k.file || ')'
            ELSE 'the result of ' || k.region || ' ' || k.model_id || ' is another than the receipt''s (' || k.file || ')'
       END AS broken
  FROM unnest(%(files)s::text[], %(job_ids)s::text[], %(regions)s::text[], %(model_ids)s::text[], %(attempts)s::text[],
              %(signatures)s::text[]) WITH ORDINALITY AS k (file, job_id, region, model_id, attempt, signature, place)
  LEFT JOIN jobs j ON j.id = k.job_id
  LEFT JOIN executions e ON e.job_id = k.job_id AND e.region = k.region AND e.model_id = k.model_id
 ORDER BY k.place;
