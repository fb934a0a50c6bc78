"""A publisher's database, broker and sweeper."""

from collections.abc import Iterator

import pytest

from outbox_publisher.sweeper import Sweeper
from runner_cli.embedded import EmbeddedValkey
from runner_core.db import Database
from runner_queue.broker import Broker
from tests.jobs import opened, settings_for
from tests.sweeping import settle


@pytest.fixture
def db(database_url: str, redis_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url, redis_url), "publisher") as database:
        yield database


@pytest.fixture
def broker(db: Database) -> Iterator[Broker]:
    made = Broker(db.settings)
    yield made
    made.close()


@pytest.fixture
def sweeper(db: Database, broker: Broker) -> Sweeper:
    """One that has looked at Redis before and found nothing new."""
    made = Sweeper(db, broker)
    settle(made)
    return made


@pytest.fixture
def forgetful(database_url: str, own_valkey: EmbeddedValkey) -> Iterator[tuple[Database, Broker, EmbeddedValkey]]:
    settings = settings_for(database_url, own_valkey.url)
    with opened(settings, "publisher") as db:
        broker = Broker(settings)
        yield db, broker, own_valkey
        broker.close()
