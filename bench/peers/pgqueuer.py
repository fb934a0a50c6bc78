"""pgqueuer: a queue in PostgreSQL, woken by NOTIFY, jobs taken by FOR UPDATE SKIP LOCKED."""

import asyncio
import sys
import time

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench import statements
from bench.peers import work


async def serve(batch_size: int, most: int | None) -> None:
    """Do the same as `pgq run`, because that command fails in this release: its log level is a string.

    The queue has one connection, as in its README.
    """
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(work.URL)))
    pool = await asyncpg.create_pool(work.URL, min_size=1, max_size=work.CONNECTIONS)

    @queue.entrypoint("region")
    async def region(job: Job) -> None:
        await work.execute_asyncpg(pool, (job.payload or b"").decode())

    await queue.run(batch_size=batch_size, max_concurrent_tasks=most)


async def fill(ids: list[str]) -> None:
    connection = await asyncpg.connect(work.URL)
    queries = Queries(AsyncpgDriver(connection))
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    await connection.execute("TRUNCATE pgqueuer, pgqueuer_log")
    for start in range(0, len(ids), 1000):
        part = ids[start : start + 1000]
        await queries.enqueue(["region"] * len(part), [id_.encode() for id_ in part], [0] * len(part))
    await connection.execute("VACUUM ANALYZE pgqueuer")


async def trickle(ids: list[str], per_second: float) -> None:
    """Submit one job after the other, each with its message in the same transaction."""
    connection = await asyncpg.connect(work.URL)
    queries = Queries(AsyncpgDriver(connection))
    names = ("prefix", "first", "last", "plan", "questions", "key", "spec")
    statement = statements.for_asyncpg("submit", *names)
    due = time.monotonic()
    for id_ in ids:
        prefix, _, number = id_.rpartition("-")
        values = (f"{prefix}-", int(number), int(number), '{"US": ["m1"]}', "[]", "benchmark", "{}")
        async with connection.transaction():
            await connection.execute(statement, *values)
            await queries.enqueue("region", id_.encode())
        due += 1 / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "fill":
        asyncio.run(fill(work.ids(arguments[0], arguments[1])))
    elif verb == "trickle":
        asyncio.run(trickle(work.ids(arguments[0], arguments[1]), float(arguments[2])))
    else:
        uvloop.run(serve(int(arguments[0]), int(arguments[1]) or None))
