"""Asks the judge about the answers of ended jobs: calls of their own, never answers of a job. Off unless configured.

A thread beside the engine, with connections to the provider and a circuit breaker of its own. It asks about one answer
after another, and only while the engine and the provider have room, so that the calls of jobs come first. The process
may end at any moment: each request is counted in the database before it is sent, each reply is stored before the next
request, and an answer whose worker has not come back is asked about again after its lease.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
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
from runner_core.store.analyses import Place
from runner_core.store.judgements import Held, Taken, Told
from runner_core.upstreams import Provider
from runner_worker.configuration import Configuration
from runner_worker.providers import Ask, CallFailed, Providers
from runner_worker.providers.ask import Reply
from runner_worker.providers.state import ModelState

log = logging.getLogger("judge")
CALL_SECONDS = 60.0  # of one request
LEASE_SECONDS = 2 * CALL_SECONDS
MOST_SECONDS = 3600.0  # before an answer whose call has failed is asked about again
# Statuses of a request that the provider does not take, perhaps because of the text. Nothing was paid for.
UNTAKEN = frozenset({"http_400", "http_413", "http_422"})
DAYS = 7  # jobs that ended earlier are not judged: a judge that is configured today must not cost the whole past
# A job's end has the time of its statement, and is seen after its COMMIT.
MARGIN = timedelta(minutes=1)
LOOK_SECONDS = 5.0
MAX_PAUSE_SECONDS = 600.0
STOP_SECONDS = 1.0  # that a stopping process waits for the call; it needs its last seconds for its leases


class Asks(Protocol):
    """What makes the calls: a worker's Providers."""

    async def ask(self, provider: Provider, ask: Ask) -> Reply: ...


class Judging:
    """Asks a judge about answers. `judge_one` and `work` belong to one thread; any thread may call start and stop.

    `asks` belongs to this object alone. `has_room`: whether engine and provider could take a call of a job now.
    """

    def __init__(
        self, db: Database, judge: Judge, provider: Provider, asks: Asks, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._db = db
        self._judge = judge
        self._provider = provider
        self._asks = asks
        self._has_room = has_room
        self._behind: Place | None = None  # every answer of a job that ended before has its row
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

        Raises CallFailed if the judge does not answer: the answer is asked about again later.
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
            if not self._begin_next(taken.now):
                return None

    def _begin_next(self, now: datetime) -> bool:
        """Add the open rows of the next job that has any. Return False if there is none."""
        horizon, newest = Place(now - timedelta(days=DAYS)), Place(now - MARGIN)
        behind = max(self._behind or horizon, horizon)
        while not self._stopped.is_set():
            page = _jobs(self._db, self._judge.id, behind)
            for behind, is_open in page:
                self._behind = min(behind, newest)
                if is_open and _begin(self._db, self._judge.id, behind.job_id):
                    return True
            if len(page) < judgements.PAGE:
                break
        return False

    def _ask_about(self, held: Held) -> None:
        failpoint("judge.held")
        try:
            reply = self._runner.run(self._asks.ask(self._provider, self._request(held)))
        except CallFailed as failed:
            _failed(self._db, self._judge.id, held, failed)
            raise
        failpoint("judge.answered")
        category = None if reply.answer.refused else category_of(reply.response)
        told = Told(reply.response[-MAX_REPLY:], category, None, dict(reply.sent))
        _end(self._db, self._judge.id, held.answer_id, told)
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


def has_place(provider: Provider, states: Iterable[ModelState]) -> bool:
    """Return whether a provider would take a further call at once. `states`: of the calls of jobs in this process."""
    calls = sum(it.in_flight + it.waiting for it in states if it.provider == provider.id)
    return calls < provider.max_concurrency


def judging_of(
    read: Configuration, db: Database, free: Callable[[], int], states: Callable[[], Iterable[ModelState]]
) -> Judging | None:
    """Return what judges in this worker; None if no judge is configured, or its provider is in another region.

    `free` and `states` are the engine's: how many runs it could take, and the states of its providers' models. A call
    of the judge has one try: a further one is a request that the database has counted.
    """
    judge = read.catalogue.judge
    provider = next((p for p in read.catalogue.providers if judge and p.id == judge.provider), None)
    if judge is None or provider is None:
        return None
    one_try = replace(read.settings, worker=replace(read.settings.worker, provider_max_tries=1))
    asks = Providers(replace(read.catalogue, providers=[provider]), one_try)
    return Judging(db, judge, provider, asks, lambda: free() > 0 and has_place(provider, states()))


@retried
def _take(db: Database, judge: Judge) -> Taken:
    with db.transaction() as conn:
        return judgements.take(conn, judge.id, judge.calls_per_day, LEASE_SECONDS, MAX_CHARACTERS)


@retried
def _jobs(db: Database, judge: str, behind: Place) -> list[tuple[Place, bool]]:
    with db.transaction() as conn:
        return judgements.jobs(conn, judge, behind)


@retried
def _begin(db: Database, judge: str, job_id: str) -> int:
    with db.transaction() as conn:
        return judgements.begin(conn, judge, job_id)


@retried
def _end(db: Database, judge: str, answer_id: int, told: Told) -> None:
    with db.transaction() as conn:
        judgements.end(conn, judge, answer_id, told)


@retried
def _failed(db: Database, judge: str, held: Held, failed: CallFailed) -> None:
    """Let an answer wait after a failed call, the longer the more often it was asked about.

    A provider that is down, or does not know the key, is no reason to give an answer up.
    """
    sent = failed.calls > 0
    counts = sent and (failed.paid != "no" or failed.code in UNTAKEN)
    seconds = min(LEASE_SECONDS * 2 ** min(held.requests - 1, 10), MOST_SECONDS)
    with db.transaction() as conn:
        judgements.failed(conn, judge, held, failed.code, sent=sent, counts=counts, seconds=seconds)


@retried
def _unlabelled(db: Database, judge: str) -> list[str]:
    with db.transaction() as conn:
        return judgements.unlabelled(conn, judge)


@retried
def _label(db: Database, judge: Judge, job_id: str) -> int:
    with db.transaction() as conn:
        return judgements.label(conn, judge.id, job_id, judge.actor)
