"""Runs specifications side by side: several processes, each with a database of its own on one server."""

import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.interleavings.runner import Result, explore
from bench.interleavings.specs import SPECS, Spec
from runner_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from runner_core.migrate import migrate

TRIES = 3  # for a specification that failed because of the machine: on a busy machine a time limit may pass
TELL_SECONDS = 10.0
# Data may be lost in a crash, deadlocks are detected soon, and only the verbs take locks.
SERVER = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "deadlock_timeout": "200ms",
}
Place = tuple[str, str]  # the URLs of a process's database and of its numbered database of Redis
_place: Place  # of this process of the pool


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def places(count: int) -> Iterator[list[Place]]:
    """Start a PostgreSQL and a Valkey with a database for each of `count` processes."""
    with tempfile.TemporaryDirectory(prefix="beacon-interleavings-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)  # the servers may run as another user
        postgres, valkey = EmbeddedPostgres(home, SERVER), EmbeddedValkey(home)
        try:
            url, redis_url = postgres.start(), valkey.start()
            migrate(url)
            owner = url.rpartition("/")[0]
            names = [f"place_{number}" for number in range(count)]
            with psycopg.connect(f"{owner}/postgres", autocommit=True) as conn:
                for name in names:
                    conn.execute(f"CREATE DATABASE {name} TEMPLATE {postgres.dbname}".encode())
            yield [(f"{owner}/{name}", f"{redis_url.rpartition('/')[0]}/{n}") for n, name in enumerate(names)]
        finally:
            valkey.stop()
            postgres.stop()


def run(specs: Sequence[Spec], where: Sequence[Place], *, reduced: bool) -> tuple[list[Result], list[str]]:
    """Run the specifications side by side. Return their results in order, and the names of those that failed to run."""
    context = multiprocessing.get_context("spawn")
    free: multiprocessing.Queue[Place] = context.Queue()
    for place in where:
        free.put(place)
    longest_first = sorted(specs, key=lambda spec: -len(spec.verbs))
    found: dict[str, Result] = {}
    disturbed: list[str] = []
    with ProcessPoolExecutor(len(where), context, _begin, (free,)) as pool:
        try:
            for done in as_completed([pool.submit(_explore, spec.name, reduced) for spec in longest_first]):
                name, result = done.result()
                if isinstance(result, Result):
                    found[name] = result
                    tell(f"{len(found)}/{len(specs)} {name}: {result.schedules} schedules, {result.broken} broken")
                else:
                    disturbed.append(f"{name}: {result}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
    return [found[spec.name] for spec in specs if spec.name in found], disturbed


def _begin(free: "multiprocessing.Queue[Place]") -> None:
    """In a process of the pool: take a place, and leave an interrupt to the parent process."""
    global _place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _place = free.get()


def _explore(name: str, reduced: bool) -> tuple[str, Result | str]:
    """In a process of the pool: run one specification, and again if the run fails."""
    spec = next(spec for spec in SPECS if spec.name == name)
    told = time.monotonic()

    def progress(result: Result) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            tell(f"    {name}: {result.schedules} schedules so far")

    for number in range(1, TRIES + 1):
        try:
            return name, explore(spec, *_place, reduced=reduced, tell=progress)
        except Exception as error:  # noqa: BLE001  whatever it was, nothing is proved
            reason = f"{type(error).__name__}: {error}"
            tell(f"    {name}: try {number} was disturbed: {reason}")
    return name, reason
