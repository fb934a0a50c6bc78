"""RQ's own workers: Worker forks for every job (its modules imported before), SimpleWorker does not."""

import sys

import psycopg
import psycopg_pool  # noqa: F401 - imported before the fork, so that no job pays for it
import rq
from redis import Redis

from bench import statements
from bench.peers import work

CLASSES = {"worker": rq.Worker, "simple": rq.SimpleWorker}


def main() -> None:
    verb, *arguments = sys.argv[1:]
    queue = rq.Queue("bench", connection=Redis.from_url(work.REDIS_URL))
    if verb == "fill":
        ids = work.ids(arguments[0], arguments[1])
        for start in range(0, len(ids), 1000):
            part = ids[start : start + 1000]
            queue.enqueue_many([rq.Queue.prepare_data("bench.peers.rq.region", (id_,)) for id_ in part])
    else:
        CLASSES[verb]([queue], connection=queue.connection).work(logging_level="INFO")


_connection: psycopg.Connection | None = None


def region(job_id: str) -> None:
    """Run a job with one connection. A SimpleWorker keeps the connection; each forked job opens its own."""
    global _connection
    if _connection is None:
        _connection = psycopg.connect(work.URL, autocommit=True, prepare_threshold=0)
    row = _connection.execute(statements.for_psycopg(work.CLAIM), {"job_id": job_id}).fetchone()
    if row is None:
        return
    if work.SECONDS:
        work.time.sleep(work.SECONDS)
    values = {"job_id": job_id, "token": row[0], "answer": work.ANSWER}
    _connection.execute(statements.for_psycopg(work.FINISH), values)


if __name__ == "__main__":
    main()
