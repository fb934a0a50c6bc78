"""The judge's calls: each answer is asked about once, the day's bound holds, and labels come job by job."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runner_core.db import Database
from runner_core.judge_settings import Judge
from runner_core.refusals.judge import PROMPT
from runner_core.upstreams import Provider, UpstreamModel
from runner_worker import judging
from runner_worker.judging import Judging
from runner_worker.providers import Answer, Ask, CallFailed, Reply
from tests.jobs import one, opened, query, settings_for, until

Conn = psycopg.Connection[Any]
End = Callable[..., str]
JUDGE = Judge("judges", "wise", calls_per_day=100)
PROVIDER = Provider("judges", "EU", "openai", "", "", 1, {"wise": UpstreamModel("wise-1", max_tokens=50)})
BOUNDED = Judge("judges", "wise", calls_per_day=2)
ROWS = "SELECT * FROM judgements ORDER BY answer_id"


class Asked:
    """Stands for the provider: remembers what it is asked, and replies as told."""

    def __init__(self, reply: str = "answer") -> None:
        self.reply: str | Callable[[], str] = reply
        self.asks: list[Ask] = []

    async def ask(self, provider: Provider, ask: Ask) -> Reply:
        self.asks.append(ask)
        text = self.reply if isinstance(self.reply, str) else self.reply()
        return Reply(Answer(text), None, provider.id, 1, [], sent=dict(ask.parameters))


def fails() -> str:
    raise CallFailed({"code": "http_500"}, "the provider is down", 1, [])


@pytest.fixture
def worker(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "worker") as made:
        yield made


@pytest.fixture
def judges(worker: Database) -> Iterator[Callable[..., Judging]]:
    made: list[Judging] = []

    def build(asks: Asked, judge: Judge = JUDGE, has_room: Callable[[], bool] = lambda: True) -> Judging:
        made.append(Judging(worker, judge, PROVIDER, asks, has_room))
        return made[-1]

    yield build
    for one_of in made:
        one_of.close()


Make = Callable[..., Judging]


def drain(judge: Judging) -> int:
    asked = 0
    while number := judge.judge_one():
        asked += number
    return asked


def together(*judges: Judging) -> None:
    threads = [threading.Thread(target=drain, args=[judge]) for judge in judges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def expire(conn: Conn) -> None:
    conn.execute(b"UPDATE judgements SET open_at = now() - interval '1 second' WHERE open_at IS NOT NULL")


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
    assert [(r["requests"], r["error"], r["open_at"]) for r in query(conn, ROWS)] == [(3, "http_500", None)]


def test_a_third_worker_that_does_not_come_back_ends_the_call(judges: Make, ended: End, conn: Conn) -> None:
    ended()
    drain(judges(Asked()))
    conn.execute(b"UPDATE judgements SET requests = 3, reply = NULL, category = NULL, open_at = now()")
    assert drain(judges(Asked())) == 0
    assert {r["error"] for r in query(conn, ROWS)} == {"abandoned"}


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
    assert one(conn, "SELECT count(*) FROM judgements") >= 1
