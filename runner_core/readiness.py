"""Checks whether a process can work: at its start, and whenever the API is asked."""

import logging
import time
from functools import partial

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database
from runner_core.errors import NotReady
from runner_core.failures import NO_ROOM, UNPREPARED, failure_of
from runner_core.migrate import latest
from runner_core.preflight import prove
from runner_core.sqlstate import sqlstate

log = logging.getLogger("readiness")
AGAIN_SECONDS = 0.5


def probe(db: Database) -> None:
    """Test that this process can work: run the checks of preflight.py, commit a real write, test the room on the disk.

    Raises NotReady with one sentence.
    """
    try:
        # An unprepared database is reported in one sentence, so its SQLSTATEs are not counted as errors.
        begin, trial = partial(db.transaction, expected=UNPREPARED.states), partial(db.transaction, pipeline=False)
        prove(begin, trial, latest(), db.kind)
    except PoolTimeout:
        raise NotReady("no connection to the database became free in time") from None
    except psycopg.Error as error:
        state, failure = sqlstate(error), failure_of(error)
        if failure is UNPREPARED and not isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise NotReady("the database has no Beacon Runner schema: run `beacon migrate`") from None
        if failure is NO_ROOM:
            raise NotReady(f"the database has no room for a job (SQLSTATE {state})") from None
        raise NotReady(f"the database refused the probe (SQLSTATE {state})") from None


def wait_until_ready(db: Database, seconds: float) -> None:
    """Call `probe` until it succeeds, for at most `seconds`. Raises the last NotReady."""
    deadline = time.monotonic() + seconds
    told = ""
    while True:
        try:
            return probe(db)
        except NotReady as error:
            if time.monotonic() + AGAIN_SECONDS > deadline:
                raise
            if error.detail != told:
                log.warning("not ready yet: %s", error.detail)
                told = error.detail
            time.sleep(AGAIN_SECONDS)
