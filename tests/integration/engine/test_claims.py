"""Claims: of all that ask for a region one gets it, and every claim counts as an attempt."""

import logging
import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_core.db import Database
from runner_core.regions import Catalogue
from runner_core.store.region_runs import Room
from runner_worker.engine import Message
from runner_worker.engine.leases import claim, new_tokens
from tests.engine import Start
from tests.held_regions import expire
from tests.jobs import one, opened, query, settings_for, submission, submit, submit_many

Conn = psycopg.Connection[Any]


def test_of_two_claims_of_one_region_one_wins(db: Database, conn: Conn, database_url: str) -> None:
    ids = submit_many(db, 30, regions=("US",))
    wanted = [(job_id, "US") for job_id in ids]
    claimed: list[set[str]] = []
    together = threading.Barrier(4)

    def worker(order: list[tuple[str, str]]) -> None:
        with opened(settings_for(database_url)) as own:
            together.wait()
            claimed.append({row["job_id"] for row in claim(own, order, "w")[0]})

    threads = [threading.Thread(target=worker, args=(order,)) for order in (wanted, wanted[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job_id for ids_of_one in claimed for job_id in ids_of_one) == sorted(ids)
    assert query(conn, "SELECT DISTINCT attempt FROM region_runs") == [{"attempt": 1}]


def test_a_batch_may_name_a_region_twice_a_job_that_nobody_knows_and_a_region_that_is_not_planned(
    db: Database, simulated: Catalogue, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    engine = start(simulated)
    regions = [(job_id, "US"), ("nobody-knows", "US"), (job_id, "EU")]
    assert engine.run(*regions) == ["finished", "not_claimed", "not_claimed"]
    ended: list[str] = []
    twice = [Message(job_id, "US", "r", uuid4().hex) for _ in range(2)]
    engine.runner.submit(twice, lambda _, outcome: ended.append(outcome))
    assert ended == ["not_claimed", "not_claimed"]


def test_a_region_that_is_held_finished_or_cancelled_is_not_claimed(
    db: Database, conn: Conn, simulated: Catalogue, start: Start
) -> None:
    held, finished, cancelled = submit_many(db, 3, regions=("US",))
    claim(db, [(held, "US")], "somebody else")
    cancel_job(db, cancelled, Actor("admin"), "a")
    engine = start(simulated)
    assert engine.run((finished, "US")) == ["finished"]
    assert engine.run(*((job_id, "US") for job_id in (held, finished, cancelled))) == ["not_claimed"] * 3
    assert one(conn, "SELECT worker FROM region_runs WHERE job_id = %s", held) == "somebody else"


def test_a_claim_counts_as_an_attempt_and_starts_the_deadline_anew(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",), timeout_seconds=100.0)).job_id
    tokens = set()
    for attempt in (1, 2, 3):
        [row] = claim(db, [(job_id, "US")], f"w{attempt}")[0]
        assert row["attempt"] == attempt
        tokens.add(row["token"])
        left = one(conn, "SELECT deadline - started_at FROM region_runs")
        assert abs(left - timedelta(seconds=100)) < timedelta(seconds=1)
        expire(conn)
    assert len(tokens) == 3
    assert claim(db, [(job_id, "US")], "w4")[0] == [], "the attempts are used up"


def test_a_claim_that_fails_for_the_batch_is_made_one_by_one(
    db: Database, conn: Conn, database_url: str, simulated: Catalogue, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody sits on one job's row for longer than our limit: its neighbours are claimed all the same.

    The limit holds for these too, so it is no shorter than they need on a busy machine.
    """
    ids = submit_many(db, 3, regions=("US",))
    engine = start(simulated, db_write_timeout_ms=2000)
    with psycopg.connect(database_url) as sitter:
        sitter.execute(b"SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [ids[1]])
        outcomes = engine.run(*((job_id, "US") for job_id in ids))
    assert outcomes == ["finished", "error", "finished"]
    assert engine.runner.busy() == 0
    assert engine.run((ids[1], "US")) == ["finished"], "its message comes again"


def test_a_batch_that_is_claimed_one_by_one_progresses_with_each(
    db: Database, database_url: str, simulated: Catalogue, start: Start
) -> None:
    """The queue's loop is then no stalled one, however long the batch takes, also with a region that is refused."""
    ids = submit_many(db, 3, regions=("US",))
    engine = start(simulated, db_write_timeout_ms=2000)
    progress: list[int] = []
    with psycopg.connect(database_url) as sitter:
        sitter.execute(b"SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [ids[1]])
        messages = [Message(job_id, "US", "r-1", job_id) for job_id in ids]
        engine.runner.submit(messages, lambda message, outcome: None, lambda: progress.append(1))
    assert len(progress) == len(ids)


def test_a_claim_that_fails_after_its_commit_is_found_again(
    db: Database,
    conn: Conn,
    database_url: str,
    simulated: Catalogue,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody keeps the results of earlier attempts from being read: the leases exist, and cost nobody an attempt."""
    ids = submit_many(db, 3, regions=("US",))
    claim(db, [(ids[1], "US")], "gone")
    expire(conn)
    engine = start(simulated, db_write_timeout_ms=2000)
    with psycopg.connect(database_url) as sitter:
        sitter.execute(b"LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")

        def leave(record: logging.LogRecord) -> bool:
            if "claiming one by one" in record.getMessage():
                sitter.rollback()
            return True

        monkeypatch.setattr(logging.getLogger("worker"), "filters", [leave])  # called by the thread that claims
        outcomes = engine.run(*((job_id, "US") for job_id in ids))
    assert outcomes == ["finished"] * 3
    attempts = {row["job_id"]: row["attempt"] for row in query(conn, "SELECT job_id, attempt FROM region_runs")}
    assert attempts == {ids[0]: 1, ids[1]: 2, ids[2]: 1}


def test_a_repeated_claim_knows_the_calls_that_it_has_started(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",), questions=("q1", "q2"))).job_id
    wanted, rooms = [(job_id, "US")], [Room("US", "m1", "p-1", 1)]
    tokens = new_tokens(wanted)
    first = claim(db, wanted, "w", rooms, places=9, tokens=tokens)
    repeated = claim(db, wanted, "w", rooms, places=9, tokens=tokens)
    assert [row["token"] for row in repeated[0]] == [row["token"] for row in first[0]] == [tokens[job_id, "US"]]
    assert repeated[2] == first[2] == {(job_id, "US", "m1", "q1", 1)}
    assert one(conn, "SELECT attempt FROM region_runs") == 1


def test_a_claim_starts_the_first_calls_in_the_order_of_the_plan_as_far_as_there_is_room(
    db: Database, conn: Conn
) -> None:
    shape: dict[str, Any] = {"regions": ("US",), "models": ("m1", "m2"), "questions": ("q1", "q2"), "runs": 2}
    first, second = sorted(submit_many(db, 2, **shape))
    rooms = [Room("US", "m1", "p-1", 3), Room("US", "m2", "p-2", 9), Room("EU", "m1", "p-3", 9)]
    _, _, begun = claim(db, [(second, "US"), (first, "US")], "w", rooms, places=8)
    m1 = [("m1", "q1", 1), ("m1", "q1", 2), ("m1", "q2", 1)]
    m2 = [("m2", question, number) for question in ("q1", "q2") for number in (1, 2)]
    expected = {(first, "US", *call) for call in m1 + m2} | {(second, "US", "m2", "q1", 1)}
    assert begun == expected
    rows = query(
        conn, "SELECT job_id, region, model_id, question_id, run_no, status, attempt, provider_id FROM answers"
    )
    assert {tuple(row.values())[:5] for row in rows} == expected
    assert {(row["status"], row["attempt"]) for row in rows} == {("started", 1)}
    assert {(row["model_id"], row["provider_id"]) for row in rows} == {("m1", "p-1"), ("m2", "p-2")}
    assert one(conn, "SELECT count(*) FROM tries t JOIN answers a ON a.id = t.answer_id WHERE t.number = 1") == 8
    expire(conn)
    assert claim(db, [(first, "US")], "next", rooms, places=8)[2] == set(), "what earlier attempts stored is read first"


def test_a_claim_without_room_starts_no_call(db: Database, conn: Conn) -> None:
    job_id = submit(db, submission(regions=("US",))).job_id
    assert claim(db, [(job_id, "US")], "w", [Room("US", "m1", "p-1", 3)], places=0)[2] == set()
    assert one(conn, "SELECT count(*) FROM answers") == 0
