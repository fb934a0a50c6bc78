"""Measures the worker's engine with calls of several durations and widths, of this checkout and of another one.

    python -m bench.engine --before CHECKOUT [--rounds N] [--only NAME ...]

Two versions are compared by ratios of one run. Rounds of both are interleaved, in reversed order each time. A ratio is
the median of the rounds with its 90 % interval. The other checkout needs an environment of its own (`./beacon --help`
makes it).
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import measure, statements
from bench.engine_report import Result, text
from bench.measure import Sampler
from bench.system import Workers, publish_all, stop
from bench.testbed import Testbed, running_testbed
from runner_cli.child import end, spawn
from runner_cli.home import CHECKOUT

PATIENCE_SECONDS = 180.0
SATURATED = 0.9
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Row:
    """One measurement: calls of `seconds`, `width` of them in flight in each of `processes` (None: the default).

    `before`: the processes and the width of the other version, if it can't have so many calls in one process."""

    name: str
    seconds: float
    width: int | None
    executions: int
    http: bool = True
    processes: int = 1
    before: tuple[int, int] | None = None


ROWS = [
    Row("0 ms, two processes", 0.0, None, 8_000, http=False, processes=2),
    Row("sandbox 50 ms, 64 wide", 0.05, 64, 4_000, http=False),
    Row("HTTP 50 ms, 64 wide", 0.05, 64, 4_000),
    Row("HTTP 1 s, 400 wide", 1.0, 400, 2_800),
    Row("HTTP 2 s, 2,000 wide", 2.0, 2_000, 10_000),
    Row("HTTP 4 s, 4,000 wide", 4.0, 4_000, 20_000, before=(2, 2_000)),
]


def run(testbed: Testbed, row: Row, checkout: Path, processes: int, width: int | None) -> Result:
    """Fill the queue, start the workers of `checkout`, sample until all is done, stop."""
    testbed.empty()
    testbed.submit(row.executions, staged=True)
    publish_all(testbed)
    with contextlib.ExitStack() as running:
        url = running.enter_context(provider(row.seconds)) if row.http else ""
        flags = ["--concurrency", str(width)] if width else []
        env = {**testbed.env, "PYTHONPATH": str(checkout), "REGIONS_FILE": str(_regions(testbed, row, url))}
        command = [str(checkout / ".venv/bin/python"), "-m", "runner_worker", "--region", "US", *flags]
        since = testbed.since()
        workers: Workers = []
        running.callback(stop, workers)
        for _ in range(processes):
            with testbed.log("worker").open("wb") as log:
                workers.append(
                    spawn(command, death_signal=signal.SIGKILL, env=env, cwd=checkout, stdout=log, stderr=log)
                )
        return _watch(testbed, row, workers, since, (width or 0) * processes)


def _watch(testbed: Testbed, row: Row, workers: Workers, since: int, width: int) -> Result:
    pids = [worker.pid for worker in workers]
    sampler = Sampler(testbed.env["DATABASE_URL"], testbed.server_pid, lambda: pids, since)
    weights: list[tuple[int, float]] = []  # calls in flight and MB, for each sample
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while sampler.look() < row.executions:
            calls = testbed.value(statements.for_psycopg("in_flight"))
            weights.append((calls, measure.pss_mb(pids) if row.seconds >= 1 else 0.0))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sampler.samples[-1].done} of {row.executions} after {PATIENCE_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)
    finally:
        sampler.close()
    if row.seconds < 1:
        pace = sampler.pace(row.executions)
        return Result(pace.per_second, pace.worker_ms, 0.0, 0.0)
    full = [number for number, (calls, _) in enumerate(weights) if calls >= SATURATED * width]
    if len(full) < 2:
        raise TimeoutError(f"never {width} calls in flight; at most {max(calls for calls, _ in weights)}")
    # The calls of one wave begin and end together. The rate is measured over whole waves, from the end of the first
    # wave to the end of the last, because the first wave includes the claims and the connections.
    first, last = (next(s for s in sampler.samples if s.done >= done) for done in (width, row.executions))
    done = last.done - first.done
    heaviest = sorted(weights[number] for number in full)[-4:]
    return Result(
        done / (last.at - first.at),
        (last.workers - first.workers) * 1000 / done,
        median(mb for _, mb in heaviest),
        # The rows count claimed calls; a process has at most its width in flight.
        min(width, median(calls for calls, _ in heaviest)),
    )


@contextlib.contextmanager
def provider(seconds: float) -> Iterator[str]:
    """Start a loopback provider, and yield its URL."""
    command = [sys.executable, "-m", "bench.provider", str(seconds)]
    process = spawn(command, death_signal=signal.SIGKILL, cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        end(process, (signal.SIGTERM, 2.0))


def _regions(testbed: Testbed, row: Row, url: str) -> Path:
    """Write a regions file with one provider for US: the loopback server, or a sandbox; return its path."""
    kind = (
        f'kind = "openai"\nbase_url = "{url}"'
        if url
        else f'kind = "sandbox"\noptions = {{delay_seconds = {row.seconds:g}}}'
    )
    path = testbed.home / f"regions-{row.name.replace(' ', '-')}.toml"
    path.write_text(
        'default_model = "m1"\n[regions.US]\ndisplay = "US"\nsystem_prompt = "You answer for US."\n'
        f'[[providers]]\nid = "p-us"\nregion = "US"\n{kind}\nmax_concurrency = {max(256, row.width or 0)}\n'
        'models = { m1 = "m1" }\n'
    )
    return path


def compare(testbed: Testbed, row: Row, sides: dict[str, Path], rounds: int) -> dict[str, list[Result]]:
    """Measure the sides in turn; reverse the order each round."""
    found: dict[str, list[Result]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            processes, width = (row.processes, row.width)
            if name == "before" and row.before:
                processes, width = row.before
            result = run(testbed, row, sides[name], processes, width)
            found[name].append(result)
            print(
                f"{time.strftime('%H:%M:%S')} {row.name}, {name}: {result.per_second:.0f}/s, {result.worker_ms:.2f} ms,"
                f" {result.mb:.0f} MB for {result.in_flight:.0f} calls",
                file=sys.stderr,
                flush=True,
            )
    return found


def here(testbed: Testbed, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure the rounds of each row with this checkout alone."""
    return {
        row.name: [asdict(result) for result in compare(testbed, row, {"now": CHECKOUT}, rounds)["now"]] for row in ROWS
    }


def main(argv: list[str] | None = None) -> int:
    """Return 0 if everything was measured."""
    parser = argparse.ArgumentParser("python -m bench.engine", description="Measures the worker's engine.")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout, measured in turn")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds [3]")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose name contains one of these")
    arguments = parser.parse_args(argv)
    sides = {"before": arguments.before.resolve()} if arguments.before else {}
    sides["after"] = CHECKOUT
    rows = [row for row in ROWS if not arguments.only or any(part in row.name for part in arguments.only)]
    results = {}
    with running_testbed() as testbed:
        for row in rows:
            found = compare(testbed, row, sides, arguments.rounds)
            print(text(row.name, found), flush=True)
            results[row.name] = {name: [asdict(result) for result in rounds] for name, rounds in found.items()}
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
