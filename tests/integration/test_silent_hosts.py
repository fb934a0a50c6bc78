"""Hosts of the database's address that accept connections and say nothing, and connections that a drain overtakes."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from runner_core.connections import Connections
from runner_core.hosts import each_host, joined
from runner_core.timeline import Timeline, ask_hosts, read_timeline
from tests.jobs import settings_for

WAIT_SECONDS = 20.0  # half of it is the silent host's share


@pytest.fixture
def silent(database_url: str) -> Iterator[str]:
    """The database's address with another host in front, where a connection is accepted and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        at = psycopg.conninfo.make_conninfo(database_url, host="127.0.0.1", port=str(host.getsockname()[1]))
        yield joined([at, psycopg.conninfo.make_conninfo(database_url)])


@pytest.fixture
def known(database_url: str) -> Timeline:
    """The timeline of the test's server."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        found = read_timeline(conn)
    assert found is not None
    return found


def asking() -> set[threading.Thread]:
    """The threads that still ask a host, those of earlier tests among them."""
    return {thread for thread in threading.enumerate() if thread.name == "hosts"}


def test_a_silent_host_is_not_waited_for_when_a_primary_has_answered(silent: str, known: Timeline) -> None:
    first, second = each_host(silent)
    before = asking()
    assert ask_hosts(silent, "test", WAIT_SECONDS, known) == {first: None, second: known}
    assert asking() - before, "its share of the wait is not over yet"


def test_a_silent_host_is_waited_for_while_nothing_as_new_has_answered(silent: str, known: Timeline) -> None:
    """It may be the newer primary."""
    first, second = each_host(silent)
    before = asking()
    newer = replace(known, number=known.number + 1)
    assert ask_hosts(silent, "test", 4.0, newer) == {first: None, second: known}
    assert not asking() - before


def test_a_connection_that_was_checked_before_a_newer_primary_was_seen_is_not_used(
    database_url: str, known: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection sees it after the check and before the pool has this one: the drain passes this one by."""
    settings = settings_for(database_url, db_write_timeout_ms=500).database
    connections = Connections(settings, "worker", 1)
    admit, checked, drained = connections.fence.admit, threading.Event(), threading.Event()

    def hold(conn: psycopg.Connection[Any]) -> None:
        admit(conn)
        checked.set()
        drained.wait()

    monkeypatch.setattr(connections.fence, "admit", hold)
    connections.open()
    assert checked.wait(20)
    connections.fence.learn(replace(known, number=known.number + 1))
    drained.set()
    with pytest.raises((psycopg.OperationalError, PoolTimeout)):
        connections.take()
    connections.close()
