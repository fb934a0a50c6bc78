-- receipts still match: each receipt is signed, and agrees with its execution and its output
SELECT job_id, region, model_id, status, attempt, output, receipt FROM executions WHERE receipt IS NOT NULL ORDER BY id;
