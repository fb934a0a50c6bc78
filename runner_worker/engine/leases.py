"""The statements of a region run's lease: claim (transaction C1), extend, release."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import uuid4

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.failures import failure_of
from runner_core.queries import Row, run
from runner_core.store import outbox, region_runs, tries
from runner_core.store.answers import CallKey
from runner_core.store.region_runs import Room
from runner_worker.engine.runs import Call, Run, log_as_of
from runner_worker.engine.tries import try_of

log = logging.getLogger("worker")


def new_tokens(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return a token for the lease of each (job id, region)."""
    return {region: str(uuid4()) for region in wanted}


def claim(
    db: Database,
    wanted: Iterable[tuple[str, str]],
    worker: str,
    rooms: Sequence[Room] = (),
    places: int = 0,
    tokens: Mapping[tuple[str, str], str] | None = None,
) -> tuple[list[Row], list[Row], set[CallKey]]:
    """Transaction C1: claim the runs that can be claimed, and start the calls that there is room for, in one statement.

    Returns the claimed runs, the rows that earlier attempts stored for them, and the keys of the calls that were
    started. Nothing is read before the commit, so that the whole transaction is one round trip. The claim may have
    been committed when this raises: with the same `tokens` a repeated claim finds the leases and the started calls.
    """
    tokens = tokens or new_tokens(wanted)
    return _claim(db, {region: tokens[region] for region in wanted}, worker, rooms, places)


@retried
def _claim(
    db: Database, tokens: Mapping[tuple[str, str], str], worker: str, rooms: Sequence[Room], places: int
) -> tuple[list[Row], list[Row], set[CallKey]]:
    settings = db.settings
    with db.transaction() as conn:
        cursor = region_runs.claim(
            conn,
            tokens,
            worker=worker,
            lease_seconds=settings.jobs.lease_seconds,
            max_attempts=settings.jobs.region_max_attempts,
            rooms=rooms,
            places=places,
        )
    claimed = cursor.fetchall()
    stored: list[Row] = []
    if again := [(row["job_id"], row["region"]) for row in claimed if row["again"]]:
        # After the claim: what another worker still stores is seen, too. If this fails, the repeated verb finds the
        # leases again by their tokens.
        with db.transaction() as conn:
            stored = region_runs.stored(conn, again)
    db.notifier.notify(row["job_id"] for row in claimed)
    return claimed, stored, region_runs.begun(claimed)


def beat(db: Database, held: list[region_runs.Held], progressed: Callable[[], None] = lambda: None) -> list[str]:
    """Extend the leases; return the tokens of lost leases. If a batch fails, each lease is extended alone, after a call
    of `progressed`."""
    try:
        return _beat(db, held)
    except psycopg.Error as error:
        if len(held) == 1 or failure_of(error).concerns == "server":
            raise
        log.error("%d leases can't be extended together, extending one by one: %s", len(held), error)
    lost: list[str] = []
    for one in held:
        progressed()
        try:
            lost += _beat(db, [one])
        except psycopg.Error as error:
            if failure_of(error).concerns == "server":
                raise
            log.error("lease can't be extended job_id=%s region=%s: %s", one[0], one[1], error)
    return lost


def extend(db: Database, runs: list[Run], progressed: Callable[[], None]) -> set[str]:
    """Extend the leases of `runs`; return the tokens of lost leases. A failure is logged: the next beat retries."""
    log_as_of(runs)
    try:
        return set(beat(db, [run.held for run in runs], progressed))
    except (psycopg.Error, PoolTimeout) as error:
        log.warning("heartbeat failed for %d runs: %s", len(runs), error)
        return set()


@retried
def _beat(db: Database, held: list[region_runs.Held]) -> list[str]:
    ordered = sorted(held)
    with db.transaction() as conn:
        region_runs.beat(conn, ordered, db.settings.jobs.lease_seconds)
        return region_runs.lost(conn, ordered)


@retried
def release(db: Database, runs: list[Run], unsent: Sequence[Call] = ()) -> None:
    """Release runs, stage their regions for another worker at once, and notify the publishers.

    `unsent` are calls of these runs whose row was written and whose request was never sent: their tries are deleted.
    """
    ordered = sorted(runs, key=lambda r: r.held)
    with db.transaction() as conn:
        run(conn, "jobs.lock", job_ids=sorted({r.job_id for r in runs}))
        released = region_runs.release(conn, [r.held for r in ordered], [not r.begun for r in ordered])
        # After a lost reply to COMMIT the repeat releases nothing. It must not delete tries either: another worker may
        # have written the same tries by now.
        ours = {(r["job_id"], r["region"]) for r in released}
        if withdrawn := [call for call in unsent if (call.run.job_id, call.run.region) in ours]:
            tries.withdraw(conn, sorted(try_of(call, 1) for call in withdrawn))
        if released:
            outbox.stage(conn, [(r["job_id"], r["region"], "released") for r in released])
    db.notifier.notify((r.job_id for r in runs), outbox=True)


def hand_back(db: Database, runs: list[Run]) -> None:
    """Release `runs`. A failure is only logged: the leases expire later."""
    try:
        release(db, runs, [call for run in runs for call in run.unsent()])
    except (psycopg.Error, PoolTimeout) as error:
        log.error("could not hand %d runs back, their leases will run out: %s", len(runs), error)
