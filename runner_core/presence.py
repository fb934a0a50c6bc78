"""Register a process as alive, and check before its first work that the process can work."""

import logging
import os
import socket
import threading
import time
import uuid
from functools import partial

import psycopg
from psycopg_pool import PoolTimeout

from runner_core import __version__
from runner_core.db import Database, retried
from runner_core.errors import NotReady
from runner_core.failures import NO_ROOM, UNPREPARED, failure_of
from runner_core.migrate import latest
from runner_core.preflight import prove
from runner_core.queries import run
from runner_core.sqlstate import sqlstate

log = logging.getLogger("presence")
BEAT_SECONDS = 5.0
AGAIN_SECONDS = 0.5
STOP_SECONDS = 0.5


class Presence:
    """This process's row in `processes`, kept fresh by a daemon thread.

    `kind` is api, publisher, worker or cli; `region` and `concurrency` are a worker's; `regions_sha` is the SHA-256 of
    the regions file in use, so that processes with different ones can be seen.
    """

    def __init__(
        self,
        db: Database,
        kind: str,
        region: str | None = None,
        concurrency: int | None = None,
        regions_sha: str | None = None,
    ) -> None:
        self.db = db
        # The pid alone is not unique: in a container it is 1, also after a restart.
        self.id = f"{kind}-{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._row = {"kind": kind, "region": region, "concurrency": concurrency, "regions_sha": regions_sha}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="presence", daemon=True)

    def start(self) -> None:
        """Write the row, and keep the row fresh until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Remove the row. If the database does not answer, the process stops anyway, and retention removes the row."""
        self._stopped.set()
        # Both may retry for a long time, so the wait is short.
        self._thread.join(STOP_SECONDS)
        leaving = threading.Thread(target=self._leave, name="presence-leave", daemon=True)
        leaving.start()
        leaving.join(STOP_SECONDS)

    def _leave(self) -> None:
        try:
            with self.db.transaction() as conn:
                run(conn, "processes.leave", process_id=self.id)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("could not sign off sqlstate=%s", sqlstate(error))

    def _keep(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                _beat(self.db, self.id, self._row)
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("heartbeat failed sqlstate=%s", sqlstate(error))
            self._stopped.wait(BEAT_SECONDS - (time.monotonic() - began))


def probe(db: Database) -> None:
    """Test that this process can work: run the checks of preflight.py, commit a real write, test the room on the disk.

    Raises NotReady with one sentence.
    """
    try:
        # An unprepared database is reported in one sentence, so its SQLSTATEs are not counted as errors.
        begin, trial = partial(db.transaction, expected=UNPREPARED.states), partial(db.transaction, pipeline=False)
        prove(begin, trial, latest(), db.kind)
    except PoolTimeout:
        raise NotReady("no connection to the database could be had in time") from None
    except psycopg.Error as error:
        state, failure = sqlstate(error), failure_of(error)
        if failure is UNPREPARED and not isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise NotReady("the database has no schema of ours: run `beacon migrate`") from None
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


@retried
def _beat(db: Database, process_id: str, process: dict[str, str | int | None]) -> None:
    with db.transaction() as conn:
        run(conn, "processes.beat", **_values(process_id, process))


def _values(process_id: str, process: dict[str, str | int | None]) -> dict[str, str | int | None]:
    unknown: dict[str, str | int | None] = {"region": None, "concurrency": None, "regions_sha": None}
    own: dict[str, str | int | None] = {
        "process_id": process_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
    }
    return unknown | process | own
