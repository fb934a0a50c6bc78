"""Asks the judge about the answers of ended jobs: calls of their own, never answers of a job. Off unless configured.

A thread beside the engine, with connections and a circuit breaker of its own. It asks about one answer after another,
and only while the engine has room, so that the calls of jobs come first. The process may end at any moment: each
request is counted in the database before it is sent, each reply is stored before the next request, and an answer whose
worker has not come back is asked about again after its lease.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.failpoints import failpoint
from runner_core.judge_settings import Judge
from runner_core.refusals.judge import MAX_REPLY, TEMPERATURE, category_of, request
from runner_core.refusals.text import MAX_CHARACTERS
from runner_core.store import judgements
from runner_core.store.judgements import Held, Taken, Told
from runner_core.upstreams import Provider
from runner_worker.configuration import Configuration
from runner_worker.providers import Ask, CallFailed, Providers
from runner_worker.providers.ask import Reply

log = logging.getLogger("judge")
CALL_SECONDS = 60.0  # of one request
LEASE_SECONDS = 2 * CALL_SECONDS
MOST_REQUESTS = 3  # about one answer, as sql/queries/judgements.sql has it
DAYS = 7  # jobs that ended earlier are not judged: a judge that is configured today must not cost the whole past
# A job's end has the time of its statement, and is seen after its COMMIT.
MARGIN = timedelta(minutes=1)
LOOK_SECONDS = 5.0
MAX_PAUSE_SECONDS = 600.0
STOP_SECONDS = 1.0  # of the time that a stopping process keeps for its leases and its registration


class Asks(Protocol):
    """What makes the calls: a worker's Providers."""

    async def ask(self, provider: Provider, ask: Ask) -> Reply: ...


class Judging:
    """Asks a judge about answers. `judge_one` and `work` belong to one thread; any thread may call start and stop.

    `asks` belongs to this object alone. `has_room`: whether the engine could take a job now.
    """

    def __init__(
        self, db: Database, judge: Judge, provider: Provider, asks: Asks, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._db = db
        self._judge = judge
        self._provider = provider
        self._asks = asks
        self._has_room = has_room
        self._since: datetime | None = None  # every answer of a job that ended earlier has its row
        self._stopped = threading.Event()
        self._runner = asyncio.Runner()
        self._thread = threading.Thread(target=self.work, name="judge", daemon=True)

    def start(self) -> None:
        """Judge in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further call. The call that is under way is waited for a moment, and else repeated by a lease."""
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def work(self) -> None:
        """Judge until `stop`. While the judge or the database does not work, pause for longer each time."""
        pause = 0.0
        while not self._stopped.is_set():
            try:
                asked = self.judge_one()
                pause = 0.0 if asked else LOOK_SECONDS
            except (psycopg.Error, PoolTimeout, CallFailed) as error:
                pause = min(max(2 * pause, LOOK_SECONDS), MAX_PAUSE_SECONDS)
                log.warning("can't judge, the next look is in %.0f s: %s", pause, error)
            except Exception:
                pause = MAX_PAUSE_SECONDS
                log.exception("unexpected error in the judge, the next look is in %.0f s", pause)
            self._stopped.wait(pause)
        self.close()

    def close(self) -> None:
        """End the event loop of the calls. In the thread that judged, afterwards."""
        self._runner.close()

    def judge_one(self) -> int:
        """Ask about one answer, keep the reply, and label jobs that are done; return the number of replies, 0 or 1.

        Raises CallFailed if the judge does not answer: the answer is asked about again when its lease expires.
        """
        held = self._hold() if self._has_room() else None
        if held:
            self._ask_about(held)
        for job_id in _unlabelled(self._db, self._judge.id):
            number = _label(self._db, self._judge, job_id)
            log.info("judged job_id=%s labels=%d", job_id, number)
        return int(held is not None)

    def _hold(self) -> Held | None:
        """Hold an answer to ask about: an open one, else one of the next job."""
        while True:
            taken = _take(self._db, self._judge)
            if taken.held or taken.spent:
                return taken.held
            since = self._since or taken.now - timedelta(days=DAYS)
            ended = _begin(self._db, self._judge.id, since)
            self._since = max(since, (ended or taken.now) - MARGIN)
            if ended is None:
                return None

    def _ask_about(self, held: Held) -> None:
        failpoint("judge.held")
        try:
            reply = self._runner.run(self._asks.ask(self._provider, self._request(held)))
        except CallFailed as failed:
            if held.requests >= MOST_REQUESTS:
                _end(self._db, self._judge.id, held.answer_id, Told(None, None, failed.code, dict(failed.sent)))
            raise
        failpoint("judge.answered")
        text = reply.response[:MAX_REPLY]
        _end(self._db, self._judge.id, held.answer_id, Told(text, category_of(text), None, dict(reply.sent)))
        failpoint("judge.stored")

    def _request(self, held: Held) -> Ask:
        """Return the request: question and answer alone, without the region's system prompt."""
        upstream = self._provider.models[self._judge.model]
        values = {"temperature": TEMPERATURE, "max_tokens": upstream.max_tokens}
        return Ask(
            region=self._provider.region,
            model_id=self._judge.model,
            upstream=upstream,
            prompt=request(held.question, held.answer),
            deadline=time.monotonic() + CALL_SECONDS,
            question_id="judge",
            parameters={name: value for name, value in values.items() if name in upstream.takes},
        )


def judging_of(read: Configuration, db: Database, has_room: Callable[[], bool]) -> Judging | None:
    """Return what judges in this worker; None if no judge is configured, or its provider is in another region.

    A call of the judge has one try: a further one is a request that the database has counted.
    """
    judge = read.catalogue.judge
    provider = next((p for p in read.catalogue.providers if judge and p.id == judge.provider), None)
    if judge is None or provider is None:
        return None
    one_try = replace(read.settings, worker=replace(read.settings.worker, provider_max_tries=1))
    return Judging(db, judge, provider, Providers(replace(read.catalogue, providers=[provider]), one_try), has_room)


@retried
def _take(db: Database, judge: Judge) -> Taken:
    with db.transaction() as conn:
        return judgements.take(conn, judge.id, judge.calls_per_day, LEASE_SECONDS, MAX_CHARACTERS)


@retried
def _begin(db: Database, judge: str, since: datetime) -> datetime | None:
    with db.transaction() as conn:
        return judgements.begin(conn, judge, since)


@retried
def _end(db: Database, judge: str, answer_id: int, told: Told) -> None:
    with db.transaction() as conn:
        judgements.end(conn, judge, answer_id, told)


@retried
def _unlabelled(db: Database, judge: str) -> list[str]:
    with db.transaction() as conn:
        return judgements.unlabelled(conn, judge)


@retried
def _label(db: Database, judge: Judge, job_id: str) -> int:
    with db.transaction() as conn:
        return judgements.label(conn, judge.id, job_id, judge.actor)
