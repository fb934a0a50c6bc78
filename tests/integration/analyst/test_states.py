"""One row for each state of a job, and none for a state that never was, whatever happens while it is computed."""

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg

from runner_analyst.analyst import Analyst, compute
from runner_api.verbs.actor import Actor
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.comparison.export import export
from runner_core.db import Database
from runner_core.refusals.text import MAX_CHARACTERS
from runner_core.store import analyses
from tests.engine import Engine
from tests.integration.analyst.conftest import METHOD, drain, stored
from tests.jobs import one, until

Conn = psycopg.Connection[Any]
End = Callable[..., str]
Make = Callable[..., Analyst]
AGAIN = """
import sys
from runner_analyst.analyst import compute
from runner_core.session import connect
from runner_core.store import analyses
import json
with connect(sys.argv[1], "test") as conn, conn.transaction():
    found = compute(analyses.snapshot(conn, sys.argv[2], 20000))
print(found.input_sha256.hex(), json.dumps(found.result, sort_keys=True))
"""


def label(db: Database, conn: Conn, category: str, source: str = "human", actor: str = "somebody") -> int:
    """Label the first answer; the label's id."""
    answer = one(conn, "SELECT min(id) FROM answers WHERE status = 'ok'")
    with db.transaction() as own:
        added = analyses.add_label(own, answer, category=category, source=source, actor=actor)
    assert added
    return int(added["id"])


def test_an_ended_job_is_analysed_once(make: Make, ended: End, conn: Conn) -> None:
    job_id = ended()
    analyst = make()
    assert [analyst.analyse_due() for _ in range(3)] == [1, 0, 0]
    (row,) = stored(conn)
    assert (row["job_id"], row["method"], row["label_id"]) == (job_id, METHOD, 0)
    assert row["job_version"] == one(conn, "SELECT version FROM jobs")
    assert len(row["input_sha256"]) == 32
    assert drain(make()) == 0, "nor by another process"


def test_analysts_at_once_store_one_row(make: Make, ended: End, conn: Conn) -> None:
    ended()
    together = threading.Barrier(3)
    taken: list[int] = []
    analysts = [make(lambda _: together.wait(20)) for _ in range(3)]
    threads = [threading.Thread(target=lambda a=a: taken.append(drain(a))) for a in analysts]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [1, 1, 1]
    assert len(stored(conn)) == 1


def test_the_result_does_not_depend_on_order_or_on_the_process(
    db: Database, ended: End, database_url: str, conn: Conn
) -> None:
    job_id = ended(("US", "EU", "ASIA"), questions=("q1", "q2", "q3"), models=("m1", "m2"), runs=2)
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    calls = list(snapshot.calls)
    random.Random(7).shuffle(calls)  # noqa: S311 - any order will do
    assert compute(replace(snapshot, calls=calls)) == compute(snapshot)
    told = {
        subprocess.run(
            [sys.executable, "-c", AGAIN, database_url, job_id],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert told.pop().split()[0] == compute(snapshot).input_sha256.hex()


def test_a_label_makes_a_new_row_and_the_old_one_stays(make: Make, ended: End, db: Database, conn: Conn) -> None:
    ended()
    analyst = make()
    drain(analyst)
    labels = []
    # The last one confirms another person's label: its state is another all the same.
    for actor, category in (("first", "hard_refusal"), ("first", "answer"), ("second", "answer")):
        labels.append(label(db, conn, category, actor=actor))
        assert drain(analyst) == 1
    assert [row["label_id"] for row in stored(conn)] == [0, *labels]
    with db.transaction() as own:
        newest = analyses.newest(own, stored(conn)[0]["job_id"], method=METHOD)
    assert newest
    assert newest["label_id"] == labels[-1]


def test_a_judges_label_does_not_come_before_a_humans(ended: End, db: Database, conn: Conn) -> None:
    job_id = ended()
    label(db, conn, "deflection")
    label(db, conn, "answer", source="judge")
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    document = export(snapshot.job, snapshot.calls, snapshot.labels, snapshot.units, None, "somebody")
    told = [call for call in document["executions"] if call["judge_category"]]
    assert [(call["category_source"], call["category"], call["judge_category"]) for call in told] == [
        ("human", "deflection", "answer")
    ]


def test_a_label_while_it_is_computed_is_not_forgotten(make: Make, ended: End, db: Database, conn: Conn) -> None:
    ended()
    labels: list[int] = []

    def labelled(_: object) -> None:
        if not labels:
            labels.append(label(db, conn, "non_answer"))

    assert drain(make(labelled)) == 2
    assert [row["label_id"] for row in stored(conn)] == [0, labels[0]]


def test_a_retry_while_it_is_computed_is_not_forgotten(make: Make, ended: End, engine: Engine, conn: Conn) -> None:
    """The first row is of the state that was; none is of the job while it runs again."""
    job_id = ended(("US", "EU", "ASIA"))
    before = one(conn, "SELECT version FROM jobs")
    retried: list[int] = []

    def retry(_: object) -> None:
        if not retried:
            retry_job(engine.db, job_id, Wanted("ASIA"), Actor("admin"), "again")
            retried.append(1)

    analyst = make(retry)
    assert drain(analyst) == 1
    assert one(conn, "SELECT status FROM jobs") == "running"
    engine.run((job_id, "ASIA"))
    assert drain(analyst) == 1
    assert [row["job_version"] for row in stored(conn)] == [before, one(conn, "SELECT version FROM jobs")]


def test_a_job_that_is_retried_before_it_is_read_is_left_alone(
    make: Make, ended: End, engine: Engine, conn: Conn
) -> None:
    job_id = ended(("US", "EU", "ASIA"))
    analyst = make()
    analyst.due.look()
    retry_job(engine.db, job_id, Wanted("ASIA"), Actor("admin"), "again")
    drain(analyst)
    assert stored(conn) == []
    engine.run((job_id, "ASIA"))
    assert drain(analyst) == 1


def test_analyses_and_labels_of_a_deleted_job_go_with_it(make: Make, ended: End, db: Database, conn: Conn) -> None:
    ended()
    label(db, conn, "answer")
    drain(make())
    conn.execute(b"DELETE FROM jobs")
    assert stored(conn) == []
    assert one(conn, "SELECT count(*) FROM answer_labels") == 0


def test_a_job_that_is_deleted_while_it_is_computed_is_no_failure(make: Make, ended: End, conn: Conn) -> None:
    ended()
    assert drain(make(lambda _: conn.execute(b"DELETE FROM jobs"))) == 1
    assert stored(conn) == []


def test_long_answers_are_cut_behind_their_thoughts(ended: End, db: Database, conn: Conn) -> None:
    job_id = ended()
    long = "word " * 10_000
    conn.execute("UPDATE answers SET output = output || jsonb_build_object('response', %s::text)", [long])
    conn.execute(
        "UPDATE answers SET output = output || jsonb_build_object('response', %s::text) WHERE region = 'EU'",
        [f"\n<think>{long}</think>{long}"],
    )
    with db.transaction() as own:
        snapshot = analyses.snapshot(own, job_id, MAX_CHARACTERS)
    assert snapshot
    texts = {call["region"]: call["output"]["response"] for call in snapshot.calls}
    assert len(texts["US"]) == MAX_CHARACTERS
    assert len(texts["EU"].partition("</think>")[2]) == MAX_CHARACTERS


def test_a_job_that_retention_removes_while_its_analysis_is_stored_is_no_failure(
    make: Make, ended: End, database_url: str, conn: Conn
) -> None:
    ended()
    with psycopg.connect(database_url) as retention:

        def commit() -> None:
            until(lambda: one(conn, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
            retention.commit()

        committing = threading.Thread(target=commit)
        analyst = make(lambda _: (retention.execute(b"DELETE FROM jobs"), committing.start()))
        assert analyst.analyse_due() == 1
        committing.join()
    assert len(analyst.due) == 0, "it was not set aside"
    assert stored(conn) == []
