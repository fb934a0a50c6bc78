"""Ready means that a job would be accepted: also on a disk on which a small row finds its place and a job does not."""

import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import psycopg
import pytest
from psycopg import sql

from runner_cli.binaries import server_user
from tests.cells import at_database, database_of
from tests.integration.api_client import Api
from tests.integration.small_disk import SmallDisk, small_disk
from tests.jobs import one

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON readiness FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture
def disk(servers: object) -> Iterator[SmallDisk]:
    """Where the database of a test may be put: asked for before it, so that it goes after it."""
    with small_disk(64) as made:
        if user := server_user():
            os.chown(made.path, user.uid, user.gid)
        yield made


@pytest.fixture
def tablespace(disk: SmallDisk, migrated: str) -> Iterator[str]:
    """A tablespace on the small disk."""
    name = sql.Identifier("small")
    with psycopg.connect(at_database(migrated, "postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(name, str(disk.path)))
        yield "small"
        conn.execute(sql.SQL("DROP TABLESPACE {}").format(name))


def test_without_room_for_a_job_it_is_not_ready_and_says_so(api: Api) -> None:
    assert api.client.get("/health/ready").status_code == 200
    api.sql(REFUSE)
    answer = api.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.get_json()["error_code"] == "not_ready"
    assert "no room for a job (SQLSTATE 53100)" in answer.get_json()["detail"]
    api.sql("DROP TRIGGER refuse ON readiness")
    assert api.client.get("/health/ready").status_code == 200


def test_each_probe_asks_for_another_page_and_leaves_no_row(api: Api) -> None:
    def size() -> int:
        return int(api.sql("SELECT pg_relation_size('readiness')")[0][0])

    sizes = [size()]
    for _ in range(10):
        assert api.client.get("/health/ready").status_code == 200
        sizes.append(size())
    assert all(after > before for before, after in pairwise(sizes)), sizes
    assert api.sql("SELECT count(*) FROM readiness") == [(0,)]
    api.sql("VACUUM readiness")
    assert size() == 0


def test_on_a_full_disk_it_is_as_unready_as_it_refuses_jobs(
    tablespace: str, disk: SmallDisk, database_url: str, make_api: Callable[..., Api]
) -> None:
    """The database is on the small disk, its log is not: writes into pages that are there succeed."""
    with psycopg.connect(at_database(database_url, "postgres"), autocommit=True) as conn:
        name = sql.Identifier(database_of(database_url))
        conn.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(name, sql.Identifier(tablespace)))
    api = make_api()
    api.submit()
    assert api.client.get("/health/ready").status_code == 200

    # Connected before the disk is full: a new session may have to write the file of its caches.
    with psycopg.connect(database_url, autocommit=True) as conn:
        disk.fill()
        refused = 0
        while refused == 0:  # until the pages of the tables are full as well
            refused = api.post(api.job()).status_code // 500
        assert [api.client.get("/health/ready").status_code for _ in range(5)] == [503] * 5
        assert one(conn, "UPDATE processes SET seen_at = seen_at RETURNING 1") is None  # a small write still succeeds

    disk.free()
    assert api.client.get("/health/ready").status_code == 200
    api.submit()
