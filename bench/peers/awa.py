"""awa: a queue in PostgreSQL with its engine in Rust, jobs taken in batches, asynchronous handlers in Python."""

import asyncio
import signal
import sys
from dataclasses import dataclass

import asyncpg
import awa
import uvloop

from bench.peers import work


@dataclass
class Region:
    """The arguments of a job."""

    job_id: str


async def serve(width: int) -> None:
    client = awa.AsyncClient(work.URL)
    pool = await asyncpg.create_pool(work.URL, min_size=1, max_size=work.CONNECTIONS)

    @client.task(Region, queue="regions")
    async def region(job: awa.Job) -> None:
        await work.execute_asyncpg(pool, job.args.job_id)

    await client.start([("regions", width)])
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await client.shutdown()


async def fill(ids: list[str]) -> None:
    connection = await asyncpg.connect(work.URL)
    await connection.execute("DROP SCHEMA IF EXISTS awa CASCADE")
    client = awa.AsyncClient(work.URL)
    await client.migrate()
    await client.install_queue_storage()
    for start in range(0, len(ids), 1000):
        await client.enqueue_many_copy([Region(id_) for id_ in ids[start : start + 1000]], queue="regions")
    await client.close()
    for table in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'awa'"):
        await connection.execute(f'VACUUM ANALYZE awa."{table[0]}"')


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "fill":
        asyncio.run(fill(work.ids(arguments[0], arguments[1])))
    else:
        uvloop.run(serve(int(arguments[0])))
