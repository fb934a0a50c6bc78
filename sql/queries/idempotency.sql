-- name: idempotency.find
-- The accepted request behind a key that has not expired.
SELECT key, request_digest, job_id FROM idempotency_keys WHERE key = %(key)s AND expires_at > statement_timestamp();

-- name: idempotency.expire -- writes
-- A key past its days may name a new request even before the retention pass has come by.
DELETE FROM idempotency_keys WHERE key = %(key)s AND expires_at <= statement_timestamp();

-- name: nonces.find
-- The job for which a key's nonce was spent.
SELECT job_id FROM nonces WHERE public_key = %(public_key)s AND nonce = %(nonce)s;

-- name: nonces.spend -- writes
-- A signed action's nonce, with what it does; no row when it was used before.
INSERT INTO nonces (public_key, nonce, job_id) VALUES (%(public_key)s, %(nonce)s, %(job_id)s)
ON CONFLICT (public_key, nonce) DO NOTHING RETURNING nonce;
