-- receipts still match: each receipt is signed, and agrees with its execution, its output and its calls
SELECT e.job_id, e.region, e.model_id, e.status, e.attempt, e.output, e.receipt,
       COALESCE((SELECT jsonb_agg(jsonb_build_object('question_id', a.question_id, 'run_no', a.run_no, 'status', a.status,
                                                     'served', a.served, 'sent', a.sent))
                   FROM answers a
                  WHERE a.job_id = e.job_id AND a.region = e.region AND a.model_id = e.model_id), '[]') AS calls
  FROM executions e WHERE e.receipt IS NOT NULL ORDER BY e.id;
