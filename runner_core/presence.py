"""How a process shows that it lives, and how it finds out that its database is ready."""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping

import psycopg
from psycopg_pool import PoolTimeout

from runner_core import __version__
from runner_core.db import Database, retried, sqlstate
from runner_core.errors import NotReady
from runner_core.migrate import latest
from runner_core.queries import rows, run

log = logging.getLogger("presence")
BEAT_SECONDS = 5.0
PROBE_PAUSE_SECONDS = 0.5


class Presence:
    """This process's row in `processes`, written every 5 s from a thread of its own."""

    def __init__(
        self,
        db: Database,
        kind: str,
        region: str | None = None,
        concurrency: int | None = None,
        regions_sha: str | None = None,
    ) -> None:
        self.db = db
        self.row = {
            "process_id": f"{kind}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}",
            "kind": kind,
            "region": region,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "regions_sha": regions_sha,
            "concurrency": concurrency,
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="presence", daemon=True)

    @property
    def process_id(self) -> str:
        """The row's key: unique for every start."""
        return str(self.row["process_id"])

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and take the row along, as far as the database allows."""
        self._stopped.set()
        self._thread.join(BEAT_SECONDS)
        try:
            leave(self.db, self.process_id)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("left without a word to the database: %s", error)

    def _beat_on(self) -> None:
        while True:
            try:
                beat(self.db, self.row)
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("could not tell the database that this process lives: %s", error)
            if self._stopped.wait(BEAT_SECONDS):
                return


@retried
def beat(db: Database, row: Mapping[str, object]) -> None:
    """Write that this process is alive."""
    with db.transaction() as conn:
        run(conn, "processes.beat", **row)


@retried
def leave(db: Database, process_id: str) -> None:
    """Remove a process's row."""
    with db.transaction() as conn:
        run(conn, "processes.leave", process_id=process_id)


def probe(db: Database) -> None:
    """Ping, write, read back, and compare the migration version.

    The write is real and is rolled back by nobody: a database that takes reads only is not ready.
    Raises NotReady with one sentence that says what to do.
    """
    row = {
        "process_id": f"probe-{socket.gethostname()}-{secrets.token_hex(8)}",
        "kind": "cli",
        "region": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
        "regions_sha": None,
        "concurrency": None,
    }
    try:
        with db.transaction(pipeline=False) as conn:
            applied = [r["version"] for r in rows(conn, "migrations.applied")]
        if applied[-1:] != [latest()]:
            have = applied[-1] if applied else 0
            raise NotReady(f"the schema has version {have}, this release needs {latest()}: run `beacon migrate`")
        with db.transaction(pipeline=False) as conn:
            written = rows(conn, "processes.beat", **row)[0]["seen_at"]
        with db.transaction(pipeline=False) as conn:
            read = rows(conn, "processes.read", process_id=row["process_id"])
            run(conn, "processes.leave", process_id=row["process_id"])
    except psycopg.errors.UndefinedTable:
        raise NotReady("the database is empty: run `beacon migrate`") from None
    except (psycopg.Error, PoolTimeout) as error:
        raise NotReady(f"the database does not answer (sqlstate {sqlstate(error)}): check DATABASE_URL") from error
    if not read or read[0]["seen_at"] < written:
        raise NotReady("the database lost a row that it had committed")


def wait_until_ready(db: Database, seconds: float) -> None:
    """Probe until the database is ready. Raises NotReady with the last reason when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return probe(db)
        except NotReady as reason:
            if time.monotonic() >= deadline:
                raise
            log.warning("waiting: %s", reason.detail)
            time.sleep(min(PROBE_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
