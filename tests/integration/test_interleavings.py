"""The interleavings' own scheduler, with small verbs on a real table: what it must find, and how often it must look."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.interleavings.explore import Schedule, schedules
from bench.interleavings.gate import Wire
from bench.interleavings.report import FIRST, LAST, write
from bench.interleavings.runner import explore
from bench.interleavings.session import Session
from bench.interleavings.specs import SPECS
from bench.interleavings.steps import Run
from tests.cells import with_option

Conn = psycopg.Connection[Any]
OPTION = ("deadlock_timeout", "20ms")


@pytest.fixture(autouse=True)
def account(conn: Conn) -> None:
    conn.execute("CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL)")


@contextmanager
def connected(wire: Wire, url: str, count: int) -> Iterator[list[tuple[Session, Conn]]]:
    """Sessions with one open connection each, through their gates."""
    with ExitStack() as stop:
        made = []
        for number in range(count):
            session = Session(wire, url, f"session {number}")
            stop.callback(session.close)
            own = with_option(session.url, *OPTION)
            session.begin(lambda url=own: psycopg.connect(url, autocommit=True))
            while not session.ended:
                wire.pump(0.05)
            made.append((session, stop.enter_context(closing(session.result))))
        yield made


def explored(
    url: str, conn: Conn, verbs: Sequence[Callable[[Conn], object]], *, reduced: bool = False
) -> Iterator[tuple[Schedule, int]]:
    """Every schedule of the verbs, each from two accounts of 0, with the balance of the first account at its end."""
    wire = Wire()
    with connected(wire, url, len(verbs)) as made:

        def begin() -> Run:
            conn.execute("DELETE FROM accounts")
            conn.execute("INSERT INTO accounts VALUES (1, 0), (2, 0)")
            calls = [lambda verb=verb, own=own: verb(own) for verb, (_, own) in zip(verbs, made, strict=True)]
            return Run(wire, conn, [session for session, _ in made], calls)

        for schedule in schedules(begin, reduced=reduced):
            row = conn.execute("SELECT balance FROM accounts WHERE id = 1").fetchone()
            assert row is not None
            yield schedule, row[0]


def transaction(*statements: str, pipeline: bool = False) -> Callable[[Conn], None]:
    """A verb of these statements in one transaction."""

    def verb(own: Conn) -> None:
        with ExitStack() as inside:
            if pipeline:
                inside.enter_context(own.pipeline())
            inside.enter_context(own.transaction())
            for statement in statements:
                own.execute(statement.encode())

    return verb


def deposit_by_reading_first(own: Conn) -> None:
    """Read, add, write: a lost update."""
    with own.transaction():
        row = own.execute("SELECT balance FROM accounts WHERE id = 1").fetchone()
        assert row is not None
        own.execute("UPDATE accounts SET balance = %s WHERE id = 1", [row[0] + 1])


def deposit_under_a_lock(own: Conn) -> None:
    """Lock, read, add, write."""
    with own.transaction():
        row = own.execute("SELECT balance FROM accounts WHERE id = 1 FOR UPDATE").fetchone()
        assert row is not None
        own.execute("UPDATE accounts SET balance = %s WHERE id = 1", [row[0] + 1])


@pytest.mark.parametrize("pipeline", [False, True], ids=["one by one", "pipeline"])
@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 1), (2, 3)])
def test_independent_sessions_have_as_many_schedules_as_the_binomial_says(
    database_url: str, conn: Conn, first: int, second: int, *, pipeline: bool
) -> None:
    read = "SELECT 1"
    verbs = [transaction(*[read] * count, pipeline=pipeline) for count in (first, second)]
    found = [schedule for schedule, _ in explored(database_url, conn, verbs)]
    orders = {tuple(step.session for step in schedule.order) for schedule in found}
    steps = (first + 1, second + 1)  # with the COMMIT
    assert len(found) == len(orders) == math.comb(sum(steps), steps[0])


def test_a_lost_update_is_found(database_url: str, conn: Conn) -> None:
    found = list(explored(database_url, conn, [deposit_by_reading_first] * 2))
    assert {balance for _, balance in found} == {1, 2}
    # Two transactions one after the other, either way round; in every other order one update is lost.
    assert sum(balance == 2 for _, balance in found) == 2


def test_a_lock_keeps_updates(database_url: str, conn: Conn) -> None:
    found = list(explored(database_url, conn, [deposit_under_a_lock] * 2))
    assert {balance for _, balance in found} == {2}
    assert any(step.waits_for for schedule, _ in found for step in schedule.order)


def test_a_deadlock_is_found(database_url: str, conn: Conn) -> None:
    add = "UPDATE accounts SET balance = balance + 1 WHERE id = "
    verbs = [transaction(f"{add}1", f"{add}2"), transaction(f"{add}2", f"{add}1")]
    found = [schedule for schedule, _ in explored(database_url, conn, verbs)]
    assert 0 < sum(schedule.is_deadlocked for schedule in found) < len(found)
    ordered = [transaction(f"{add}1", f"{add}2")] * 2
    assert not any(schedule.is_deadlocked for schedule, _ in explored(database_url, conn, ordered))


def test_equal_orders_are_run_once(database_url: str, conn: Conn) -> None:
    verbs = [deposit_under_a_lock] * 3
    every = list(explored(database_url, conn, verbs))
    once = list(explored(database_url, conn, verbs, reduced=True))
    assert {balance for _, balance in every} == {balance for _, balance in once} == {3}
    assert len(once) < len(every)


@pytest.mark.parametrize("name", ["heartbeat and sweep", "republish and publish"])
def test_what_is_left_out_leads_to_no_other_end(name: str, database_url: str, redis_url: str) -> None:
    spec = next(spec for spec in SPECS if spec.name == name)
    once = explore(spec, database_url, redis_url)
    every = explore(spec, database_url, redis_url, reduced=False)
    assert once.ends == every.ends
    assert len(once.ends) > 1
    assert once.schedules < every.schedules
    assert not once.broken + every.broken


def test_the_page_keeps_what_is_not_the_programs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write(page, "| first |")
    page.write_text(f"before\n{page.read_text()}after\n")
    write(page, "| second |")
    text = page.read_text()
    assert text.startswith("before\n# Crash points")
    assert text.endswith(f"{FIRST}\n| second |\n{LAST}\nafter\n")
    other = tmp_path / "other.md"
    other.write_text("# Another's page\n")
    write(other, "| third |")
    assert other.read_text().startswith("# Another's page\n\n## Interleavings\n")
