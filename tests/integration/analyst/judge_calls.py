"""Stands for a judge's provider, and asks about all answers with it."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg

from runner_core.judge_settings import Judge
from runner_core.upstreams import Provider, UpstreamModel
from runner_worker.judging import Judging
from runner_worker.providers import Answer, Ask, CallFailed, Reply

Conn = psycopg.Connection[Any]
Make = Callable[..., Judging]
JUDGE = Judge("judges", "wise", calls_per_day=100)
PROVIDER = Provider("judges", "EU", "openai", "", "", 1, {"wise": UpstreamModel("wise-1", max_tokens=50)})
ROWS = "SELECT * FROM judgements ORDER BY answer_id"


class Asked:
    """Stands for the provider: remembers what it is asked, and replies as told."""

    def __init__(self, reply: str = "answer") -> None:
        self.reply: str | Callable[[], str] = reply
        self.marked = False  # as a refusal, by the provider
        self.asks: list[Ask] = []

    async def ask(self, provider: Provider, ask: Ask) -> Reply:
        self.asks.append(ask)
        text = self.reply if isinstance(self.reply, str) else self.reply()
        return Reply(Answer(text, refused=self.marked), None, provider.id, 1, [], sent=dict(ask.parameters))


def failing(code: str, calls: int = 1, paid: str = "no") -> Callable[[], str]:
    """The reply of a provider whose call fails; `calls` is 0 where nothing was sent."""

    def fail() -> str:
        raise CallFailed({"code": code}, "the call failed", calls, [], paid=paid)

    return fail


fails = failing("read_timeout", paid="maybe")


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
