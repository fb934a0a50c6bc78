"""Fixtures of the tests that speak to the API."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner_core import connections
from tests.integration.api_client import Api, serving
from tests.integration.server import Server


@pytest.fixture
def make_api(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Builds an API on this test's database with the given environment added."""
    with ExitStack() as stack:
        yield lambda **env: stack.enter_context(serving(database_url, tmp_path, **env))


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """The API as it is configured in production: keys are trusted by list, jobs must be fresh."""
    return make_api()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts the API as a process of its own, with an environment; it ends with the test."""
    started: list[Server] = []

    def begin(env: dict[str, str]) -> Server:
        started.append(Server(env, tmp_path))
        return started[-1]

    yield begin
    for server in started:
        server.kill()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request waits for a new connection for as long as a busy machine needs to make it."""
    monkeypatch.setattr(connections, "FRESH_SECONDS", 60.0)
