"""Writes docs/scaling.md: the limits of one PostgreSQL, and how to scale further, with the numbers of a full run."""
# ruff: noqa: E501 - paragraphs of the page, which wrap where they are read

from statistics import median

from bench import cells
from bench.report import table
from bench.suite import Results, cost
from bench.system import OURS
from runner_core.settings import Settings

CALLS = Settings.from_env({"DATABASE_URL": "postgresql://127.0.0.1/any"}).worker.concurrency  # the default


def page(results: Results) -> str:
    """Return the page's text."""
    where, full, growth = results["where"], results["full"][OURS.name], results["growth"]
    rate = median(run["per_second"] for run in full)
    server_ms = median(run["server_ms"] for run in full)
    worker_ms = median(run["worker_ms"] for run in full)
    wide = results["memory"]["400"][OURS.name]
    one, two, four = (growth[f"{n} processes"][0]["per_second"] for n in (1, 2, 4))
    parts = [
        "# Scaling",
        f"Every number here is of the run that wrote [benchmarks.md](benchmarks.md) ({where['date']}, {where['machine']}). "
        "Where a sentence goes beyond what was measured, or a number is of another run, it says so.",
        "## What one PostgreSQL carries",
        f"Workers and PostgreSQL together on those two cores made {rate:,.0f} full executions a second: a fenced claim, the "
        f"question as asked, the answer, the result, the events and the status. An execution costs PostgreSQL {server_ms:.2f} ms "
        f"and the workers {worker_ms:.2f} ms of a core, so a core of PostgreSQL's own is good for about {1000 / server_ms:,.0f} a "
        "second (a quotient of measured numbers; it was not run on larger machines).",
        f"Calls to models take seconds, so the queue is not where such a system ends: {CALLS} calls in flight, the "
        f"default of one worker process, are {CALLS / 10:.1f} executions a second at ten seconds a call. To need {rate:,.0f} a second at "
        f"ten seconds a call there must be {rate * 10:,.0f} calls in flight. One process held 400 of them in "
        f"{wide['mb']:.0f} MB.",
        f"With {growth['finished']:,} finished jobs in the tables ({growth['database_gb']:.1f} GB) an execution cost "
        f"{median(cost(growth['full tables'])) / median(cost(growth['empty tables'])):.2f} "
        f"times what it cost on empty ones beside them, and the publisher's claim of 100 rows behind {growth['claim']['processed']:,} processed ones "
        f"took {growth['claim']['ms']:.2f} ms.",
        "## Processes",
        f"One worker process made {one:,.0f} executions a second, two {two:,.0f}, four {four:,.0f}, on two cores that they share "
        "with the database. One process a core; a second one is for the day that the first is killed. More calls in flight "
        "come from `--concurrency`, which costs memory and no core, until a process is busy all the time.",
        "## The next knob",
        "\n".join(
            table(
                ["load", "what to turn", "why"],
                [
                    [
                        "today's",
                        "nothing: one API, one publisher, one worker a region",
                        "all of the above was made with the defaults",
                    ],
                    [
                        "10 times",
                        "`--concurrency`, then `--count worker_us=2`; a second publisher and API for availability",
                        "calls in flight, not statements, run out first; `region_queue_depth` and `region_workers` say where",
                    ],
                    [
                        "10 times",
                        "PostgreSQL on a machine of its own, its WAL on a disk of its own",
                        "it shares two cores with everything else in these numbers",
                    ],
                    [
                        "100 times",
                        "`JOB_RETENTION_DAYS`; what must be kept longer is copied before, nothing here does that",
                        "what is stored, not what runs, then makes the database large",
                    ],
                    [
                        "100 times",
                        "a cell for each group of clients, in one database or each on a server of its own",
                        "not measured: jobs share nothing but the trust list and the regions file, so they can be divided by client",
                    ],
                ],
            )
        ),
        "Connections are counted, not guessed: `beacon doctor` does the sum of all pools against `max_connections`; with more "
        "processes than that allows, PgBouncer in transaction mode (`DB_POOLER=transaction`) stands between, at the price of "
        "polling instead of LISTEN.",
        "## The outbox stays small",
        f"{results['steady']['per_second']:,.0f} messages a second for a minute left {results['steady']['last_mb']:.0f} MB of it: "
        "retention deletes in batches, and autovacuum is set to follow closely on this table alone.",
        "## Regions on hosts of their own",
        _hosts(results["hosts"]),
        *cells.parts(),
    ]
    return "\n\n".join(parts) + "\n"


def _hosts(hosts: Results) -> str:
    if not hosts:
        return "Not measured in this run: hosts of their own need root and iproute2."
    rows = [
        [
            name,
            f"{run['runs']}",
            f"{run['seconds']:.1f}",
            f"{run['runs'] / run['seconds']:.0f}",
            str(run["most_in_flight"]),
        ]
        for name, run in hosts.items()
        if name != "delays"
    ]
    delays = ", ".join(f"{region} {seconds * 1000:.0f} ms" for region, seconds in hosts["delays"].items())
    return "\n\n".join(
        [
            "A worker needs PostgreSQL, Redis and its region's providers, nothing else; it keeps no files. The same "
            "region runs of half a second each, 300 in each of three regions, one worker process a region: all on this host, "
            "each in a network namespace of its own, and so with every packet held back on its way "
            f"(one way: {delays}; both servers are in the first region).",
            "\n".join(table(["workers on", "region runs", "seconds", "a second", "most in flight"], rows)),
            "Distance costs round trips, not correctness: a far worker spends them on its claim and its record, each of which "
            "carries a whole batch, so a region that is far from the database wants more calls in flight (`--concurrency`), "
            "not more processes. A lease of 15 s with a heartbeat of 5 s bears seconds of delay.",
            "A region run that is alone makes 4 round trips to PostgreSQL (its claim, its record, and two notifications on a "
            "thread of their own) and 2 to Redis (take, remove); one of each is in the way of its first call, and one to "
            "PostgreSQL stands between the last answer and the end. A test counts them on the wire "
            "(`tests/integration/worker/test_round_trips.py`); before 0.3.0 there were 7 and 2, and 3 to PostgreSQL in the way "
            "of the call.",
        ]
    )
