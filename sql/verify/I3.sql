-- I3: at most one execution per (job, region, model), one answer per (execution, question, run)
SELECT job_id, region || ' ' || model_id || ' has ' || count(*) || ' executions' AS broken
  FROM executions GROUP BY job_id, region, model_id HAVING count(*) > 1
UNION ALL
SELECT job_id, region || ' ' || model_id || ' has ' || count(*) || ' answers to ' || question_id || ', run ' || run_no
  FROM answers GROUP BY job_id, region, model_id, question_id, run_no HAVING count(*) > 1
UNION ALL
SELECT e.job_id, e.region || ' ' || e.model_id || ' was recorded with another answer to ' || (x.item ->> 'question_id')
       || ', run ' || (x.item ->> 'run_no') || ' than the one stored'
  FROM executions e
 CROSS JOIN LATERAL jsonb_array_elements(e.output -> 'answers') AS x (item)
  LEFT JOIN answers a ON a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id
        AND a.question_id = x.item ->> 'question_id' AND a.run_no = (x.item ->> 'run_no')::integer
 WHERE a.output ->> 'response' IS DISTINCT FROM x.item ->> 'response';
