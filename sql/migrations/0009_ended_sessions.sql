-- ended_sessions: logins of the portal that were ended by their owners. A cookie is valid by its signature alone for 12
-- hours, so a copy of it would outlive the logout; whoever logs out next removes what is older than any cookie.
CREATE TABLE ended_sessions (
  id       text PRIMARY KEY,
  ended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
