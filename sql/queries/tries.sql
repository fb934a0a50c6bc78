-- name: tries.begin -- writes
-- Insert the row of a further try before its request is sent. Without a result row nothing may be sent: the lease is
-- lost, or the question has its answer. The statement can be repeated after a connection lost in COMMIT: the row then
-- exists.
WITH allowed AS (
  SELECT a.job_id, a.region, a.model_id, a.question_id, a.run_no, a.id
    FROM region_runs r
    JOIN answers a ON a.job_id = r.job_id AND a.region = r.region AND a.model_id = %(model_id)s
                  AND a.question_id = %(question_id)s AND a.run_no = %(run_no)s AND a.status = 'started'
   WHERE r.job_id = %(job_id)s AND r.region = %(region)s AND r.lease_token = %(token)s::uuid
), begun AS (
  INSERT INTO tries (job_id, region, model_id, question_id, run_no, attempt, number, answer_id, provider_id)
  SELECT job_id, region, model_id, question_id, run_no, %(attempt)s, %(number)s, id, %(provider_id)s FROM allowed
  ON CONFLICT (job_id, region, model_id, question_id, run_no, attempt, number) DO NOTHING
)
SELECT job_id FROM allowed;

-- name: tries.withdraw -- writes
-- Delete the tries whose request did not reach the provider.
DELETE FROM tries t
 USING unnest(%(job_id)s::text[], %(region)s::text[], %(model_id)s::text[], %(question_id)s::text[], %(run_no)s::integer[],
              %(attempt)s::integer[], %(number)s::integer[])
       AS w (job_id, region, model_id, question_id, run_no, attempt, number)
 WHERE t.job_id = w.job_id AND t.region = w.region AND t.model_id = w.model_id AND t.question_id = w.question_id
   AND t.run_no = w.run_no AND t.attempt = w.attempt AND t.number = w.number;
