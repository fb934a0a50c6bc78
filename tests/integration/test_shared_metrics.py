"""The API's metrics cost metrics, never answers, whatever happens to files, folders, disks and its processes."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from runner_cli.child import free_port
from tests.integration.api_client import Api
from tests.integration.server import Server
from tests.integration.small_disk import small_disk
from tests.jobs import until

Start = Callable[..., Server]


@pytest.fixture
def start(api: Api, tmp_path: Path) -> Iterator[Start]:
    """Starts a server of one process beside its master, with an environment added."""
    started: list[Server] = []

    def begin(**env: str) -> Server:
        started.append(Server(api.env | {"WEB_CONCURRENCY": "1", "WEB_THREADS": "4", **env}, tmp_path).wait())
        return started[-1]

    yield begin
    for server in started:
        server.kill()


@contextmanager
def without_files(server_env: dict[str, str], folder: Path) -> Iterator[Server]:
    """A server that can't write a byte into a file; its log goes through a pipe."""
    server = Server.__new__(Server)
    server.port, server.log = free_port(), folder / "api.log"
    server.url = f"http://127.0.0.1:{server.port}"
    env = {"PATH": os.environ["PATH"], "PORT": str(server.port), **server_env}
    with server.log.open("wb") as log, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log) as cat:  # noqa: S607
        server.process = subprocess.Popen(
            [sys.executable, "-m", "runner_api"],
            env=env,
            stdout=cat.stdin,
            stderr=cat.stdin,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
        try:
            yield server.wait()
        finally:
            server.kill()
            cat.communicate()


def workers(server: Server) -> list[int]:
    """The processes that have started to serve, in their order."""
    return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", server.log.read_text())]


def replace_worker(server: Server) -> None:
    """Kill the one that serves; return when the next one does."""
    before = workers(server)
    os.kill(before[-1], signal.SIGKILL)
    until(lambda: len(workers(server)) > len(before))


def live(server: Server) -> int:
    return httpx2.get(f"{server.url}/health/live", timeout=20).status_code


def count(server: Server) -> float:
    """How often /health/live was served, as the server tells."""
    text = httpx2.get(f"{server.url}/metrics", timeout=20).raise_for_status().text
    found = re.search(
        r'^http_requests_total\{method="GET",path="/health/live",status="200"\} (\S+)$', text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_what_killed_processes_had_counted_stays_and_only_once(start: Start) -> None:
    """More of them than the server has places for: a place serves again when its process has ended."""
    server = start()
    before = count(server)
    for _ in range(14):
        assert live(server) == 200
        replace_worker(server)
    assert live(server) == 200
    assert count(server) == before + 15
    assert server.stop() == 0


def test_processes_that_serve_side_by_side_are_added_up_whichever_is_asked(start: Start) -> None:
    server = start(WEB_CONCURRENCY="3")
    until(lambda: len(workers(server)) == 3)
    before = count(server)
    for _ in range(30):
        assert live(server) == 200
    assert [count(server) for _ in range(6)] == [before + 30] * 6


def test_empty_and_torn_files_in_a_folder_of_metrics_are_nothing_to_it(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    files = {"counter_999998.db": b"", "counter_999999.db": b"\x30" + b"\0" * 7 + b"\xff" * 40}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    server = start(PROMETHEUS_MULTIPROC_DIR=str(folder))
    before = count(server)
    assert live(server) == 200
    assert count(server) == before + 1
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


@pytest.mark.parametrize("where", ["gone", "not a folder"])
def test_a_folder_of_metrics_that_is_not_there_is_not_missed(start: Start, tmp_path: Path, where: str) -> None:
    if where == "not a folder":
        (tmp_path / where).write_text("")
    server = start(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / where))
    replace_worker(server)
    assert live(server) == 200
    assert count(server) >= 1


def test_it_serves_and_counts_where_no_file_can_grow(api: Api, tmp_path: Path) -> None:
    """The kernel's limit on the size of files stands for every disk at once; the log is a pipe."""
    env = api.env | {"WEB_CONCURRENCY": "1", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with without_files(env, tmp_path) as server:
        before = count(server)
        assert live(server) == 200
        replace_worker(server)
        spec = api.job()
        assert httpx2.post(f"{server.url}/api/v1/jobs", json=spec, timeout=20).status_code == 202
        assert live(server) == 200
        assert count(server) == before + 2


def test_it_serves_and_counts_on_a_full_disk(start: Start) -> None:
    """Its temporary folder too, which gunicorn needs when it replaces a process."""
    with small_disk(1) as disk:
        server = start(TMPDIR=str(disk.path), PROMETHEUS_MULTIPROC_DIR=str(disk.path))
        disk.fill()
        before = count(server)
        for _ in range(25):
            assert live(server) == 200
        replace_worker(server)
        assert live(server) == 200
        assert count(server) == before + 26
        assert server.stop() == 0


def test_it_serves_and_counts_when_its_temporary_folder_was_removed(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    server = start(TMPDIR=str(folder))
    folder.rmdir()
    before = count(server)
    replace_worker(server)
    assert live(server) == 200
    assert count(server) == before + 1
