-- receipts still match: each execution's receipt, and what it is about
SELECT job_id, region, model_id, status, attempt, output, receipt FROM executions WHERE receipt IS NOT NULL ORDER BY id;
