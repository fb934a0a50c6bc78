-- The number of executions committed since a measurement began.
SELECT count(*) AS done FROM executions WHERE id > :since
