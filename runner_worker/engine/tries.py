"""Writes the row of each try before its request is sent, so that no crash and no retry can hide a paid request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future

import psycopg
from psycopg_pool import PoolTimeout

from runner_core.db import Database, retried
from runner_core.failures import failure_of
from runner_core.sqlstate import sqlstate
from runner_core.store import tries
from runner_core.store.tries import Try
from runner_worker.engine.runs import Answer, Call, key_of
from runner_worker.providers.ask import pause
from runner_worker.providers.failures import TryFailed
from runner_worker.threads import DaemonThreads

log = logging.getLogger("worker")
OUTAGE_SECONDS = 1.0
THREADS = 4  # further tries are rare, and their statements short


def try_of(call: Call, number: int) -> Try:
    """Return the key of a call's try in the current attempt."""
    return Try(*key_of(call), call.run.attempt, number)


def unreached(answer: Answer) -> Iterable[Try]:
    """Return the tries of an ended call that have a row and did not reach the provider."""
    return (try_of(answer.call, number) for number in answer.unreached)


class FurtherTries:
    """Commits the row of each try after the first. The row of a first try is written with the row of its call.

    Owned by the engine's event loop; the statements run in the threads "tries".
    """

    def __init__(self, db: Database, never_sent: Callable[[Call, int], None]) -> None:
        """`never_sent(call, number)` is called for a try whose row was committed too late for its request."""
        self._db = db
        self._never_sent = never_sent
        self._threads = DaemonThreads("tries", THREADS)

    def beginner(self, call: Call, deadline: float) -> Callable[[int], Awaitable[bool]]:
        """Return a coroutine function that commits the row of a further try of `call`. It returns False if the run's
        lease is lost.

        While the database can't be reached, the coroutine waits until `deadline` (time.monotonic() seconds) or until
        its task is cancelled, and then raises TryFailed.
        """

        async def begin(number: int) -> bool:
            while True:
                writing = self._threads.submit(_begin, self._db, call, number)
                try:
                    async with asyncio.timeout_at(deadline):
                        return await asyncio.shield(asyncio.wrap_future(writing))
                except (TimeoutError, asyncio.CancelledError) as gone:
                    self._withdraw(writing, call, number)
                    raise TryFailed("timeout" if isinstance(gone, TimeoutError) else "cancelled") from None
                except (psycopg.Error, PoolTimeout) as error:
                    if failure_of(error).concerns == "row":
                        raise
                    log.warning(
                        "the next try of a call waits for the database job_id=%s: %s", call.run.job_id, sqlstate(error)
                    )
                await pause(OUTAGE_SECONDS, deadline)

        return begin

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def _withdraw(self, writing: "Future[bool]", call: Call, number: int) -> None:
        """Call `never_sent` if the row is committed after all."""
        loop = asyncio.get_running_loop()

        def written(ended: "Future[bool]") -> None:
            if not ended.cancelled() and not ended.exception() and ended.result() and not loop.is_closed():
                loop.call_soon_threadsafe(self._never_sent, call, number)

        if not writing.cancel():
            writing.add_done_callback(written)


@retried
def _begin(db: Database, call: Call, number: int) -> bool:
    provider_id = call.unit.provider.id if call.unit.provider else None
    with db.statement() as conn:
        return tries.begin(conn, try_of(call, number), call.run.token, provider_id)
