"""Times every named statement, counts its errors and writes its DB_AUDIT log line, so that no other code has to.

In a pipeline a result arrives later than its statement was sent, and an error later still. So the journal of a
transaction keeps the sent statements and settles each one when its result has arrived. After an error the statement
that failed is the first one without a result.

The audit lines are written after the transaction has ended. Only then the trace id is known: it is read with the jobs,
which a transaction locks first.
"""

import logging
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection, Cursor
from psycopg.abc import Params, Query
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import Row

from runner_core.failures import label_of
from runner_core.queries import Statement, named
from runner_core.telemetry import DB_WRITE_ERRORS, DB_WRITE_LATENCY, about

audit_log = logging.getLogger("db.audit")
log = logging.getLogger("db")

# The parameters that audit lines may show: ids and statuses, no other values. A batch of records gives a list for each
# field, under the field's name.
SINGULAR = ("job_id", "region", "model_id", "question_id", "process_id", "kind", "status")
PLURAL = {"job_ids": "job_id", "regions": "region", "ids": "outbox_id"}


# The meaning of a write that correctly changes no row. The audit line has this word instead of rows=0, because
# operators read rows=0 as a write that did not happen.
NOTHING = {
    "idempotency.expire": "not_expired",
    "jobs.cancel": "ended_before",
    "jobs.close": "not_yet",
    "jobs.reopen_units": "none_failed",
    "jobs.submit": "repeat",
    "nonces.spend": "repeat",
    "outbox.settle": "none_dead",
    "outbox.withdraw": "none_waiting",
    "region_runs.beat": "locked_elsewhere",
    "region_runs.claim": "not_claimable",
    "region_runs.close": "not_yet",
    "region_runs.release": "released_before",
    "retention.jobs": "none_due",
    "retention.keys": "none_due",
    "retention.nonces": "none_due",
    "retention.outbox": "none_due",
    "retention.processes": "none_due",
    "sweep.clear": "renewed_before",
}


def shown(params: Mapping[str, Any]) -> str:
    """Return the ids in a statement's parameters, `name=id`; for a batch only their number."""
    names = {**{name: name for name in SINGULAR}, **PLURAL}
    return " ".join(_shown(names[given], params[given]) for given in names if params.get(given) is not None)


def _shown(name: str, value: Any) -> str:
    distinct = set(value) if isinstance(value, list) else {value}
    return f"{name}={next(iter(distinct))}" if len(distinct) == 1 else f"{name}s={len(distinct)}"


class Journal:
    """The statements of one transaction, in the order sent."""

    def __init__(self, audit: bool) -> None:
        self.audit = audit
        self.open: list[tuple[Cursor[Any], Statement, Mapping[str, Any], float]] = []
        self.begun = False
        self.wrote = False
        self._lines: list[tuple[Any, ...]] = []
        self._read: list[Cursor[Any]] = []

    def sent(self, cursor: Cursor[Any], statement: Statement, params: Mapping[str, Any]) -> None:
        """Add a statement that was sent and has no result yet."""
        self.begun, self.wrote = True, self.wrote or statement.writes
        self.open.append((cursor, statement, params, time.perf_counter()))

    def settle(self) -> None:
        """Record the statements whose results have arrived, in order, up to the first one without a result."""
        while self.open and self.open[0][0].pgresult is not None:
            cursor, statement, params, started = self.open.pop(0)
            if self.audit:
                self._read.append(cursor)
            if not statement.writes:
                continue
            elapsed_ms = (time.perf_counter() - started) * 1000
            DB_WRITE_LATENCY.labels(statement.name).observe(elapsed_ms)
            if self.audit:
                found = f"rows={cursor.rowcount}" if cursor.rowcount > 0 else _nothing(statement)
                line = "DB_AUDIT %s %s %s elapsed_ms=%.0f"
                self._lines.append((line, statement.name, shown(params), found, elapsed_ms))

    def failed(self, sqlstate: str, *, expected: bool, level: int) -> None:
        """Record and log the error of the first statement without a result; of COMMIT if all statements have results.

        A transaction that failed at BEGIN counts as a write, because it may have become one.
        """
        name, ids, started = "commit" if self.begun else "begin", "", time.perf_counter()
        self.wrote = self.wrote or not self.begun
        if self.open:
            _, statement, params, started = self.open[0]
            name, ids = statement.name, shown(params)
            self.wrote = self.wrote or statement.writes
        elapsed_ms = (time.perf_counter() - started) * 1000
        if self.wrote and self.audit:
            line = "DB_AUDIT %s %s rows=0 elapsed_ms=%.0f sqlstate=%s"
            self._lines.append((line, name, ids, elapsed_ms, sqlstate))
        if expected:
            return
        if self.wrote:
            DB_WRITE_ERRORS.labels(label_of(sqlstate)).inc()
        log.log(level, "statement failed: %s %s sqlstate=%s elapsed_ms=%.0f", name, ids, sqlstate, elapsed_ms)

    def write(self) -> None:
        """Write the audit lines. Call it after the transaction has ended, by COMMIT or by an error."""
        if not self._lines:
            return
        traces = {trace for cursor in self._read for trace in _traces(cursor)}
        extra = about(traces.pop()) if len(traces) == 1 else None
        for line in self._lines:
            audit_log.info(*line, extra=extra)


def _nothing(statement: Statement) -> str:
    meaning = NOTHING.get(statement.name)
    return f"outcome={meaning}" if meaning else "rows=0"


def _traces(cursor: Cursor[Any]) -> Iterator[str]:
    """Yield the traceparent of each row in a result that has such a column."""
    names = [column.name for column in cursor.description or ()]
    if cursor.pgresult is not None and "traceparent" in names:
        column = names.index("traceparent")
        for number in range(cursor.pgresult.ntuples):
            yield (cursor.pgresult.get_value(number, column) or b"").decode()


class ObservedConnection(Connection[Row]):
    """A connection that has a journal of its statements while a transaction is open.

    `dup_socket` is a second descriptor of the connection's socket, for the watchdog: libpq may close its own descriptor
    at any moment, and another file may then get the same number. `made_at` is a time.monotonic().
    """

    journal: Journal | None = None
    dup_socket: socket.socket | None = None
    made_at = 0.0

    @classmethod
    def connect(  # type: ignore[override]  # only the pool calls this, and passes `on_failure`
        cls, conninfo: str = "", *, on_failure: Callable[[], object] = lambda: None, **kwargs: Any
    ) -> "ObservedConnection[Any]":
        """Connect as psycopg does. Call `on_failure` if no host of `conninfo` accepts the connection."""
        try:
            return super().connect(conninfo, **kwargs)
        except psycopg.Error:
            on_failure()
            raise

    def is_ended(self) -> bool:
        """Return whether the server has closed this idle connection. The check sends nothing and does not wait."""
        if self.closed:
            return True
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return False
        # A notice (N) or a changed setting (S) may come at any time. Other bytes are the last error (E), or TLS's.
        with suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as own:
            return own.recv(1, socket.MSG_PEEK) not in (b"N", b"S", b"A")
        return True

    def is_in_use(self) -> bool:
        """Return whether a transaction or a pipeline is still open, or the connection is broken."""
        return (
            self.pgconn.transaction_status != TransactionStatus.IDLE
            or self.pgconn.pipeline_status != PipelineStatus.OFF
        )

    def close(self) -> None:
        """Close the connection, and the watchdog's descriptor."""
        super().close()
        if self.dup_socket:
            self.dup_socket.close()


class ObservedCursor(Cursor[Row]):
    """Reports each named statement to its connection's journal.

    Rows may also be fetched after the commit, when another thread may have the connection, with a journal of its own.
    """

    _journal: "Journal | None" = None

    def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> "ObservedCursor[Row]":
        """Execute as psycopg does, and add a named statement to the journal."""
        self._journal = journal = getattr(self.connection, "journal", None)
        statement = named(query) if journal is not None and isinstance(query, bytes) else None
        if journal is not None and statement is not None:
            journal.sent(self, statement, params if isinstance(params, Mapping) else {})
        super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[misc, arg-type]  # its overloads
        if journal is not None and statement is not None:
            journal.settle()
        return self

    def fetchone(self) -> Row | None:
        """Fetch a row. In a pipeline the result arrives at this call, so the time is taken here."""
        row = super().fetchone()
        self._arrived()
        return row

    def fetchall(self) -> list[Row]:
        """Fetch all rows. In a pipeline the result arrives at this call, so the time is taken here."""
        rows = super().fetchall()
        self._arrived()
        return rows

    def _arrived(self) -> None:
        is_current = getattr(self.connection, "journal", None) is self._journal
        if is_current and self._journal is not None:
            self._journal.settle()
