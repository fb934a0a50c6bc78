"""dramatiq: a queue in Redis, threads in two worker processes."""

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers import work

broker = RedisBroker(url=work.REDIS_URL)
dramatiq.set_broker(broker)


@dramatiq.actor
def region(job_id: str) -> None:
    work.execute(job_id)


if __name__ == "__main__":
    for id_ in work.ids(*sys.argv[2:4]):
        # As the actor's send(), with the module's name that the workers use.
        broker.enqueue(region.message(id_))
