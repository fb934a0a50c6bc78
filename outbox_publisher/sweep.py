"""Recovers regions whose lease has expired or whose message Redis has lost: stages them again, or ends them.

To stage a region again only inserts an outbox row; publisher and worker then treat the row like any other. The sweep
starts from the regions that have not ended, not from unsent messages, so it also finds a region without any message.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import Connection

from outbox_publisher.aside import Aside, Batch
from outbox_publisher.reports import Swept
from runner_core import endings
from runner_core.db import Database, retried
from runner_core.error_detail import unasked
from runner_core.queries import Row, rows
from runner_core.store import outbox

PAGE = 500
LEASES, MESSAGES = 1, 2  # the two kinds of work; one sweeper at a time does each


def take_back(db: Database, aside: Aside[str] | None = None) -> int:
    """Clear a page of expired leases, and stage or end their regions. Return the number of leases; 0 if none is left.

    A job that makes this fail is set aside, and counts in the result.
    """

    def sweep(batch: Batch[str]) -> int | None:
        swept = _take_back(db, batch)
        return None if swept is None else _tell(db, swept).leases

    return (aside or Aside("leases")).run(PAGE, sweep) or 0


@retried
def _take_back(db: Database, batch: Batch[str]) -> Swept | None:
    batch.taken = []
    with db.transaction() as conn:
        if not is_leading(conn, LEASES):
            return None
        expired = [r["job_id"] for r in rows(conn, "sweep.expired", page=batch.size, left_out=batch.left_out)]
        batch.taken = expired
        if not expired:
            return Swept()
        job_ids = [r["id"] for r in rows(conn, "sweep.lock", job_ids=expired)]
        cleared = rows(conn, "sweep.clear", job_ids=job_ids)
        doomed = _end_doomed(conn, job_ids)
        ended_keys = {_key(r) for r in doomed}
        staged = [(*_key(r), "lease_expired") for r in cleared if _key(r) not in ended_keys]
        if staged:
            outbox.stage(conn, staged)
        ended = endings.close(conn, job_ids)
    return Swept(staged, doomed, len(cleared), frozenset(job_ids), ended)


def check_page(
    db: Database,
    after: str,
    as_of: datetime,
    is_queued: Callable[[str, str], bool],
    aside: Aside[str] | None = None,
) -> tuple[str | None, int] | None:
    """In a page of open jobs, end the regions that can't go on and stage the regions without a message.

    The page begins after the job id `after`. A job whose rows fail is set aside.

    Returns the last job id of the page (None if there are no more jobs) and the number of regions staged or ended.
    Returns None if another sweeper does this work.
    """
    last: str | None = None

    def check(batch: Batch[str]) -> int | None:
        nonlocal last
        try:
            swept = _check(db, batch, after, as_of, is_queued)
        finally:
            if last is None and batch.taken:  # if the jobs are done one by one, the page's end is that of the first try
                last = batch.taken[-1]
        return None if swept is None else len(_tell(db, swept).staged) + len(swept.doomed)

    moved = (aside or Aside("messages")).run(PAGE, check)
    return None if moved is None else (last, moved)


@retried
def _check(
    db: Database, batch: Batch[str], after: str, as_of: datetime, is_queued: Callable[[str, str], bool]
) -> Swept | None:
    batch.taken = []
    with db.transaction() as conn:
        if not is_leading(conn, MESSAGES):
            return None
        page = rows(conn, "sweep.page", after=after, page=batch.size, left_out=batch.left_out)
        batch.taken = job_ids = [r["id"] for r in page]
        if not job_ids:
            return Swept()
        doomed = _end_doomed(conn, job_ids)
        ended_keys = {_key(r) for r in doomed}
        staged = [
            (*_key(r), "message_lost")
            for r in rows(conn, "sweep.silent", job_ids=job_ids, as_of=as_of)
            if _key(r) not in ended_keys and not (r["dispatch_id"] and is_queued(r["topic"], r["dispatch_id"]))
        ]
        if staged:
            outbox.stage(conn, staged)
        moved = frozenset(job_id for job_id, *_ in (*ended_keys, *staged))
        if not doomed:
            return Swept(staged, job_ids=moved)
        ended = endings.close(conn, [r["job_id"] for r in doomed])
    return Swept(staged, doomed, job_ids=moved, ended=ended)


def _tell(db: Database, swept: Swept) -> Swept:
    """Report a transaction's changes, and notify watching clients. Call it after the commit."""
    swept.report()
    db.notifier.notify(swept.job_ids)
    return swept


def _end_doomed(conn: Connection[Any], job_ids: list[str]) -> list[Row]:
    """End the regions of these jobs that can't go on; return them with their error codes."""
    doomed = rows(conn, "sweep.doomed", job_ids=job_ids)
    if doomed:
        rows(
            conn,
            "sweep.end",
            job_ids=[r["job_id"] for r in doomed],
            regions=[r["region"] for r in doomed],
            reasons=[json.dumps(unasked(r["code"])) for r in doomed],
        )
    return doomed


def is_leading(conn: Connection[Any], work: int) -> bool:
    """Try to take the lead in `work` until the transaction ends. Return False if another sweeper has it."""
    return bool(rows(conn, "sweep.lead", work=work)[0]["leading"])


def _key(r: Row) -> tuple[str, str]:
    return r["job_id"], r["region"]
