-- name: sessions.ended
-- A row if the owner has ended this login session.
SELECT id FROM ended_sessions WHERE id = %(session_id)s;

-- name: sessions.end -- writes
-- End a login session. Rows older than a day are deleted, because their cookies have expired; so the table stays small.
WITH old AS (
  DELETE FROM ended_sessions WHERE ended_at < statement_timestamp() - interval '1 day')
INSERT INTO ended_sessions (id) VALUES (%(session_id)s) ON CONFLICT (id) DO NOTHING;
