"""What the portal's pages read beyond what clients do. Nothing here writes; each function is one statement."""

from typing import Any

from psycopg import Connection

from runner_core.queries import Row, row, rows

COUNTED = 1000  # jobs of one status; beyond it a page says "1,000+"
SEARCHED = 20_000  # the newest jobs in whose ids a search looks for a part


def counts(conn: Connection[Any]) -> dict[str, int]:
    """Jobs by status, each at most COUNTED."""
    return {found["status"]: found["jobs"] for found in rows(conn, "portal.counts", most=COUNTED)}


def search(conn: Connection[Any], wanted: str, page: int) -> list[Row]:
    """The job called `wanted` first, then newer ones with it in their id; as reads.jobs lists them, with progress."""
    return rows(conn, "portal.search", wanted=wanted, newest=SEARCHED, page=page)


def job(conn: Connection[Any], job_id: str) -> Row | None:
    """questions, runs, signature_form, public_key, submitter, request_id, traceparent, the job's limits."""
    return row(conn, "portal.job", job_id=job_id)


def regions(conn: Connection[Any], job_id: str) -> list[Row]:
    """Each planned region with its run and its newest outbox row."""
    return rows(conn, "portal.regions", job_id=job_id)


def held(conn: Connection[Any], few: int) -> list[Row]:
    """The oldest few region runs of each worker; `held` is how many it holds."""
    return rows(conn, "portal.held", few=few)


def hour(conn: Connection[Any]) -> list[Row]:
    """Sixty minutes, oldest first: completed, failed, p50_ms, p95_ms."""
    return rows(conn, "portal.hour")
