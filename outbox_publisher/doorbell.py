"""Wakes the publisher when rows were committed: LISTEN where the connection can carry it, polling in any case."""

import logging
import threading
import time

import psycopg

from runner_core.queries import run
from runner_core.settings import Settings

log = logging.getLogger("publisher")
AGAIN_SECONDS = 2.0
LOOK_SECONDS = 1.0  # how late a stop is noticed
BREATH_SECONDS = 0.001


class Doorbell:
    """One listening connection. `ring` may also be called by this process, for rows that it wrote itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rung = threading.Event()
        self._stopped = threading.Event()
        # A pooler in transaction mode can't carry LISTEN: it needs a direct address, or the polling is all there is.
        self._url = settings.listen_database_url or ("" if settings.db_pooler else settings.database_url)

    def start(self) -> None:
        """Begin to listen, beside the caller."""
        if self._url:
            threading.Thread(target=self._listen, name="doorbell", daemon=True).start()
        else:
            log.warning(
                "no LISTEN through a pooler: polling every %d ms (LISTEN_DATABASE_URL would wake at once)",
                self._settings.outbox_poll_ms,
            )

    def ring(self) -> None:
        """There may be rows."""
        self._rung.set()

    def wait(self) -> None:
        """Return when there may be rows, at the latest after OUTBOX_POLL_MS."""
        self._rung.wait(self._settings.outbox_poll_ms / 1000)
        self._rung.clear()

    def stop(self) -> None:
        """Stop listening and wake whoever waits."""
        self._stopped.set()
        self._rung.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, application_name="beacon-publisher-listen", connect_timeout=10
                ) as conn:
                    run(conn, "bell.listen_outbox")
                    self._rung.set()  # what was committed before we listened
                    while not self._stopped.is_set():
                        for _ in conn.notifies(timeout=LOOK_SECONDS, stop_after=1):
                            self._rung.set()
                        # The publisher's thread first: it can't run while this one makes ready to listen again.
                        time.sleep(BREATH_SECONDS)
            except psycopg.Error as error:
                log.warning("the listening connection was lost, polling until it is back: %s", error)
                self._stopped.wait(AGAIN_SECONDS)
