"""Fills the columns by which lists find jobs, for jobs that were written by an earlier release."""

import time

from runner_core.db import Database, retried
from runner_core.queries import single

BATCH = 100  # small, because each job is updated with all its entries in indexes
PASS_SECONDS = 2.0  # the next pass goes on


def fill_old(db: Database) -> int:
    """Fill batches until no job is left or the time of this pass is over. Return the number of filled jobs.

    Several publishers may fill at the same time: each skips the jobs that another has locked.
    """
    total, until = 0, time.monotonic() + PASS_SECONDS
    while filled := _fill(db):
        total += filled
        if time.monotonic() >= until:
            break
    return total


@retried
def _fill(db: Database) -> int:
    with db.transaction(pipeline=False) as conn:
        return int(single(conn, "sweep.fill", batch=BATCH)["filled"])
