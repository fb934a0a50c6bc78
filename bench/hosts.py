"""Measures workers on simulated remote hosts: each region's workers run in a network namespace behind a slow link.

Needs root and iproute2. The servers stay on this host. A forwarder at the near end of each link delays every packet by
the link's delay.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.conninfo import make_conninfo

from bench import statements
from bench.system import Workers, publish_all, stop
from bench.testbed import Testbed
from runner_cli.child import spawn
from runner_cli.home import CHECKOUT
from tests.proxy import Proxy

REGIONS = ("US", "EU", "ASIA")
NEAR = dict.fromkeys(REGIONS, 0.0)
FAR = {"US": 0.005, "EU": 0.040, "ASIA": 0.100}  # seconds one way, from a database in the US
CALL_SECONDS = 0.5
JOBS = 300
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Spread:
    """The time that `runs` region runs of half a second each took, and the most calls in flight."""

    runs: int
    seconds: float
    most_in_flight: int


def possible() -> bool:
    """Return whether network namespaces can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


def run(testbed: Testbed, delays: dict[str, float] | None) -> Spread:
    """Run the same jobs with one worker a region: on this host, or (`delays`, one way) each on its own."""
    testbed.empty()
    env = {**testbed.env, "REGIONS_FILE": str(testbed.regions(CALL_SECONDS, regions=len(REGIONS)))}
    workers: Workers = []
    with contextlib.ExitStack() as hosts:
        try:
            for number, region in enumerate(REGIONS):
                command = [sys.executable, "-m", "runner_worker", "--region", region]
                there = env
                if delays is not None:
                    name, near = hosts.enter_context(_host(number))
                    command = ["ip", "netns", "exec", name, *command]
                    there = env | _through(hosts, testbed, near, delays[region])
                with testbed.log("hosts").open("wb") as log:
                    workers.append(
                        spawn(command, death_signal=signal.SIGKILL, env=there, cwd=CHECKOUT, stdout=log, stderr=log)
                    )
            _wait(testbed, "SELECT 3 - count(*) FROM processes WHERE kind = 'worker'")
            plan = "{" + ", ".join(f'"{region}": ["m1"]' for region in REGIONS) + "}"
            testbed.submit(JOBS, plan=plan, staged=True)
            began = time.monotonic()
            publish_all(testbed)
            most = _wait(testbed, statements.text("unfinished"))
            return Spread(JOBS * len(REGIONS), time.monotonic() - began, most)
        finally:
            stop(workers)


def _wait(testbed: Testbed, query: str) -> int:
    """Wait until the query returns 0; return the most calls in flight until then."""
    deadline, most = time.monotonic() + PATIENCE_SECONDS, 0
    while testbed.one(query) > 0:
        most = max(most, testbed.value(statements.for_psycopg("in_flight")))
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {PATIENCE_SECONDS:.0f} s: {query}")
        time.sleep(0.05)
    return most


@contextlib.contextmanager
def _host(number: int) -> Iterator[tuple[str, str]]:
    """Make a namespace with one link to this host; yield its name and the address of this host's end."""
    name, near, far = f"beacon-bench-{number}", f"10.203.{number}.1", f"10.203.{number}.2"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"bb{number}", "type", "veth", "peer", "name", "up0", "netns", name)
        _ip("addr", "add", f"{near}/24", "dev", f"bb{number}")
        _ip("link", "set", f"bb{number}", "up")
        for action in (
            ("addr", "add", f"{far}/24", "dev", "up0"),
            ("link", "set", "up0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", name, *action)
        yield name, near
    finally:
        # Delete the link first: the namespace is deleted later, and the link's name would be in use until then.
        with contextlib.suppress(subprocess.CalledProcessError):  # the link may not have been made
            _ip("link", "del", f"bb{number}")
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S607  ip is in PATH


def _through(hosts: contextlib.ExitStack, testbed: Testbed, near: str, delay: float) -> dict[str, str]:
    """Return the addresses of both servers for the processes in the namespace."""
    postgres = hosts.enter_context(Proxy(testbed.postgres.host, testbed.postgres.port, bind=near))
    valkey = hosts.enter_context(Proxy(testbed.valkey.host, testbed.valkey.port, bind=near))
    for proxy in (postgres, valkey):
        proxy.delay(delay)
    direct = f"{testbed.valkey.host}:{testbed.valkey.port}"
    redis_url = testbed.env["REDIS_URL"].replace(direct, f"{near}:{valkey.port}")
    # The embedded server has no TLS, and the link is inside this machine.
    return {
        "DATABASE_URL": make_conninfo(testbed.env["DATABASE_URL"], host=near, port=postgres.port, sslmode="disable"),
        "REDIS_URL": redis_url,
    }
