"""Which jobs are due, that none is forgotten, and that one which fails blocks no other."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_analyst import due
from runner_analyst.analyst import Analyst
from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.store import analyses
from runner_core.store.analyses import Snapshot
from runner_core.telemetry import ANALYSES_DUE, ANALYSIS_FAILURES
from tests.engine import Engine
from tests.integration.analyst.conftest import METHOD, drain, stored
from tests.jobs import one, submission, submit

Conn = psycopg.Connection[Any]
End = Callable[..., str]
Make = Callable[..., Analyst]


def value(metric: Any) -> float:
    (found,) = [sample.value for family in metric.collect() for sample in family.samples]
    return float(found)


def test_jobs_that_are_not_to_be_analysed(make: Make, ended: End, engine: Engine, conn: Conn) -> None:
    ended(("US",))
    ended(plan={"US": ["m1"], "EU": ["m2"]})
    ended(enable_analysis=False)
    submit(engine.db, submission())
    cancel_job(engine.db, submit(engine.db, submission()).job_id, Actor("admin"), "stop")
    assert drain(make()) == 0
    assert stored(conn) == []


def test_a_failed_job_and_one_that_asks_for_it_are_due(make: Make, ended: End, conn: Conn) -> None:
    ended(("US", "EU"), enable_analysis=True)
    job_id = ended(("ASIA", "EU"))
    conn.execute("UPDATE jobs SET status = 'failed' WHERE id = %s", [job_id])
    assert drain(make()) == 2


def test_a_backlog_larger_than_a_page_is_done_by_a_new_process(
    make: Make, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that ended in the same moment stand on both sides of a page's end."""
    monkeypatch.setattr(due, "PAGE", 2)
    for _ in range(7):
        ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '3 days'")
    assert drain(make()) == 7
    assert len(stored(conn)) == 7


def test_a_job_that_has_just_ended_comes_before_a_backlog(
    make: Make, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "PAGE", 2)
    for _ in range(5):
        ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '3 days'")
    analyst = make()
    assert analyst.analyse_due() == 1
    new = ended()
    assert analyst.analyse_due() == 1
    assert new in {row["job_id"] for row in stored(conn)}
    assert drain(analyst) == 4


def test_jobs_from_long_before_the_upgrade_are_due_only_when_they_are_labelled(
    make: Make, ended: End, db: Database, conn: Conn
) -> None:
    ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '8 days'")
    analyst = make()
    assert drain(analyst) == 0
    answer = one(conn, "SELECT min(id) FROM answers")
    with db.transaction() as own:
        analyses.add_label(own, answer, category="answer", source="human", actor="a")
    assert drain(analyst) == 1


def test_an_analyst_that_was_away_for_long_forgets_nothing(make: Make, ended: End, conn: Conn) -> None:
    ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '100 days'")
    conn.execute(b"UPDATE schema_migrations SET applied_at = now() - interval '101 days'")
    assert drain(make()) == 1


def test_a_job_that_fails_blocks_no_other_and_is_tried_again(
    make: Make, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ended()
    others = {ended() for _ in range(3)}
    broken = [True]

    def fail(snapshot: Snapshot) -> None:
        if broken[0] and snapshot.state.job_id == bad:
            raise ZeroDivisionError("a mistake of ours")

    before = value(ANALYSIS_FAILURES)
    analyst = make(fail)
    assert drain(analyst) == 4
    assert {row["job_id"] for row in stored(conn)} == others
    assert value(ANALYSIS_FAILURES) == before + 1
    assert value(ANALYSES_DUE) == 1
    assert bad in caplog.text
    broken[0] = False
    assert drain(analyst) == 0, "it waits for its time"
    monkeypatch.setattr(due, "FIRST_PAUSE_SECONDS", 0.0)
    second = make()
    assert drain(second) == 1, "another process does not know that it failed"
    assert value(ANALYSES_DUE) == 0


def test_a_pause_doubles_and_its_end_makes_the_job_due(
    make: Make, ended: End, monkeypatch: pytest.MonkeyPatch, db: Database
) -> None:
    job_id = ended()
    found = due.DueJobs(db, METHOD)
    assert [found.set_aside(job_id) for _ in range(9)] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    found.look()
    assert found.take() is None
    assert len(found) == 1
    monkeypatch.setattr(due, "FIRST_PAUSE_SECONDS", 0.0)
    other = due.DueJobs(db, METHOD)
    other.set_aside(job_id)
    assert other.take() == job_id


def test_a_job_is_kept_while_the_database_refuses(make: Make, ended: End, conn: Conn) -> None:
    ended()
    away = [True]

    def refuse(_: object) -> None:
        if away[0]:
            conn.execute(b"ALTER TABLE analyses RENAME TO away")

    analyst = make(refuse)
    with pytest.raises(psycopg.errors.UndefinedTable):
        analyst.analyse_due()
    away[0] = False
    conn.execute(b"ALTER TABLE away RENAME TO analyses")
    assert drain(analyst) == 1
    assert len(stored(conn)) == 1
