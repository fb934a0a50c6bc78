-- How many executions have been committed since a measurement began.
SELECT count(*) AS done FROM executions WHERE id > :since
