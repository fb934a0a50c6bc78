"""What the tests of the sweeper share: how to make a lease or a message old, and what is seen afterwards."""

from typing import Any

import psycopg

from outbox_publisher.relay import publish_batch
from outbox_publisher.sweeper import Sweeper
from runner_core.db import Database
from runner_queue.broker import Broker
from tests.jobs import one, query

Conn = psycopg.Connection[Any]


def settle(sweeper: Sweeper) -> None:
    """Let the first looks at a new Redis pass, while there is nothing to find."""
    for _ in range(3):
        sweeper.run_once()


def drain(db: Database, broker: Broker) -> int:
    return sum(iter(lambda: publish_batch(db, broker), 0))


def expire(conn: Conn) -> None:
    past = b"UPDATE region_runs SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE lease_token IS NOT NULL"
    conn.execute(past)


def age(conn: Conn) -> None:
    """Messages that were sent so long ago that the periodic check asks for them."""
    conn.execute(b"UPDATE outbox SET processed_at = processed_at - interval '1 hour'")


def look_now(sweeper: Sweeper) -> int:
    """The periodic check, without its period."""
    sweeper.next_check = 0.0
    return sweeper.run_once()


def waiting(conn: Conn) -> int:
    return int(one(conn, "SELECT count(*) FROM outbox WHERE processed_at IS NULL AND dead_at IS NULL"))


def events(conn: Conn, job_id: str) -> list[str]:
    return [
        event["type"] for event in query(conn, "SELECT type FROM job_events WHERE job_id = %s ORDER BY seq", job_id)
    ]
