-- I3: at most one execution per (job, region, model), one answer per (execution, question, run)
SELECT job_id, region || ' ' || model_id || ' has ' || count(*) || ' executions' AS broken
  FROM executions GROUP BY job_id, region, model_id HAVING count(*) > 1
UNION ALL
SELECT job_id, region || ' ' || model_id || ' has ' || count(*) || ' answers to ' || question_id || ', run ' || run_no
  FROM answers GROUP BY job_id, region, model_id, question_id, run_no HAVING count(*) > 1;
