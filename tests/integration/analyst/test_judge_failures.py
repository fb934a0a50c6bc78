"""Failed calls of the judge, and answers that it is never asked about."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_worker.providers import CallFailed
from tests.integration.analyst.judge_calls import ROWS, Asked, Make, drain, expire, failing, fails
from tests.jobs import one, query

Conn = psycopg.Connection[Any]
End = Callable[..., str]


def test_a_judge_that_does_not_answer_is_asked_three_times(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    conn.execute(b"DELETE FROM answers WHERE region = 'EU'")
    asked = Asked()
    asked.reply = fails
    judge = judges(asked)
    for _ in range(3):
        with pytest.raises(CallFailed):
            judge.judge_one()
        expire(conn)
    assert drain(judge) == 0
    assert [(r["requests"], r["error"], r["open_at"]) for r in query(conn, ROWS)] == [(3, "read_timeout", None)]


@pytest.mark.parametrize(
    ("fail", "requests", "waits"),
    [
        (failing("provider_unavailable", calls=0), 0, 120),
        (failing("connect_failed", calls=0), 0, 120),
        (failing("http_429"), 5, 1920),
        (failing("http_503"), 5, 1920),
        (failing("http_401"), 5, 1920),
    ],
)
def test_an_outage_ends_no_judgement(
    fail: Callable[[], str], requests: int, waits: int, judges: Make, ended: End, conn: Conn
) -> None:
    ended()
    conn.execute(b"DELETE FROM answers WHERE region = 'EU'")
    asked = Asked()
    asked.reply = fail
    judge = judges(asked)
    for _ in range(5):
        expire(conn)
        with pytest.raises(CallFailed):
            judge.judge_one()
    told = "SELECT requests, tries, error, extract(epoch FROM open_at - asked_at) AS waits FROM judgements"
    (row,) = query(conn, told)
    assert (row["requests"], row["tries"], row["error"]) == (requests, 0, None), "what was not sent is no request"
    assert waits <= row["waits"] < waits + 60
    asked.reply = "answer"
    assert drain(judge) == 0, "it waits"
    expire(conn)
    assert drain(judge) == 1


def test_a_request_that_is_not_taken_is_tried_three_times(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    conn.execute(b"DELETE FROM answers WHERE region = 'EU'")
    asked = Asked()
    asked.reply = failing("http_413")
    for _ in range(3):
        with pytest.raises(CallFailed):
            judges(asked).judge_one()
        expire(conn)
    assert drain(judges(asked)) == 0
    assert {r["error"] for r in query(conn, ROWS)} == {"http_413"}


@pytest.mark.parametrize(
    "output",
    [
        {"filter": "output"},
        {"refusal_source": "provider", "refused": True},
        {"refusal_source": "filter", "refused": True},
        {"finish_reason": "CONTENT_FILTER"},
        {"response": " \n"},
        {"response": " <think>Should I?</think>\n"},
        {"response": "<think>Should I?"},
    ],
)
def test_what_the_protocol_says_and_what_says_nothing_costs_nothing(
    output: dict[str, Any], judges: Make, ended: End, conn: Conn
) -> None:
    ended()
    conn.execute(b"UPDATE answers SET output = output || %s::jsonb WHERE region = 'EU'", [json.dumps(output)])
    asked = Asked()
    assert drain(judges(asked)) == 1
    assert one(conn, "SELECT a.region FROM answers a JOIN judgements g ON g.answer_id = a.id") == "US"


def test_a_refusal_that_the_provider_marks_is_no_verdict(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    asked = Asked()
    asked.marked = True
    assert drain(judges(asked)) == 2
    assert {r["category"] for r in query(conn, ROWS)} == {None}


def test_a_third_worker_that_does_not_come_back_ends_the_call(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    drain(judges(Asked()))
    conn.execute(b"UPDATE judgements SET tries = 3, reply = NULL, category = NULL, open_at = now()")
    assert drain(judges(Asked())) == 0
    assert {r["error"] for r in query(conn, ROWS)} == {"abandoned"}
