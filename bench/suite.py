"""Runs the benchmarks in order, as many rounds as the plan says. Results are plain data: docs/benchmarks.json."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import analysis, drain, engine, hosts, http_server, latency, measure, memory, reads, rest, steady, throughput
from bench.peers.all import PEERS
from bench.peers.all import QUICK as FEW
from bench.system import OURS, System
from bench.testbed import Testbed
from runner_queue.broker import Broker

# The same peers with the fewest rows that a claim and a result must write, to show how much the rows cost.
BARE = [
    replace(peer, name=f"{peer.name}, bare", bare=True, statements="2 commits; jobs, region_runs, executions alone")
    for peer in FEW[:2]
]
Tell = Callable[[str], None]
Results = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The extent of a run: rounds and sizes."""

    rounds: int
    peers: list[System]
    finished: int  # jobs in the tables for the last part
    executions: float  # of each system's own number
    latency_seconds: float  # of a round, as are those of HTTP
    http_seconds: float
    drain_rows: int
    complete: bool  # with what only a full run measures


FULL = Plan(3, PEERS, 1_000_000, 1.0, 10.0, 4.0, 8000, True)
QUICK = Plan(2, FEW, 100_000, 0.6, 5.0, 2.0, 4000, False)


def adjusted(plan: Plan, rounds: int | None, finished: int | None) -> Plan:
    """Return the plan, changed by the options of the command line."""
    return replace(plan, rounds=rounds or plan.rounds, finished=plan.finished if finished is None else finished)


def run(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Run all benchmarks; those that fill the tables come last."""
    results: Results = {"rounds": plan.rounds, "settings": _settings(plan)}
    results["full"] = full(testbed, plan, tell)
    results["memory"] = weigh(testbed, plan, tell)
    tell("commit to start, at 10 jobs a second")
    results["latency"] = {"ours": [], "pgqueuer": []}
    for _ in range(max(3, plan.rounds)):
        results["latency"]["ours"].append(latency.ours(testbed, plan.latency_seconds))
        results["latency"]["pgqueuer"].append(latency.notify_only(testbed, plan.latency_seconds))
    tell("outbox drain")
    results["drain"] = {"ours": [], "enqueue_many": []}
    for _ in range(plan.rounds):
        results["drain"]["ours"].append(drain.run(testbed, Broker, plan.drain_rows))
        results["drain"]["enqueue_many"].append(drain.run(testbed, drain.EnqueueMany, plan.drain_rows))
    results["http"] = http(testbed, plan, tell)
    if plan.complete:
        tell("at rest; one job of 8 regions, 16 models and 15 questions")
        results["idle"] = rest.idle(testbed, 20.0)
        results["large"] = asdict(rest.large_job(testbed))
        tell("calls of several lengths and widths")
        results["engine"] = engine.here(testbed, plan.rounds)
        tell("an outbox at 1,000 rows a second, for a minute")
        results["steady"] = asdict(steady.run(testbed, 60.0))
        results["hosts"] = spread_out(testbed, tell)
        tell("the analyst: its CPU, and POST /jobs beside it")
        results["analysis"] = analysis.run(testbed, max(5, 2 * plan.rounds), plan.http_seconds, tell)
    results["growth"] = growth(testbed, plan, tell)
    if plan.complete:
        results["reads"] = pages(testbed, plan, tell)
    return results


def pages(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Measure each page and each read. The full database is new: one in which workers have just executed thousands of
    jobs has a longer last hour than the one with few jobs."""
    tell(f"each page and each read; writing {plan.finished} finished jobs")
    testbed.empty()
    with testbed.beside("full") as many:
        many.load(plan.finished)
        return reads.run(many, tell)


def full(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Measure full durable executions: each round runs every system once, and pgbench with the peers' statements."""
    found: Results = {system.name: [] for system in (OURS, *plan.peers, *(BARE if plan.complete else []))}
    found["limit"] = []
    for number in range(1, plan.rounds + 1):
        for system in (OURS, *plan.peers, *(BARE if plan.complete else [])):
            run = throughput.run(testbed, system, int(system.executions * plan.executions))
            found[system.name].append(_flat(run))
            tell(f"round {number}: {system.name} {run.pace.per_second:.0f} full executions/s")
        if plan.complete or number == 1:
            found["limit"].append(throughput.limit(testbed, 16_000))
            tell(f"round {number}: pgbench {found['limit'][-1]:.0f} full executions/s")
    return found


def weigh(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Measure the memory per call in flight, with 50 and 400 concurrent calls."""
    found: Results = {"50": {}, "400": {}}
    for system in (OURS, *(plan.peers if plan.complete else [])):
        for width in (50, 400):
            if width == 50 or system.wide:
                found[str(width)][system.name] = weight = asdict(memory.run(testbed, system, width))
                tell(f"{system.name}, {width} wide: {weight['mb']:.0f} MB for {weight['calls']:.0f} calls")
    return found


def http(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Measure POST /jobs and the route that does nothing."""
    found: Results = {}
    servers = {"gunicorn": http_server.GUNICORN}
    if plan.complete:
        servers["granian"] = http_server.granian()
    for name, command in servers.items():
        testbed.empty()
        with http_server.running(testbed, command) as (port, _):
            rounds = range(2 * plan.rounds)  # short ones, because the ratio is of two numbers that drift
            found[name] = [http_server.post_against_noop(testbed, port, plan.http_seconds) for _ in rounds]
            if plan.complete:
                with http_server.open_streams(testbed, port) as count:
                    busy = [http_server.post_against_noop(testbed, port, plan.http_seconds) for _ in rounds]
                found[f"{name}, {count} event streams open"] = busy
        tell(f"POST /jobs with {name} {found[name][-1]['post']['per_second']:.0f}/s")
    return found


def spread_out(testbed: Testbed, tell: Tell) -> Results:
    """Measure the workers of three regions on this host and on separate ones; skip it if namespaces can't be made."""
    if not hosts.possible():
        tell("no hosts of their own: that needs root and iproute2")
        return {}
    found: Results = {"delays": hosts.FAR}
    for name, delays in (("one host", None), ("a host each", hosts.NEAR), ("a host each, far apart", hosts.FAR)):
        found[name] = asdict(hosts.run(testbed, delays))
        tell(f"{name}: {found[name]['runs']} region runs of half a second in {found[name]['seconds']:.1f} s")
    return found


def growth(testbed: Testbed, plan: Plan, tell: Tell) -> Results:
    """Measure the same work with more processes, more calls and more stored jobs."""
    found: Results = {}

    def add(name: str, *arguments: Any, where: Testbed = testbed, **options: Any) -> None:
        found.setdefault(name, []).append(_flat(throughput.run(where, OURS, *arguments, **options)))
        tell(f"{name}: {found[name][-1]['per_second']:.0f} full executions/s")

    if plan.complete:
        for processes in (1, 2, 4):
            add(f"{processes} processes", 10_000, processes=processes)
        add("4,000 jobs", 4_000)
        add("40,000 jobs", 40_000)
        add("1 model a job", 10_000)
        add("10 models a job", 10_000, models=10)
    size = int(OURS.executions * plan.executions)
    testbed.empty()
    tell(f"writing {plan.finished} finished jobs")
    testbed.load(plan.finished)
    with testbed.beside("empty") as empty:
        for _ in range(plan.rounds):
            add("empty tables", size, where=empty)
            add("full tables", size, keep=True)
    found["finished"] = plan.finished
    found["database_gb"] = float(testbed.one("SELECT pg_database_size(current_database()) / 1e9"))
    found["claim"] = rest.claim_plan(testbed)
    return found


def _flat(run: throughput.Run) -> dict[str, float]:
    return {**asdict(run.pace), "commits": run.commits, "redis": run.redis}


def _settings(plan: Plan) -> Results:
    return {
        system.name: {"promise": system.promise, "setting": system.setting, "statements": system.statements}
        for system in (OURS, *plan.peers, *(BARE if plan.complete else []))
    }


def cost(runs: list[dict[str, float]]) -> list[float]:
    """Return the CPU milliseconds per execution, of workers and PostgreSQL together, for each round."""
    return [run["worker_ms"] + run["server_ms"] for run in runs]


def spread(runs: list[dict[str, float]], name: str) -> measure.Spread:
    """Return median, minimum and maximum of one value over the rounds."""
    return measure.Spread.of(run[name] for run in runs)
