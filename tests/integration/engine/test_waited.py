"""How long a call waited before its successful try: for a place in the worker, and for a breaker."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from runner_core.db import Database
from tests.engine import Engine
from tests.jobs import catalogue, opened, query, settings_for, submission, submit, until
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
    db: Database,
    conn: Conn,
    server: ProviderServer,
    folder: Path,
    calls: int,
    width: int,
    breaker_seconds: float = 30,
    meanwhile: Callable[[Engine], None] = lambda engine: None,
) -> list[tuple[int, int]]:
    """Ask one question of so many jobs at once; the milliseconds that each waited and that its answer took."""
    where = {"kind": "openai", "base_url": f"{server.url}/US/v1", "max_concurrency": width}
    engine = Engine(db, catalogue(folder, {"US": where}), breaker_seconds=breaker_seconds)
    try:
        jobs = [submit(db, submission(regions=("US",), timeout_seconds=60.0)).job_id for _ in range(calls)]
        engine.take(*((job_id, "US") for job_id in jobs))
        meanwhile(engine)
        assert {outcome for _, _, outcome in engine.wait(calls)} == {"finished"}
    finally:
        engine.runner.close()
        engine.providers.close()
    return [(row["waited_ms"], row["answered_ms"]) for row in query(conn, TIMES)]


def test_the_wait_for_a_place_is_told(db: Database, conn: Conn, server: ProviderServer, tmp_path: Path) -> None:
    """The first call is held until the two others have waited for a while."""
    server.add_rule(fault="none", delay=60, times=1)
    server.add_rule(fault="none", delay=DELAY)
    moments: list[float] = []

    def meanwhile(engine: Engine) -> None:
        def look_again() -> None:
            before = engine.runner.provider_states.newest
            until(lambda: engine.runner.provider_states.newest is not before)

        until(lambda: sum(state.waiting for state in engine.runner.provider_states.newest) == 2)
        look_again()  # the event loop has begun every call that was claimed when it looked before
        moments.append(time.monotonic())
        look_again()
        moments.append(time.monotonic())
        server.release()

    found = times(db, conn, server, tmp_path, calls=3, width=1, meanwhile=meanwhile)
    waiting, released = moments
    ended = (waiting, released, server.calls[1].monotonic + DELAY)  # the earliest moment at which each got its place
    for (waited, answered), end in zip(found, ended, strict=True):
        assert waited >= int((end - waiting) * 1000) - 1, found  # two parts, each rounded down
        assert answered >= DELAY * 1000, found


def test_the_wait_for_a_breaker_is_told(db: Database, conn: Conn, server: ProviderServer, tmp_path: Path) -> None:
    """One call has the only place and opens the breaker; the others are held back."""
    server.add_rule(fault="status", status=503, times=5)
    found = times(db, conn, server, tmp_path, calls=6, width=1, breaker_seconds=1.0)
    assert len(found) == 6
    assert min(waited for waited, _ in found) >= 1000, found
