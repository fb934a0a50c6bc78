"""A job's timeline as an event stream (text/event-stream, WHATWG HTML 9.2).

Each event has its seq as `id`: a client that lost the stream continues behind the last id that it saw (Last-Event-ID).
Answers don't change the job's version; they are sent as `event: progress`. `event: end` closes the stream of an ended
job.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from runner_api.http.watch import Watcher
from runner_api.http.wire import dumps
from runner_core import queries
from runner_core.db import Database
from runner_core.queries import Row
from runner_core.sqlstate import sqlstate
from runner_core.statuses import ENDED

log = logging.getLogger("api.stream")
PING_SECONDS = 15.0  # proxies close a silent connection after a minute
RETRY_MS = 2000
PAGE = 500


def read(db: Database, job_id: str, after: int) -> tuple[Row | None, list[Row]]:
    """Return the job and its events after `after`. The job is read first, so an ended job's last event is included."""
    with db.transaction() as conn:
        found = queries.rows(conn, "reads.watched", job_ids=[job_id])
        events = queries.rows(conn, "reads.events", job_id=job_id, after=after, page=PAGE)
    return (found[0] if found else None), events


def stream(db: Database, watcher: Watcher, after: int) -> Iterator[str]:
    """Yield the events after `after`, then new events, until the job or the watcher ends.

    A client whose `after` is beyond the job's version gets all events.
    """
    yield f"retry: {RETRY_MS}\n\n"
    next_ping, answers = time.monotonic() + PING_SECONDS, -1
    while not watcher.over:
        watcher.clear()
        try:
            job, events = read(db, watcher.job_id, after)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("stream ended, its client will connect again sqlstate=%s", sqlstate(error))
            return
        if job and after > job["version"]:
            after = 0  # the number is from another server, or from before a restore
            continue
        for event in events:
            after = event["seq"]
            yield f"id: {after}\ndata: {dumps(event)}\n\n"
        if job and job["calls_done"] != answers:
            answers = job["calls_done"]
            yield _named_event("progress", {"version": job["version"], "answers": {"done": answers}})
        if len(events) == PAGE:
            continue
        if job is None or job["status"] in ENDED:
            yield _named_event("end", {"status": job and job["status"], "version": job and job["version"]})
            return
        if events:
            next_ping = time.monotonic() + PING_SECONDS
        if time.monotonic() >= next_ping:
            next_ping = time.monotonic() + PING_SECONDS
            yield ": ping\n\n"
        watcher.wait(next_ping - time.monotonic())


def _named_event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {dumps(data)}\n\n"
