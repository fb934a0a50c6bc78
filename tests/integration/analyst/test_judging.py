"""The judge's calls: each answer is asked about once, the day's bound holds, and labels come job by job."""

import json
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_core.judge_settings import Judge
from runner_core.refusals.judge import PROMPT
from runner_worker import judging
from runner_worker.judging import has_place
from runner_worker.providers import CallFailed
from runner_worker.providers.state import ModelState
from tests.integration.analyst.judge_calls import JUDGE, PROVIDER, ROWS, Asked, Make, drain, expire, fails, together
from tests.jobs import one, query, until

Conn = psycopg.Connection[Any]
End = Callable[..., str]
BOUNDED = Judge("judges", "wise", calls_per_day=2)


def test_each_answer_is_asked_about_once_and_labelled(judges: Make, ended: End, conn: Conn) -> None:
    job_id = ended(questions=("q1", "q2"), runs=3)
    asked = Asked("hard_refusal")
    assert drain(judges(asked)) == 12
    assert drain(judges(asked)) == 0, "nor does another worker"
    labels = query(conn, "SELECT * FROM answer_labels")
    assert {(r["job_id"], r["source"], r["category"], r["actor"]) for r in labels} == {
        (job_id, "judge", "hard_refusal", JUDGE.actor)
    }
    assert len(labels) == len(query(conn, ROWS)) == 12
    ask = asked.asks[0]
    assert (ask.system_prompt, ask.parameters) == ("", {"temperature": 0, "max_tokens": 50})
    assert ask.prompt.startswith(PROMPT)
    assert {tuple(json.loads(a.prompt.removeprefix(PROMPT))) for a in asked.asks} == {("question", "answer")}
    assert query(conn, "SELECT count(*) FROM answers") == [{"count": 12}], "never answers of the job"


def test_a_reply_that_names_nothing_is_kept_and_is_no_label(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    assert drain(judges(Asked("Well, it depends."))) == 2
    assert {(r["reply"], r["category"]) for r in query(conn, ROWS)} == {("Well, it depends.", None)}
    assert query(conn, "SELECT FROM answer_labels") == []


def test_jobs_that_are_not_compared_cost_nothing(judges: Make, ended: End, conn: Conn) -> None:
    ended(("US",))
    ended(enable_analysis=False)
    ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '8 days'")
    assert drain(judges(Asked())) == 0


def test_the_requests_of_a_day_are_bounded_for_all_workers_together(judges: Make, ended: End, conn: Conn) -> None:
    ended(questions=("q1", "q2"), runs=5)
    asked = Asked()
    bounded = Judge("judges", "wise", calls_per_day=7)
    together(*(judges(asked, bounded) for _ in range(4)))
    assert len(asked.asks) == 7
    assert query(conn, "SELECT FROM answer_labels") == [], "the labels of a job come together"
    conn.execute(b"UPDATE judgements SET asked_at = now() - interval '25 hours' WHERE requests > 0")
    assert drain(judges(asked, bounded)) == 7, "the next day"


def test_a_request_that_was_repeated_counts_twice(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    asked = Asked()
    asked.reply = fails
    with pytest.raises(CallFailed):
        judges(asked, BOUNDED).judge_one()
    expire(conn)
    with pytest.raises(CallFailed):
        judges(asked, BOUNDED).judge_one()
    expire(conn)
    assert drain(judges(asked, BOUNDED)) == 0
    assert len(asked.asks) == sum(r["requests"] for r in query(conn, ROWS)) == 2


def test_an_answer_whose_worker_ended_meanwhile_is_asked_about_again(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    killed = Asked()
    killed.reply = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        judges(killed).judge_one()
    again = Asked()
    assert drain(judges(again)) == 1, "the other one"
    assert query(conn, "SELECT FROM answer_labels") == [], "the labels of a job come together"
    expire(conn)
    assert drain(judges(again)) == 1
    assert sorted(r["requests"] for r in query(conn, ROWS)) == [1, 2]
    assert len(query(conn, "SELECT FROM answer_labels")) == 2


def test_the_reply_that_comes_first_stays(judges: Make, ended: End, conn: Conn) -> None:
    """A worker was stopped for longer than its lease, and comes back with a reply of its own."""
    ended()
    conn.execute(b"DELETE FROM answers WHERE region = 'EU'")
    late, second = Asked(), Asked("deflection")

    def meanwhile() -> str:
        expire(conn)
        threading.Thread(target=lambda: replies.append(drain(judges(second)))).start()
        until(lambda: replies)
        return "answer"

    replies: list[int] = []
    late.reply = meanwhile
    assert drain(judges(late)) == 1
    assert replies == [1]
    assert [(r["category"], r["requests"]) for r in query(conn, ROWS)] == [("deflection", 2)]
    assert [r["category"] for r in query(conn, "SELECT category FROM answer_labels")] == ["deflection"]


def test_the_end_of_a_long_reply_is_read_and_kept(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    drain(judges(Asked(f"<think>{'answer? ' * 2000}</think>deflection")))
    assert {(len(r["reply"]), r["reply"][-10:], r["category"]) for r in query(conn, ROWS)} == {
        (4000, "deflection", "deflection")
    }


def test_a_process_that_lives_long_asks_about_the_last_seven_days_alone(judges: Make, ended: End, conn: Conn) -> None:
    first, second, third = ended(), ended(), ended()
    age = b"UPDATE jobs SET completed_at = now() - make_interval(days => %s) WHERE id = %s"
    for days, job_id in ((6, first), (5, second), (4, third)):
        conn.execute(age, [days, job_id])
    judge = judges(Asked())
    judge.judge_one()
    judge.judge_one()
    assert {r["job_id"] for r in query(conn, ROWS)} == {first}, "the oldest first"
    for days, job_id in ((9, first), (8, second), (7 - 1, third)):
        conn.execute(age, [days, job_id])
    assert drain(judge) == 2
    assert {r["job_id"] for r in query(conn, ROWS)} == {first, third}


def test_jobs_are_looked_at_page_by_page(judges: Make, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs without an answer to ask about lie before the one that has some, and one ends with a delay."""
    monkeypatch.setattr("runner_core.store.judgements.PAGE", 2)
    jobs = [ended() for _ in range(6)]
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '1 hour'")
    conn.execute(b"DELETE FROM answers WHERE job_id = ANY (%s)", [jobs[:4]])
    judge = judges(Asked())
    assert drain(judge) == 4
    assert {r["job_id"] for r in query(conn, ROWS)} == set(jobs[4:])
    late = ended()
    conn.execute(b"UPDATE jobs SET completed_at = now() - interval '30 seconds' WHERE id = %s", [late])
    assert drain(judge) == 2


def test_the_labels_of_a_job_have_one_time(judges: Make, ended: End, conn: Conn) -> None:
    ended(questions=("q1", "q2"))
    drain(judges(Asked()))
    assert query(conn, "SELECT count(*) AS labels, count(DISTINCT at) AS times FROM answer_labels") == [
        {"labels": 4, "times": 1}
    ]


def test_calls_of_jobs_come_first(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    room = [False]
    judge = judges(Asked(), has_room=lambda: room[0])
    assert drain(judge) == 0
    assert query(conn, ROWS) == []
    room[0] = True
    assert drain(judge) == 2


def test_workers_at_once_share_the_answers(judges: Make, ended: End, conn: Conn) -> None:
    ended(questions=("q1", "q2"), runs=5)
    asked = Asked()
    together(*(judges(asked) for _ in range(3)))
    assert len(asked.asks) == len(query(conn, ROWS)) == 20
    drain(judges(asked))
    assert len(query(conn, "SELECT FROM answer_labels")) == 20


def test_a_thread_judges_until_it_is_stopped(
    judges: Make, ended: End, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "LOOK_SECONDS", 0.01)
    ended()
    done = threading.Event()
    asked = Asked()
    asked.reply = lambda: done.set() or "answer"  # type: ignore[func-returns-value]
    judge = judges(asked)
    judge.start()
    assert done.wait(20)
    judge.stop()
    until(lambda: not any(thread.name == "judge" for thread in threading.enumerate()))
    assert one(conn, "SELECT count(*) FROM judgements WHERE reply = 'answer'") >= 1


def test_the_providers_places_are_for_jobs_first() -> None:
    def state(provider: str, **calls: int) -> ModelState:
        return ModelState(provider, "any", width=1, **calls)

    assert has_place(PROVIDER, [])
    assert has_place(PROVIDER, [state("another", in_flight=9)])
    assert not has_place(PROVIDER, [state("judges", in_flight=1)])
    assert not has_place(PROVIDER, [state("judges", waiting=1)])
