"""procrastinate: a queue in PostgreSQL, woken by NOTIFY, with an asynchronous worker."""

import asyncio
import sys

import procrastinate
import psycopg
from psycopg_pool import AsyncConnectionPool

from bench.peers import work

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=work.URL))
_pool: AsyncConnectionPool | None = None


@app.task(queue="regions", name="region")
async def region(job_id: str) -> None:
    """Run a job as an asynchronous task, which its documentation recommends."""
    global _pool
    if _pool is None:
        _pool = AsyncConnectionPool(
            work.URL,
            min_size=1,
            max_size=work.CONNECTIONS,
            kwargs={"autocommit": True, "prepare_threshold": 0},
            open=False,
        )
        await _pool.open()
    await work.execute_psycopg(_pool, job_id)


async def fill(ids: list[str]) -> None:
    with psycopg.connect(work.URL, autocommit=True) as conn:
        installed = conn.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
        async with app.open_async():
            if installed == (None,):
                await app.schema_manager.apply_schema_async()
            conn.execute("TRUNCATE procrastinate_jobs CASCADE")
            for start in range(0, len(ids), 1000):
                await region.batch_defer_async(*({"job_id": id_} for id_ in ids[start : start + 1000]))
        conn.execute("VACUUM ANALYZE procrastinate_jobs")


if __name__ == "__main__":
    asyncio.run(fill(work.ids(*sys.argv[2:4])))
