"""The work of every peer for one job: a commit for the claim, a provider that does nothing, a commit for the result.

It runs in the peers' environment. Each commit is one statement in autocommit, prepared once a connection, so that all
other costs are the peer's own.
"""

import asyncio
import os
import time
from typing import Any

from bench import statements

URL, REDIS_URL = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
SECONDS = float(os.environ.get("BENCH_SECONDS", "0"))
CONNECTIONS = 10  # in the pool of a process; none is held during the call
CLAIM, FINISH = ("claim_bare", "finish_bare") if os.environ.get("BENCH_BARE") else ("claim", "finish")
ANSWER = "The answer of a provider that does nothing."

_pool: tuple[int, Any] = (0, None)


def execute(job_id: str) -> None:
    """Do the work with psycopg, in a thread."""
    pool = _pool_of_this_process()
    with pool.connection() as conn:
        row = conn.execute(statements.for_psycopg(CLAIM), {"job_id": job_id}).fetchone()
    if row is None:
        return
    if SECONDS:
        time.sleep(SECONDS)
    with pool.connection() as conn:
        conn.execute(statements.for_psycopg(FINISH), {"job_id": job_id, "token": row[0], "answer": ANSWER})


def _pool_of_this_process() -> Any:
    """Return a pool of this process, because a forked worker must not share its parent's connections."""
    global _pool
    from psycopg_pool import ConnectionPool

    if _pool[0] != os.getpid():
        pool = ConnectionPool(
            URL, min_size=1, max_size=CONNECTIONS, kwargs={"autocommit": True, "prepare_threshold": 0}, open=True
        )
        _pool = (os.getpid(), pool)
    return _pool[1]


async def execute_psycopg(pool: Any, job_id: str) -> None:
    """Do the work with psycopg, in an event loop."""
    async with pool.connection() as conn:
        found = await conn.execute(statements.for_psycopg(CLAIM), {"job_id": job_id})
        row = await found.fetchone()
    if row is None:
        return
    if SECONDS:
        await asyncio.sleep(SECONDS)
    async with pool.connection() as conn:
        await conn.execute(statements.for_psycopg(FINISH), {"job_id": job_id, "token": row[0], "answer": ANSWER})


async def execute_asyncpg(pool: Any, job_id: str) -> None:
    """Do the work with asyncpg."""
    token = await pool.fetchval(statements.for_asyncpg(CLAIM, "job_id"), job_id)
    if token is None:
        return
    if SECONDS:
        await asyncio.sleep(SECONDS)
    await pool.execute(statements.for_asyncpg(FINISH, "job_id", "token", "answer"), job_id, token, ANSWER)


def ids(first: str, last: str) -> list[str]:
    """Return the ids from `first` to `last`: bench-7, bench-8, ..."""
    prefix, _, low = first.rpartition("-")
    return [f"{prefix}-{n}" for n in range(int(low), int(last.rpartition("-")[2]) + 1)]
