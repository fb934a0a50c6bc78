"""celery: a queue in Redis, acknowledged late, threads."""

import sys

from celery import Celery

from bench.peers import work

app = Celery("bench", broker=work.REDIS_URL)
# With acks_late a task survives its worker. There is no result backend, because the result is in PostgreSQL.
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="region")
def region(job_id: str) -> None:
    work.execute(job_id)


if __name__ == "__main__":
    with app.producer_or_acquire() as producer:
        for id_ in work.ids(*sys.argv[2:4]):
            region.apply_async((id_,), producer=producer)
