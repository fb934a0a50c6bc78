"""A call's tries: each has a row before its request is sent, so that no crash and no retry can hide a paid call."""

import logging
import threading
from collections.abc import Callable, Iterable

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.failures import failure_of
from runner_core.sqlstate import sqlstate
from runner_core.store import tries
from runner_core.store.tries import Try
from runner_worker.engine.runs import Answer, Call, key_of
from runner_worker.providers.ask import pause

log = logging.getLogger("worker")
OUTAGE_SECONDS = 1.0


def try_of(call: Call, number: int) -> Try:
    """The key of a call's try in the current attempt."""
    return Try(*key_of(call), call.run.attempt, number)


def unreached(answer: Answer) -> Iterable[Try]:
    """The tries of an ended call that were begun and did not reach the provider."""
    return (try_of(answer.call, number) for number in answer.unreached)


def beginner(db: Database, call: Call, deadline: float, cancelled: threading.Event) -> Callable[[int], bool]:
    """Return the function that commits the row of a further try of `call`, on the thread that makes the call.

    While the database is away the function waits, until `deadline` (time.monotonic() seconds) or until `cancelled`,
    and then raises TryFailed. First tries are written with their answers.
    """

    def begin(number: int) -> bool:
        while True:
            try:
                return _begin(db, call, number)
            except (psycopg.Error, PoolTimeout) as error:
                if failure_of(error).concerns == "row":
                    raise
                log.warning("a further try waits for the database job_id=%s: %s", call.run.job_id, sqlstate(error))
            pause(OUTAGE_SECONDS, deadline, cancelled)

    return begin


@retried
def _begin(db: Database, call: Call, number: int) -> bool:
    provider_id = call.unit.provider.id if call.unit.provider else None
    with db.statement() as conn:
        return tries.begin(conn, try_of(call, number), call.run.token, provider_id)
