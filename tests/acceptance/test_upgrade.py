"""A rolling upgrade: the schema is this release's, and processes of the release before work beside new ones."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.drill.release import to_upgrade_from
from runner_cli.child import end, free_port, spawn
from runner_cli.local import Local
from tests.acceptance.fault_site import Site, site
from tests.acceptance.sender import verify
from tests.cells import CELL
from tests.http_requests import request
from tests.jobs import one, query, until

CHECKOUT = Path(__file__).parent.parent.parent
RELEASE_BEFORE = to_upgrade_from()[0].commit
COMMANDS = {"api": ["runner_api"], "publisher": ["outbox_publisher"], "worker": ["runner_worker", "--region", "US"]}

pytestmark = pytest.mark.skipif(CELL.schema != "public", reason="the release before has the schema public alone")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the release before, from this repository's history."""
    made = subprocess.run(["git", "archive", RELEASE_BEFORE], cwd=CHECKOUT, capture_output=True, check=False)  # noqa: S607
    if made.returncode:
        pytest.skip(f"this checkout's history does not reach back to {RELEASE_BEFORE}")
    folder = tmp_path_factory.mktemp("before")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=made.stdout, check=True)  # noqa: S607
    return folder


@contextmanager
def old_process(folder: Path, kind: str, it: Site) -> Iterator[str]:
    """Run one process of the release before, with the stack's own settings; its API's address, else an empty one."""
    port = str(free_port())
    env = it.local.env | {"METRICS_PORT": str(free_port()), "PORT": port, "PYTHONUNBUFFERED": "1"}
    env.pop("PROMETHEUS_MULTIPROC_DIR", None)
    process = spawn([sys.executable, "-m", *COMMANDS[kind]], death_signal=signal.SIGKILL, cwd=folder, env=env)
    try:
        until(lambda: query(it.conn, "SELECT FROM processes WHERE pid = %s", process.pid) or kind == "api")
        yield f"http://127.0.0.1:{port}" if kind == "api" else ""
    finally:
        end(process, (signal.SIGTERM, 10.0))


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_process_of_the_release_before_works_beside_new_ones(
    before: Path,
    stack: Callable[..., Local],
    home: Path,
    conn: "psycopg.Connection[Any]",
    kind: str,
) -> None:
    """Only the old process does its kind's work: the new API is not asked, or no new one of its kind runs."""
    counts = {"publisher": int(kind != "publisher"), "worker_us": int(kind != "worker")}
    with ExitStack() as running:
        it = running.enter_context(site(stack, home, conn, **counts))
        url = running.enter_context(old_process(before, kind, it))
        if url:
            it = replace(it, local=replace(it.local, api_url=url))
            until(lambda: request("GET", f"{url}/health/ready")[0] == 200)
        it.provider.add_rule(fault="status", status=503, times=1)
        job_id = it.submit(questions=("q1", "q2"))
        assert it.ended(job_id)["status"] == "completed"
        assert len(it.calls(job_id)) == 3
        assert one(conn, "SELECT count(*) FROM tries") == 3
        assert verify(it.local) == []
        if url:  # the old API does not know the name; the publisher fills it in, each minute or just before
            one(conn, "SELECT fill_jobs(10)")
        assert (
            one(conn, "SELECT count(*) FROM jobs WHERE name = spec -> 'benchmark' ->> 'name' AND submitter <> ''") == 1
        )
