"""Registers this process in the table `processes`, and says every five seconds that the process lives.

A worker's heartbeat also tells the states of its providers' models.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
import psycopg
from psycopg_pool import PoolTimeout

from runner_core import __version__
from runner_core.db import Database, retried
from runner_core.loop_health import Loop, problem_of
from runner_core.queries import run
from runner_core.sqlstate import sqlstate

log = logging.getLogger("heartbeat")
BEAT_SECONDS = 5.0
STOP_SECONDS = 0.5
States = list[dict[str, Any]]  # the states of the providers' models, as JSON objects


class Heartbeat:
    """This process's row in `processes`, kept fresh by a daemon thread.

    `kind` is api, publisher, worker, analyst or cli; `region` and `concurrency` are a worker's; `regions_sha` is the
    SHA-256 of the regions file in use, so that processes with different ones can be seen.
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
        self._states: Callable[[], States] | None = None
        self._loop = Loop("heartbeat")
        self._stopped = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)

    def start(self, states: Callable[[], States] | None = None, loop: Loop | None = None) -> None:
        """Write the row, and keep the row fresh until `stop`. `states` is called before each write, in another thread;
        it returns the states of the providers' models. A process without providers has none. Each write is a turn of
        `loop`."""
        self._states = states
        self._loop = loop or self._loop
        self._thread.start()

    def wake(self) -> None:
        """Write the row now: a state has changed. Any thread may call this."""
        self._due.set()

    def stop(self) -> None:
        """Remove the row. If the database does not answer, the process stops anyway, and retention removes the row."""
        self._stopped.set()
        self._due.set()
        # Both may retry for a long time, so the wait is short.
        self._thread.join(STOP_SECONDS)
        leaving = threading.Thread(target=self._leave, name="heartbeat-leave", daemon=True)
        leaving.start()
        leaving.join(STOP_SECONDS)

    def _leave(self) -> None:
        try:
            with self.db.transaction() as conn:
                run(conn, "processes.leave", process_id=self.id)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("could not remove this process's row sqlstate=%s", sqlstate(error))

    def _keep(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                _beat(self.db, self.id, self._row, self._states() if self._states else None)
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("heartbeat failed sqlstate=%s", sqlstate(error))
                self._loop.turned(problem_of(error))
            else:
                self._loop.turned()
            self._due.wait(BEAT_SECONDS - (time.monotonic() - began))
            self._due.clear()  # before `_stopped` is looked at, which `stop` sets first


@retried
def _beat(db: Database, process_id: str, process: dict[str, str | int | None], states: States | None) -> None:
    told = None if states is None else orjson.dumps(states).decode()
    with db.transaction() as conn:
        run(conn, "processes.beat", **_values(process_id, process), providers=told)


def _values(process_id: str, process: dict[str, str | int | None]) -> dict[str, str | int | None]:
    unknown: dict[str, str | int | None] = {"region": None, "concurrency": None, "regions_sha": None}
    own: dict[str, str | int | None] = {
        "process_id": process_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
    }
    return unknown | process | own
