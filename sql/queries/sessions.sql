-- name: sessions.ended
-- Whether a login was ended by its owner.
SELECT id FROM ended_sessions WHERE id = %(session_id)s;

-- name: sessions.end -- writes
-- End a login. What no cookie can name any more goes with it, so that the table stays as small as a day's logouts.
WITH old AS (
  DELETE FROM ended_sessions WHERE ended_at < statement_timestamp() - interval '1 day')
INSERT INTO ended_sessions (id) VALUES (%(session_id)s) ON CONFLICT (id) DO NOTHING;
