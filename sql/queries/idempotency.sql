-- name: idempotency.find
-- The accepted request of a key that has not expired.
SELECT key, request_digest, job_id FROM idempotency_keys WHERE key = %(key)s AND expires_at > statement_timestamp();

-- name: idempotency.expire -- writes
-- Delete an expired key, so that a new request may use it before the next retention pass.
DELETE FROM idempotency_keys WHERE key = %(key)s AND expires_at <= statement_timestamp();

-- name: nonces.find
-- The job for which this public key used this nonce.
SELECT job_id FROM nonces WHERE public_key = %(public_key)s AND nonce = %(nonce)s;

-- name: nonces.spend -- writes
-- Insert the nonce of a signed action, in the action's transaction. No result row if the nonce was used before.
INSERT INTO nonces (public_key, nonce, job_id) VALUES (%(public_key)s, %(nonce)s, %(job_id)s)
ON CONFLICT (public_key, nonce) DO NOTHING RETURNING nonce;
