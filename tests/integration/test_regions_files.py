"""A process whose regions file differs from the API's is named: in the log, as a gauge, by doctor, on Operations."""

import logging
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from outbox_publisher.regions_files import RegionsFiles
from runner_cli.check_processes import check_processes
from tests.cells import CELL
from tests.integration.api_client import Api
from tests.jobs import opened, settings_for

INSERT = (
    "INSERT INTO processes (id, kind, region, host, pid, version, regions_sha, started_at, seen_at) VALUES"
    " (%s, %s, %s, 'h', 7, '1', %s, now() - interval '1 hour', now() - make_interval(secs => %s))"
)
SAYS = "worker EU (host h, pid 7) has another regions file than the API"


def add(
    conn: "psycopg.Connection[Any]", name: str, kind: str, region: str | None, sha: str | None, silent: int = 0
) -> None:
    conn.execute(INSERT, [name, kind, region, sha, silent])


@pytest.fixture
def world(conn: "psycopg.Connection[Any]") -> "psycopg.Connection[Any]":
    """An API, a publisher, a worker with the API's file, one with another, and one that has gone."""
    for process in (
        ("api", "api", None, "one"),
        ("publisher", "publisher", None, None),
        ("us", "worker", "US", "one"),
        ("eu", "worker", "EU", "two"),
        ("gone", "worker", "ASIA", "two", 60),
    ):
        add(conn, *process)
    return conn


def gauge() -> float | None:
    return REGISTRY.get_sample_value("processes_with_other_regions_file")


def test_the_publisher_tells_of_it_once_and_counts_it(
    world: "psycopg.Connection[Any]", database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with opened(settings_for(database_url), "publisher") as db:
        files = RegionsFiles(db)
        files.refresh()
        files.refresh()
        assert [r.getMessage().partition(":")[0] for r in caplog.records] == [SAYS]
        assert gauge() == 1
        world.execute("UPDATE processes SET regions_sha = 'one' WHERE id = 'eu'")
        files.refresh()
    assert gauge() == 0
    assert len(caplog.records) == 1


def test_the_publishers_login_may_look(world: "psycopg.Connection[Any]") -> None:
    for role in (CELL.login("publisher"), CELL.login("api")):
        world.execute(f"SET ROLE {role}")
        assert world.execute("SELECT regions_sha FROM processes WHERE id = 'eu'").fetchone() == ("two",)
        world.execute("RESET ROLE")


def test_doctor_names_it(world: "psycopg.Connection[Any]", database_url: str) -> None:
    (found,) = check_processes(database_url)
    assert (found.level, found.text.startswith(SAYS)) == ("warning", True)
    assert "REGIONS_FILE" in found.text
    world.execute("DELETE FROM processes WHERE kind = 'api'")
    assert list(check_processes(database_url)) == [], "without an API there is nothing to compare with"


def test_of_two_apis_the_one_that_started_last_counts(world: "psycopg.Connection[Any]", database_url: str) -> None:
    add(world, "new", "api", None, "two")
    world.execute("UPDATE processes SET started_at = now() WHERE id = 'new'")
    assert [found.text.partition(" (")[0] for found in check_processes(database_url)] == ["api", "worker US"]


def test_operations_names_it(api: Api) -> None:
    def page() -> str:
        return str(api.client.get("/operations").get_data(as_text=True))

    with psycopg.connect(api.owner_url, autocommit=True) as conn:
        add(conn, "api", "api", None, "one")
        add(conn, "us", "worker", "US", "one")
        assert "another regions file" not in page()
        add(conn, "eu", "worker", "EU", "two")
    (row,) = [line for line in page().splitlines() if "another regions file" in line]
    assert ">EU " in row
