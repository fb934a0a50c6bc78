"""Measures the database cost of each page and read of the API, with a million jobs and with ten thousand.

`python -m bench.reads` measures only this and prints the table; it needs no peers. Each address that answers GET is
requested once from the real application, and its statements are recorded. Then they are explained many times, in a
session like the API's own.
"""

import argparse
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

import psycopg
from flask import Flask

from bench.addresses import ABSENT, ADDRESSES, BOUNDED, WITHOUT_SQL
from bench.testbed import Testbed, running_testbed
from runner_api.app import create_app
from runner_api.http.wire import timestamp
from runner_core.db import Database
from runner_core.observer import ObservedCursor
from runner_core.queries import named
from runner_core.regions import load_catalogue
from runner_core.settings import Settings
from tests.explain import buffers, plain, prepared, read

FEW = 10_000
OPEN = 200  # waiting jobs in each database
TURNS = 3  # the databases in turn, so that other load on the machine affects both
ROUNDS = 50  # of each turn
LARGEST_RATIO = 1.5
SHORTEST_MS = 1.0  # below this a ratio of times means nothing
FEWEST_BUFFERS = 20  # below this one more level of an index may exceed the ratio
ONE = 5_000  # the finished job that is read; it is in the middle of the few

Asked = list[tuple[str, dict[str, Any]]]  # statements with their parameters


@dataclass(frozen=True)
class Cost:
    """Milliseconds and buffers of all statements of one address: the median of the rounds."""

    ms: float
    buffers: float


class Recorder(ObservedCursor[Any]):
    """Records each named statement that the application sends."""

    asked: ClassVar[Asked] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> "Recorder":
        """Record the statement, then execute it."""
        if isinstance(query, bytes) and (statement := named(query)) and statement.name != "db.settings":
            self.asked.append((statement.name, dict(params or {})))
        super().execute(query, params, **options)
        return self


def run(many: Testbed, tell: Callable[[str], None], few: int = FEW) -> dict[str, Any]:
    """Measure with `many`, which is already full, and with a second database of `few` finished jobs."""
    with many.beside("few") as small:
        small.load(few)
        databases = {"few": small, "many": many}
        for testbed in databases.values():
            testbed.submit(OPEN, staged=True)
            testbed.run("give_key")
            testbed.conn.execute("VACUUM ANALYZE")  # with the catalogues: both get the same plans
        asked = {name: statements_of(testbed) for name, testbed in databases.items()}
        costs: dict[str, dict[str, list[Cost]]] = {address: {"few": [], "many": []} for address in asked["few"]}
        for turn in range(TURNS):
            for name, testbed in databases.items():
                testbed.settle()
                with application(testbed) as (_, db), db.pool.connection() as conn:
                    plain(conn)
                    for address, statements in asked[name].items():
                        # Remove the dead rows of earlier rounds, which would cost this address time.
                        testbed.conn.execute("VACUUM processes, readiness")
                        costs[address][name].append(cost(conn, statements))
            tell(f"{len(costs)} reads with {few:,} and {many.old:,} finished jobs, turn {turn + 1} of {TURNS}")
    pages = {address: {name: vars(middle(turns)) for name, turns in both.items()} for address, both in costs.items()}
    return {"few": few, "many": many.old, "pages": pages}


def middle(turns: list[Cost]) -> Cost:
    """Return the median of the turns."""
    return Cost(median(turn.ms for turn in turns), median(turn.buffers for turn in turns))


def statements_of(testbed: Testbed) -> dict[str, Asked]:
    """Return the statements of each address that sends any."""
    with application(testbed) as (app, _):
        if missing := without_address(app):
            raise RuntimeError(f"no address to measure for {', '.join(sorted(missing))}")
        client = app.test_client()
        token = testbed.env["ADMIN_TOKENS"].partition(":")[2]
        client.post("/login", data={"token": token})
        values, asked = names(testbed), {}
        for address in (address for addresses in ADDRESSES.values() for address in addresses):
            Recorder.asked.clear()
            answer = client.get(address.format(**values), headers={"Authorization": f"Bearer {token}"})
            if answer.status_code not in (200, 303, 404 if address in ABSENT else 200):
                raise RuntimeError(f"{address} answered {answer.status_code}")
            asked[address] = list(Recorder.asked)
    return {address: statements for address, statements in asked.items() if statements}


def without_address(app: Flask) -> set[str]:
    """Return the endpoints that answer GET and have no address to measure."""
    answering = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    return answering - ADDRESSES.keys() - WITHOUT_SQL


@contextmanager
def application(testbed: Testbed) -> Iterator[tuple[Flask, Database]]:
    """Run the API's application in this process with that database."""
    env = {**testbed.env, "REGIONS_FILE": str(testbed.regions())}
    settings = Settings.from_env(env, process="api")
    db = Database(settings, "api")
    assert isinstance(db.pool.kwargs, dict)
    db.pool.kwargs = {**db.pool.kwargs, "cursor_factory": Recorder}
    try:
        yield create_app(settings, db.open(), load_catalogue(settings.jobs.regions_file, allow_sandbox=True), None), db
    finally:
        db.close()


def names(testbed: Testbed) -> dict[str, Any]:
    """Return the values for the addresses: the same finished job in both databases."""
    job, execution = f"old-{ONE}", testbed.one(f"SELECT id FROM executions WHERE job_id = 'old-{ONE}'")  # noqa: S608
    created = timestamp(testbed.one(f"SELECT created_at FROM jobs WHERE id = '{job}'"))  # noqa: S608 - ours
    ended = timestamp(testbed.one(f"SELECT created_at FROM executions WHERE id = {execution}"))  # noqa: S608 - ours
    return {
        "job": job,
        "open": f"bench-{testbed.jobs}",
        "execution": execution,
        "uuid": testbed.one(f"SELECT cross_region_execution_id FROM jobs WHERE id = '{job}'"),  # noqa: S608 - ours
        "ended": ended,
        "message": testbed.one(f"SELECT id FROM outbox WHERE job_id = '{job}'"),  # noqa: S608 - ours
        "jobs": urlsafe_b64encode(f"{created} {job}".encode()).decode().rstrip("="),
        "executions": urlsafe_b64encode(f"{ended} {execution}".encode()).decode().rstrip("="),
    }


def cost(conn: psycopg.Connection[Any], asked: Asked) -> Cost:
    """Explain the statements in many rounds, each in a transaction that is rolled back; return the medians."""
    calls = []
    for number, (name, params) in enumerate(asked):
        text, arguments = prepared(name, params)
        conn.execute(f"PREPARE asked{number} AS ".encode() + text)
        calls.append((f"asked{number}", arguments))
    took, touched = [], []
    for _ in range(ROUNDS):
        with conn.transaction(force_rollback=True):
            explained = [read(conn, name, arguments) for name, arguments in calls]
        took.append(sum(one["Execution Time"] for one in explained))
        touched.append(sum(map(buffers, explained)))
    conn.execute("DEALLOCATE ALL")
    return Cost(median(took), median(touched))


def verdict(address: str, page: dict[str, dict[str, float]]) -> str:
    """Return `too much` if the address costs too much more with many jobs, in buffers or in time."""
    for beginning, bound in BOUNDED.items():
        if address.startswith(beginning):
            return f"bounded: {bound}"
    few, many = page["few"], page["many"]
    longer = many["ms"] > SHORTEST_MS and many["ms"] > LARGEST_RATIO * few["ms"]
    larger = many["buffers"] > FEWEST_BUFFERS and many["buffers"] > LARGEST_RATIO * few["buffers"]
    return "too much" if longer or larger else ""


def lines(results: dict[str, Any]) -> list[list[str]]:
    """Return a line for each address: milliseconds and buffers with few and with many jobs, and both ratios."""
    found = []
    for address, page in results["pages"].items():
        few, many = page["few"], page["many"]
        times = [f"{few['ms']:.2f}", f"{many['ms']:.2f}", f"{many['ms'] / few['ms']:.2f}"]
        read_ = [f"{few['buffers']:.0f}", f"{many['buffers']:.0f}", f"{many['buffers'] / max(1, few['buffers']):.2f}"]
        found.append([f"`{address}`", *times, *read_, verdict(address, page)])
    return found


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every read is within its ratio, 1 if one is not."""
    parser = argparse.ArgumentParser("python -m bench.reads", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--finished", type=int, metavar="N", default=1_000_000, help="finished jobs [1000000]")
    parser.add_argument("--few", type=int, metavar="N", default=FEW, help=f"finished jobs beside them [{FEW}]")
    arguments = parser.parse_args(argv)
    began = time.monotonic()

    def tell(words: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s {words}", file=sys.stderr, flush=True)

    with running_testbed() as testbed:
        tell(f"writing {arguments.finished:,} finished jobs")
        testbed.load(arguments.finished)
        results = run(testbed, tell, arguments.few)
        tell(f"{float(testbed.one('SELECT pg_database_size(current_database()) / 1e9')):.1f} GB")
    for line in lines(results):
        print("  ".join([*(text.rjust(7) for text in line[1:7]), line[0].strip("`"), line[7]]))
    return int(any(verdict(address, page) == "too much" for address, page in results["pages"].items()))


if __name__ == "__main__":
    sys.exit(main())
