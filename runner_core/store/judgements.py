"""Calls the statements of judgements.sql: the calls to a judge, and the labels that come of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from runner_core.queries import Row, row, rows, run, single


@dataclass(frozen=True)
class Held:
    """An answer that this process may ask the judge about; `requests` with this one, from 1 to 3."""

    answer_id: int
    requests: int
    question: str
    answer: str


@dataclass(frozen=True)
class Told:
    """What came of a call: the raw reply with its category, if it names one; or the code of the error."""

    reply: str | None
    category: str | None
    error: str | None
    sent: dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """`held`: an answer to ask about, None if there is none; `spent`: whether no request of the day is left."""

    held: Held | None
    spent: bool
    now: datetime


def take(conn: Connection[Any], judge: str, calls_per_day: int, seconds: float, characters: int) -> Taken:
    """Take one open answer for so many seconds, and count its request, unless the judge had all of the day's.

    Workers take one after the other, by a lock that ends with the transaction: together they never pass the bound.
    """
    run(conn, "judgements.lock")
    asked = single(conn, "judgements.asked", judge=judge)
    run(conn, "judgements.give_up", judge=judge)
    if asked["requests"] >= calls_per_day:
        return Taken(None, spent=True, now=asked["now"])
    taken = row(conn, "judgements.take", judge=judge, seconds=seconds)
    if taken is None:
        return Taken(None, spent=False, now=asked["now"])
    answer_id = taken["answer_id"]
    text = row(conn, "judgements.text", answer_id=answer_id, characters=characters)
    if text is None:  # the answer was removed meanwhile
        end(conn, judge, answer_id, Told(None, None, "no_answer", {}))
        return Taken(None, spent=False, now=asked["now"])
    held = Held(answer_id, taken["requests"], text["question"], text["answer"])
    return Taken(held, spent=False, now=asked["now"])


def begin(conn: Connection[Any], judge: str, since: datetime) -> datetime | None:
    """Add open rows for the answers of the first job that ended after `since` and has some without; return its end."""
    found = row(conn, "judgements.job", judge=judge, since=since)
    if found is None:
        return None
    run(conn, "judgements.begin", judge=judge, job_id=found["job_id"])
    ended: datetime = found["completed_at"]
    return ended


def end(conn: Connection[Any], judge: str, answer_id: int, told: Told) -> bool:
    """Keep what came of a call. Return False if another worker was first, or the job is gone."""
    found = row(
        conn,
        "judgements.end",
        judge=judge,
        answer_id=answer_id,
        reply=told.reply,
        category=told.category,
        error=told.error,
        sent=orjson.dumps(told.sent).decode(),
    )
    return found is not None


def unlabelled(conn: Connection[Any], judge: str) -> list[str]:
    """Return the jobs with categories of the judge that are no labels yet, and without an open answer."""
    return [r["job_id"] for r in rows(conn, "judgements.unlabelled", judge=judge)]


def label(conn: Connection[Any], judge: str, job_id: str, actor: str) -> int:
    """Make labels of the judge's categories of a job; return their number."""
    if row(conn, "judgements.lock_job", job_id=job_id) is None:
        return 0
    return len(rows(conn, "judgements.label", judge=judge, job_id=job_id, actor=actor))


def beside_people(conn: Connection[Any], judge: str) -> list[Row]:
    """Return how many answers people and the judge labelled alike and otherwise: `by_person`, `by_judge`, `answers`."""
    return rows(conn, "judgements.beside_people", judge=judge)
