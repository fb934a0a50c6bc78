"""The database and the Redis of the schedules: restored before each schedule, and checked after it."""

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import psycopg
import redis
from psycopg.rows import dict_row

from bench.interleavings.session import Session
from runner_cli.invariants import INVARIANTS
from runner_core.adapters import adapt_times
from runner_core.settings import Settings

TABLES = (
    "jobs",
    "job_events",
    "idempotency_keys",
    "nonces",
    "outbox",
    "region_runs",
    "executions",
    "answers",
    "tries",
    "answer_labels",
    "analyses",
)
# Without triggers, which would check every reference again.
BEGIN = "BEGIN; SET LOCAL session_replication_role = replica"
RESTORE = "; ".join(
    [
        BEGIN,
        *(f"DELETE FROM {table}" for table in TABLES),  # noqa: S608  the names above
        "INSERT INTO jobs TABLE kept.jobs",
        "INSERT INTO job_events SELECT * FROM kept.job_events WHERE seq = 1",
        "COMMIT",
        BEGIN,
        "INSERT INTO job_events SELECT * FROM kept.job_events WHERE seq > 1",
        # Labels keep their ids, which the database gives them.
        *(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept.{table}" for table in TABLES[2:]),
        "COMMIT",
    ]
)
VACUUM_EVERY = 100  # schedules: each one leaves dead rows
OPEN = b"""
SELECT a.pid, a.state, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid') AS locks
  FROM pg_stat_activity a
 WHERE a.pid = ANY (%s) AND (a.xact_start IS NOT NULL OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid))
"""


# The state at the end of a schedule without times, ids and tokens, so that equal ends are equal texts.
END = """
SELECT json_build_array(
  (SELECT json_agg(json_build_array(id, status, outcome) ORDER BY id) FROM jobs),
  (SELECT json_agg(json_build_array(region, attempt, max_attempts, lease_token IS NULL, finished_at IS NULL, last_error)
                   ORDER BY job_id, region) FROM region_runs),
  (SELECT json_agg(json_build_array(region, model_id, status, attempt) ORDER BY job_id, region, model_id)
     FROM executions),
  (SELECT json_agg(json_build_array(region, question_id, status, attempt, calls) ORDER BY job_id, region, question_id)
     FROM answers),
  (SELECT json_agg(json_build_array(topic, processed_at IS NULL, dead_at IS NULL, dispatch_id IS NULL, last_error)
                   ORDER BY id) FROM outbox),
  (SELECT json_agg(json_build_array(type, region, model_id, actor) ORDER BY job_id, seq) FROM job_events),
  (SELECT json_agg(json_build_array(job_version, label_id > 0) ORDER BY job_version, label_id) FROM analyses),
  (SELECT count(*) FROM answer_labels),
  (SELECT count(*) FROM tries), (SELECT count(*) FROM idempotency_keys))::text
"""


class World:
    """Stores a copy of a prepared state and restores it. `look` is the owner's connection, without a gate."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.look: psycopg.Connection[Any] = psycopg.connect(database_url, autocommit=True, prepare_threshold=0)
        adapt_times(self.look)
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self._messages: dict[str, list[str]] = {}
        self._restored = 0
        self._queries = {name: _query(name) for name in INVARIANTS}
        self.look.execute("CREATE SCHEMA IF NOT EXISTS kept")

    def close(self) -> None:
        """Close both connections."""
        self.look.close()
        self.redis.close()

    def empty(self) -> None:
        """Delete every job and every message."""
        self._run("TRUNCATE " + ", ".join(TABLES) + " CASCADE")
        self.redis.flushdb()

    def keep(self) -> None:
        """Store a copy of the current state."""
        for table in TABLES:
            self._run(f"DROP TABLE IF EXISTS kept.{table}; CREATE TABLE kept.{table} AS TABLE {table}")
        self._messages = self._queues()

    def restore(self) -> None:
        """Restore the stored copy.

        One transaction restores the jobs and their first events, another one the rest. The check of executions compares
        the transactions of rows, and would take rows of a single transaction for a restored dump.
        """
        self._run(RESTORE)
        self.redis.flushdb()
        for key, messages in self._messages.items():
            self.redis.rpush(key, *messages)
        self._restored += 1
        if self._restored % VACUUM_EVERY == 0:
            self._run("VACUUM " + ", ".join(TABLES))

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        with self.look.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql.encode(), values or None).fetchall()

    def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row; None without a row."""
        rows = self.rows(sql, *values)
        return next(iter(rows[0].values())) if rows else None

    def queued(self) -> list[str]:
        """Return the dispatch ids in Redis."""
        return [id_ for ids in self._queues().values() for id_ in ids]

    def broken(self, settings: Settings, sessions: Sequence[Session]) -> Iterator[str]:
        """Yield the broken invariants, and the transactions and locks that the sessions have left open."""
        for left in self.rows(OPEN.decode(), [pid for session in sessions for pid in session.pids]):
            yield f"session {left['pid']} has left a transaction or {left['locks']} locks open: {left['state']}"
        parameters = {
            "lease_seconds": settings.jobs.lease_seconds,
            "max_attempts": settings.jobs.region_max_attempts,
            "retention_days": settings.jobs.retention_days,
            "queued": self.queued(),
        }
        for name, query in self._queries.items():
            with self.look.cursor(row_factory=dict_row) as cursor:
                for row in cursor.execute(query, parameters):
                    if row["broken"]:
                        yield f"{name}: {row['job_id']}: {row['broken']}"

    def end(self) -> str:
        """Return the state at the end of a schedule; equal texts are equal states."""
        return f"{self.value(END)} {len(self.queued())}"

    def deadlocks(self) -> int:
        """Return how many deadlocks of this database the sessions have reported to the server."""
        return int(self.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))

    def _queues(self) -> dict[str, list[str]]:
        """Return each queue with its messages."""
        return {str(key): [*map(str, self.redis.lrange(key, 0, -1))] for key in self.redis.keys("rq:queue:*")}

    def _run(self, sql: str) -> None:
        """Run statements that are made of the names above."""
        self.look.execute(sql.encode(), prepare=False)


def _query(name: str) -> bytes:
    return resources.files("sql").joinpath(f"verify/{name}.sql").read_text("utf-8").encode()
