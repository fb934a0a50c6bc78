"""Formats the results: docs/benchmarks.md and the lines of a quick run."""
# ruff: noqa: E501 - paragraphs of the page, which wrap where they are read

from bench import analysis_report, engine_report, reads
from bench.http_server import CONNECTIONS
from bench.measure import Spread, ratios
from bench.suite import Results, cost, spread
from bench.summary import BARS, growth_ratio, numbers, per_call, rates, start
from bench.system import OURS

WORDS = {"full_vs_best_peer": "full_vs_best_of_these", "best_peer": "best_of_these"}  # the names on the page
LEFT_OUT = (
    "The ratio is to the best of these peers, which are not all that there are. Two fast ones are left out. pgque hands "
    "a batch of events to a consumer that handles them one after another and acknowledges the batch: it has no job with "
    "a claim and a result of its own, and its package has no schema. River's workers are written in Go, and the peers "
    "here do their work in Python. The rates that are published of them are of jobs that write no rows, so they cannot be compared "
    "with these."
)


def quick_text(results: Results, last: Results) -> str:
    """Return the lines that a quick run prints before its line of JSON."""
    date = last["where"]["date"] if last else None
    borrowed = [name for name, value in numbers(results, {}).items() if value is None]
    lines = _full_table(results)
    lines += [
        "",
        f"cost of an execution with {results['growth']['finished']:,} finished jobs in the tables against none: "
        f"{_x(growth_ratio(results))}",
        f"commit to start p50 {start(results['latency']['ours'], 0.5).median:.1f} ms, "
        f"pgqueuer {start(results['latency']['pgqueuer'], 0.5).median:.1f} ms",
        f"not measured here: {', '.join(borrowed)}; "
        + (f"from the full run of {date}" if date else "and no full run has left its numbers"),
    ]
    return "\n".join(lines)


def page(results: Results) -> str:
    """Return the text of docs/benchmarks.md."""
    where, growth, http = results["where"], results["growth"], results["http"]
    short = numbers(results, {})
    parts = [
        "# Benchmarks",
        f"Written by `make bench` on {where['date']}; no number here was typed. {where['machine']}, Python "
        f"{where['python']}, PostgreSQL {where['postgresql']} (fsync {where['fsync']}, otherwise its defaults), Valkey "
        f"{where['redis']} (append-only file, fsync every second). {results['rounds']} interleaved rounds, medians, the "
        f"least and the most in brackets. The run took {where['seconds'] / 60:.0f} minutes. Only numbers of one run can "
        f"be compared: the 15-minute load average at its end was {where['load']:.1f}.",
        "![Full durable executions per second](benchmarks.svg)",
        "## In short",
        "\n".join(
            table(
                ["what", "measured", "aim"], [[WORDS.get(n, n), _short(v), BARS.get(n, "")] for n, v in short.items()]
            )
        ),
        "## Full durable executions",
        "One execution is a commit that claims the region of a job, a provider that does nothing, and a transaction that "
        "writes the result and the job's status. Two worker processes; every queue was filled before the workers "
        "started; the middle of each run is measured (from 20 % to 95 % of its executions). The peers write the same rows "
        "into the same tables with one prepared statement a commit (`bench/sql/claim.sql`, `bench/sql/finish.sql`): the "
        "lease, the question as asked and as answered, the execution, the events and the job's status. Their receipt is a "
        "constant, ours is signed. Our workers are the Procfile's, fed through the real outbox and publisher. `bare` is the "
        "same peer without answers, events, parameters and receipt. CPU is user and system "
        "time of the workers with all their children; commits and Redis commands are counted over the whole run.",
        "\n".join(_full_table(results)),
        LEFT_OUT,
        f"`pgbench` with the peers' two statements, 16 clients, prepared: {_span(results['full']['limit'])} full "
        "executions/s. It is what a commit for each step can reach; batches share commits, which is how one can be "
        "faster.",
        "### What each one promises and how it was started",
        "\n".join(
            table(
                ["system", "promise", "started as", "writes"],
                [[n, s["promise"], s["setting"], s["statements"]] for n, s in results["settings"].items()],
            )
        ),
        "## Memory for a call in flight",
        "One worker process (RQ: one for each call) and a provider that takes half a second. PSS of all its processes, "
        "divided by the calls in flight. Flags: `--concurrency` of that width, and each peer's own.",
        "\n".join(_memory_table(results)),
        "## Calls in flight",
        "The worker's engine with calls of one length and width; HTTP is a loopback provider, the others are the sandbox. Rate, "
        "CPU of the worker processes for an execution, PSS of the processes divided by the calls that are recorded as in "
        "flight. The rate cannot be more than width divided by duration.",
        "\n".join(
            table(
                ["calls", "executions/s", "worker CPU ms", "in flight", "MB a call"],
                engine_report.cells(results["engine"]),
            )
        ),
        "## From commit to start",
        "Ten jobs a second. From just before the commit that accepts a job to the claim of its region, both by the "
        "database's clock; ours goes through the API, a publisher, Valkey and a worker. pgqueuer's message "
        "is enqueued in the same transaction and wakes its worker by NOTIFY. Each percentile is of one round; here are "
        "its median, least and most over the rounds, in turns with the peer's.",
        "\n".join(
            table(
                ["system", "jobs", "p50 ms", "p90 ms", "p99 ms"],
                [
                    [n, str(sum(map(len, v))), *(_ms(start(v, share)) for share in (0.5, 0.9, 0.99))]
                    for n, v in ((OURS.name, results["latency"]["ours"]), ("pgqueuer", results["latency"]["pgqueuer"]))
                ],
            )
        ),
        "## Draining the outbox",
        f"The publisher's transaction (claim 100, push, mark) on one connection: {_span(results['drain']['ours'])} rows/s; "
        f"the same transaction with RQ's `enqueue_many`: {_span(results['drain']['enqueue_many'])} rows/s. Ratio "
        f"{_x(ratios(results['drain']['ours'], results['drain']['enqueue_many']))}.",
        "## Accepting jobs over HTTP",
        f"{CONNECTIONS} keep-alive connections; signed jobs, all different, each verified and written, against "
        "`GET /health/live` of the same server. gunicorn is the Procfile's; each server has 2 workers of 128 threads.",
        "\n".join(_http_table(http)),
        "## Comparing regions",
        "\n".join(analysis_report.lines(results["analysis"])),
        "## Growth",
        "The first table's work, with more of everything. Cost is CPU of workers and PostgreSQL together.",
        "\n".join(_growth_table(results)),
        f"With {growth['finished']:,} finished jobs in the tables ({growth['database_gb']:.1f} GB) an execution costs "
        f"{_x(growth_ratio(results))} what it costs on empty ones. The publisher's claim of 100 rows behind "
        f"{growth['claim']['processed']:,} processed ones takes {growth['claim']['ms']:.2f} ms:",
        "```\n" + "\n".join(line.strip() for line in growth["claim"]["plan"]) + "\n```",
        "## Reading",
        f"The statements of each page and of each read of the API, with {results['reads']['many']:,} finished jobs in the tables "
        f"against {results['reads']['few']:,} beside them, and {reads.OPEN} that wait in both: the same parameters asked "
        f"{reads.ROUNDS} times, medians of EXPLAIN's milliseconds and of the buffers that were read. It may be "
        f"{reads.LARGEST_RATIO:g} times as many buffers, and as much time where that is over {reads.SHORTEST_MS:g} ms.",
        "\n".join(
            table(
                ["address", "ms", "ms, full", "x", "buffers", "buffers, full", "x", ""], reads.lines(results["reads"])
            )
        ),
        "## At rest, and at the limit of one job",
        f"The API, a publisher and three workers with nothing to do use {results['idle']['stack']:.2f} % of one core and "
        f"{results['idle']['mb']:.0f} MB (PSS); PostgreSQL uses {results['idle']['postgres']:.2f} % for them. One job of "
        f"8 regions, 16 models and 15 questions ({results['large']['calls']:,} calls of 50 ms) ended after "
        f"{results['large']['seconds']:.1f} s; the largest of its eight workers had {results['large']['most_mb']:.0f} MB.",
        "## A steady outbox",
        _steady(results["steady"]),
    ]
    return "\n\n".join(parts) + "\n"


def _steady(steady: dict[str, float]) -> str:
    return (
        f"{steady['per_second']:,.0f} rows a second for a minute, three of each job, published in batches of 100 and removed in batches "
        f"once a second when their jobs had ended ({steady['removed']:,} of {steady['passed']:,} were): the table with its "
        f"indexes had {steady['middle_mb']:.0f} MB after half of the time, {steady['last_mb']:.0f} MB at the end, "
        f"{steady['most_mb']:.0f} MB at most."
    )


def _full_table(results: Results) -> list[str]:
    ours = rates(results, OURS.name)
    rows = []
    for name, runs in results["full"].items():
        if name == "limit":
            continue
        rows.append(
            [
                name,
                _span([run["per_second"] for run in runs]),
                "" if name == OURS.name else _x(ratios(ours, rates(results, name))),
                f"{spread(runs, 'worker_ms').median:.2f}",
                f"{spread(runs, 'server_ms').median:.2f}",
                f"{spread(runs, 'commits').median:.2f}",
                f"{spread(runs, 'redis').median:.1f}",
            ]
        )
    head = ["system", "full/s", "ours is", "worker CPU ms", "PostgreSQL CPU ms", "commits", "Redis commands"]
    return table(head, rows)


def _memory_table(results: Results) -> list[str]:
    rows = []
    for name, narrow in results["memory"]["50"].items():
        wide = results["memory"]["400"].get(name)
        rows.append([name, *_weight(narrow), *(_weight(wide) if wide else ("not tried", ""))])
    return table(["system", "50 wide: MB a call", "in flight, MB", "400 wide: MB a call", "in flight, MB"], rows)


def _weight(weight: dict[str, float]) -> tuple[str, str]:
    return (
        f"{per_call(weight):.2f}",
        f"{weight['calls']:.0f} in {weight['processes']} processes, {weight['mb']:.0f} MB",
    )


def _http_table(http: Results) -> list[str]:
    rows = []
    for name, rounds in http.items():
        posts, noops = ([r[kind]["per_second"] for r in rounds] for kind in ("post", "noop"))
        p99 = max(r["post"]["p99_ms"] for r in rounds)
        rows.append([name, _span(noops), _span(posts), _x(ratios(posts, noops)), f"{p99:.0f}"])
    return table(["server", "no-op/s", "POST /jobs /s", "ratio", "POST p99 ms"], rows)


def _growth_table(results: Results) -> list[str]:
    rows = []
    for name, runs in results["growth"].items():
        if isinstance(runs, list):
            rows.append([name, _span([r["per_second"] for r in runs]), f"{Spread.of(cost(runs)).median:.3f}"])
    return table(["", "full/s", "CPU ms an execution"], rows)


def _ms(s: Spread) -> str:
    return f"{s.median:.1f} ({s.least:.1f} to {s.most:.1f})"


def _span(values: list[float]) -> str:
    s = Spread.of(values)
    return f"{s.median:,.0f} ({s.least:,.0f} to {s.most:,.0f})" if len(values) > 1 else f"{s.median:,.0f}"


def _x(s: Spread) -> str:
    return f"{s.median:.2f}x ({s.least:.2f} to {s.most:.2f})"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
