"""The world of the state machine: a database, a queue that forgets, leases that were taken, and looks at them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from hypothesis.stateful import RuleBasedStateMachine, invariant
from psycopg.rows import DictRow
from redis.exceptions import ConnectionError as RedisConnectionError

from outbox_publisher.sweep import check_page
from runner_cli.invariants import INVARIANTS
from runner_core.db import Database
from runner_core.jobspec import Submission
from runner_core.sql_files import sql_files
from runner_core.store import region_runs
from runner_core.store.answers import Finished
from runner_core.store.executions import Ended
from runner_queue.push import OutboxRow
from runner_worker.engine.record import write_rows

REGIONS = ("US", "EU", "ASIA")
FAILURE = json.dumps({"code": "http_403", "message": "told to fail"})
VERIFY = {name: sql_files().joinpath(f"verify/{name}.sql").read_bytes() for name in INVARIANTS}


class Queue:
    """Redis as a list: what was pushed and not taken. It may crash its publisher after a push."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []  # dispatch id, job id, region
        self.crashes = False

    def push(self, rows: list[OutboxRow]) -> dict[int, Exception]:
        for row in rows:
            region = next(name for name in REGIONS if row.topic == f"beacon-{name.lower()}")
            self.messages.append((row.dispatch_id, row.payload["id"], region))
        if self.crashes:
            raise RedisConnectionError("the reply was lost")
        return {}

    def holds(self, topic: str, dispatch_id: str) -> bool:
        return any(dispatch_id == message[0] for message in self.messages)


@dataclass
class Lease:
    """What a worker knows of a region that it has claimed; it may be wrong by now."""

    job_id: str
    region: str
    token: str
    attempt: int
    models: list[str]
    questions: list[str]
    begun: bool = False

    @property
    def held(self) -> region_runs.Held:
        return self.job_id, self.region, self.token


class World(RuleBasedStateMachine):
    """What must hold after every step, what the steps see, and what some do by hand."""

    db: Database
    conn: psycopg.Connection[DictRow]

    def __init__(self) -> None:
        super().__init__()
        for table in ("nonces", "jobs"):
            self.conn.execute(f"DELETE FROM {table}".encode())  # noqa: S608
        self.queue = Queue()
        self.jobs: list[Submission] = []
        self.leases: list[Lease] = []
        self.actions = 0

    # -- what must hold --

    @invariant()
    def every_invariant_holds(self) -> None:
        for name, sql in VERIFY.items():
            assert (name, self.conn.execute(sql, self.params()).fetchall()) == (name, [])

    @invariant()
    def a_job_that_has_ended_has_every_row(self) -> None:
        sql = "SELECT id FROM jobs WHERE status IN ('completed', 'failed', 'cancelled')"
        for job in self.jobs:
            if {"id": job.job_id} in self.rows(sql):
                found = self.rows("SELECT region, model_id FROM executions WHERE job_id = %s", job.job_id)
                assert len(found) == sum(map(len, job.plan.values()))

    # -- a look, and a hand --

    def rows(self, sql: str, *values: object) -> list[DictRow]:
        return self.conn.execute(sql.encode(), values or None).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])  # noqa: S608

    def status(self, job_id: str) -> str:
        return str(self.rows("SELECT status FROM jobs WHERE id = %s", job_id)[0]["status"])

    def owns(self, lease: Lease) -> bool:
        return bool(self.rows("SELECT 1 FROM region_runs WHERE lease_token = %s", lease.token))

    def answer(self, lease: Lease, model: str, question: str) -> list[DictRow]:
        sql = "SELECT * FROM answers WHERE (job_id, region, model_id, question_id) = (%s, %s, %s, %s)"
        return self.rows(sql, lease.job_id, lease.region, model, question)

    def action(self) -> str:
        self.actions += 1
        return f"action {self.actions}"

    def params(self) -> dict[str, Any]:
        return {
            "lease_seconds": self.db.settings.jobs.lease_seconds,
            "max_attempts": self.db.settings.jobs.region_max_attempts,
            "retention_days": None,
            "queued": [message[0] for message in self.queue.messages],
        }

    def check_messages(self) -> None:
        after: str | None = ""
        as_of = self.rows("SELECT clock_timestamp() AS now")[0]["now"]
        while after is not None:
            page = check_page(self.db, after, as_of, self.queue.holds)
            assert page is not None
            after = page[0]

    def finish(self, lease: Lease, model: str, question: str, good: bool) -> None:
        output, error = ('{"response": "yes"}', None) if good else (None, FAILURE)
        status = "ok" if good else "failed"
        where = (lease.job_id, lease.region, model, question, 1, lease.token, lease.attempt)
        finished = Finished(*where, status, "p", 1, datetime.now(UTC), 5, output, error, "[]")
        write_rows(self.db, [lease.held], [], [finished], [], [], [])

    def unit(self, lease: Lease, model: str, good: bool) -> Ended:
        now = datetime.now(UTC)
        output, error = ('{"response": "yes"}', None) if good else (None, FAILURE)
        status = "completed" if good else "failed"
        where = (lease.job_id, lease.region, model, lease.token)
        return Ended(*where, status, "p", now, now, 5, 0, lease.attempt - 1, error, output, None, None)
