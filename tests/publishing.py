"""What tests of real workers share: their jobs' messages are pushed, as the publisher does."""

from collections.abc import Mapping

from runner_core.settings import Settings
from runner_queue.broker import Broker
from tests.jobs import opened
from tests.sweeping import drain


def publish(env: Mapping[str, str]) -> None:
    """Push what waits in the outbox of the database and the Redis that `env` names."""
    settings = Settings.from_env(env)
    broker = Broker(settings)
    with opened(settings) as db:
        drain(db, broker)
    broker.close()
