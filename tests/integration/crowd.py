"""A database with 100,000 ended and 20,000 queued jobs, and the names of what is in it (tests/data/crowd.sql)."""

import hashlib
import uuid
from pathlib import Path

import psycopg

ENDED, QUEUED, RUNNING = 100_000, 20_000, 200
ROWS = Path(__file__).parent.parent / "data/crowd.sql"


def fill(url: str) -> None:
    """Write every row, and do what autovacuum would have done by now."""
    with psycopg.connect(url, autocommit=True) as conn:
        # The foreign keys are right by construction, and looking up a million of them takes most of the time.
        conn.execute("SET session_replication_role = replica")
        conn.execute("SET synchronous_commit = off")
        psycopg.ClientCursor(conn).execute(ROWS.read_bytes(), {"ended": ENDED, "queued": QUEUED, "running": RUNNING})
        conn.execute("VACUUM ANALYZE")


def job_id(n: int) -> str:
    """The id of the n-th job; the ended ones come first, then the queued, then the running."""
    return f"job-{_uuid(f'job{n}')}"


def token(n: int) -> str:
    """The lease token of the n-th job, a running one."""
    return _uuid(f"token{n}")


def region(n: int) -> str:
    """The region of the n-th job."""
    return "ASIA" if n % 50 == 0 else "EU" if n % 5 == 0 else "US"


def _uuid(text: str) -> str:
    return str(uuid.UUID(hashlib.md5(text.encode()).hexdigest()))  # noqa: S324 - a name that SQL can make too
