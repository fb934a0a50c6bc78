"""Engines with a database of the test's own, and the catalogues that they ask."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner_core.db import Database
from runner_core.regions import Catalogue
from tests.engine import Engine, Start, running
from tests.jobs import ALL, catalogue, opened, settings_for
from tests.provider_server import ProviderServer


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as serving:
        yield serving


@pytest.fixture
def loopback(server: ProviderServer, tmp_path: Path) -> Catalogue:
    """Regions whose providers are the loopback server; the region is the first part of the path."""
    return catalogue(
        tmp_path, {r: {"kind": "openai", "base_url": f"{server.url}/{r}/v1", "max_concurrency": 64} for r in ALL}
    )


@pytest.fixture
def simulated(tmp_path: Path) -> Catalogue:
    return catalogue(tmp_path)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    with opened(settings_for(database_url), "api") as database:
        yield database


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts engines, each with its own connections: start(catalogue, "name", lease_seconds=1)."""
    with ExitStack() as stop:

        def make(regions: Catalogue, name: str = "worker-1", **env: object) -> Engine:
            settings = settings_for(database_url, **{"provider_max_tries": 1, **env})
            db = stop.enter_context(opened(settings, "worker", size=4))
            return stop.enter_context(running(db, regions, name))

        yield make
