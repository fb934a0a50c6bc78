"""Counts and logs the paid answers that the database will never store."""

import logging
from collections.abc import Iterable

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.queries import Row
from runner_core.sqlstate import sqlstate
from runner_core.store import region_runs
from runner_core.telemetry import ANSWERS_DISCARDED
from runner_worker.engine.runs import Answer, key_of

log = logging.getLogger("worker")


def discard(answers: Iterable[Answer], reason: str) -> None:
    """Count and log the usable answers among `answers`. A failed call has no paid answer to lose."""
    for answer in answers:
        if answer.status == "ok":
            ANSWERS_DISCARDED.labels(reason).inc()
            log.warning(
                "a paid answer is not stored job_id=%s region=%s model_id=%s question_id=%s run_no=%d reason=%s",
                *(*key_of(answer.call), reason),
                extra=answer.call.run.origin.about,
            )


def discard_refused(db: Database, answers: Iterable[Answer]) -> None:
    """Discard the answers that the database did not store. `answers` are of runs whose lease was lost.

    Such an answer is stored unless its region was closed or another worker has asked the same question again.
    """
    late = [answer for answer in answers if answer.status == "ok"]
    if not late:
        return
    try:
        rows = _stored(db, sorted({(answer.call.run.job_id, answer.call.run.region) for answer in late}))
    except (psycopg.Error, PoolTimeout) as error:
        log.warning("can't see whether %d late answers were stored sqlstate=%s", len(late), sqlstate(error))
        return
    found = {
        (row["job_id"], row["region"], row["model_id"], row["question_id"], row["run_no"]): row["output"]
        for row in rows
        if row["status"] == "ok"
    }
    for answer in late:
        stored, own = found.get(key_of(answer.call)), answer.output or {}
        if stored is None:
            discard([answer], "region_closed")
        elif stored.get("response") != own.get("response"):
            discard([answer], "answered_again")


@retried
def _stored(db: Database, runs: list[tuple[str, str]]) -> list[Row]:
    with db.transaction() as conn:
        return region_runs.stored(conn, runs)
