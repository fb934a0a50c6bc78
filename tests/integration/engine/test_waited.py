"""How long a call waited before its successful try: for a place in the worker, and for a breaker."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runner_core.db import Database
from tests.engine import Engine
from tests.jobs import catalogue, opened, query, settings_for, submission, submit
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[object]
DELAY = 0.2  # seconds until the provider answers
TIMES = "SELECT waited_ms, answered_ms FROM answers WHERE status = 'ok' ORDER BY completed_at"


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, concurrency=16, provider_max_tries=8), "worker") as database:
        yield database


def times(
    db: Database, conn: Conn, server: ProviderServer, folder: Path, calls: int, width: int, breaker_seconds: float = 30
) -> list[tuple[int, int]]:
    """Ask one question of so many jobs at once; the milliseconds that each waited and that its answer took."""
    where = {"kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": width}
    engine = Engine(db, catalogue(folder, {"US": where}), breaker_seconds=breaker_seconds)
    try:
        jobs = [submit(db, submission(regions=("US",), timeout_seconds=60.0)).job_id for _ in range(calls)]
        assert set(engine.run(*((job_id, "US") for job_id in jobs))) == {"finished"}
    finally:
        engine.runner.close()
        engine.providers.close()
    return [(row["waited_ms"], row["answered_ms"]) for row in query(conn, TIMES)]


def test_the_wait_for_a_place_is_told(db: Database, conn: Conn, server: ProviderServer, tmp_path: Path) -> None:
    server.add_rule(fault="none", delay=DELAY)
    found = times(db, conn, server, tmp_path, calls=3, width=1)
    for place, (waited, answered) in enumerate(found):
        assert waited >= place * DELAY * 1000 - 100, found  # the calls do not ask at the same moment
        assert answered >= DELAY * 1000, found


def test_the_wait_for_a_breaker_is_told(db: Database, conn: Conn, server: ProviderServer, tmp_path: Path) -> None:
    """One call has the only place and opens the breaker; the others are held back."""
    server.add_rule(fault="status", status=503, times=5)
    found = times(db, conn, server, tmp_path, calls=6, width=1, breaker_seconds=1.0)
    assert len(found) == 6
    assert min(waited for waited, _ in found) >= 1000, found
