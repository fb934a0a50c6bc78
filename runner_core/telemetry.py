"""Declares every metric of the project, and sets up logging."""

import contextvars
import json
import logging
import os
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, TypeVar

import orjson
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)

from runner_core.failures import STATES
from runner_core.redaction import RedactingFormatter, guard_tracebacks, secrets_in
from runner_core.shared_numbers import Number

# Without this each counter has a second series, its creation time: nobody reads it, and promtool rejects its name.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it ships no types

# Values are never kept in files, even if PROMETHEUS_MULTIPROC_DIR is set: shared_numbers.py says why.
values.ValueClass = Number

# Writes to the database. The unit of the first histogram is in its name, as clients already read it.
DB_WRITE_ERRORS = Counter("db_write_errors", "Writes that failed.", ["sqlstate"])
for _state in STATES:  # start at 0, because increase() misses the first error of a series that begins at 1
    DB_WRITE_ERRORS.labels(_state)
DB_WRITE_RETRIES = Counter("db_write_retries", "Transactions that were tried again.")
DB_WRITE_LATENCY = Histogram(
    "db_write_latency_ms",
    "Time from sending a write to its result, in milliseconds.",
    ["op"],
    buckets=(0.5, 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, 5000, 8000),
)

# The outbox.
OUTBOX_PUBLISHED = Counter("outbox_published", "Outbox rows pushed to Redis and marked.")
OUTBOX_PUBLISH_ERRORS = Counter("outbox_publish_errors", "Pushes that failed, of a row or of Redis.")
# Rows in the database are counted up to 10,000; this value means "at least 10,000".
OUTBOX_UNPUBLISHED = Gauge(
    "outbox_unpublished_count", "Outbox rows that wait to be published; 10,000 means 10,000 or more."
)
OUTBOX_OLDEST = Gauge("outbox_oldest_unpublished_age_seconds", "Age of the oldest waiting outbox row.")
OUTBOX_DEAD = Gauge(
    "outbox_dead_rows", "Undeliverable outbox rows that wait for an operator; 10,000 means 10,000 or more."
)

# Jobs. Only the publisher exports the gauges; ended jobs are those of the last 24 hours.
JOBS = Gauge("jobs", "Jobs by status; ended jobs of the last 24 hours only. 10,000 means 10,000 or more.", ["status"])
JOBS_STUCK = Gauge("jobs_stuck", "Jobs queued for more than 10 minutes; 10,000 means 10,000 or more.")
JOBS_OVERDUE = Gauge(
    "jobs_overdue", "Running jobs past the deadline of their last region run; 10,000 means 10,000 or more."
)
JOBS_ENQUEUED = Counter("jobs_enqueued", "Jobs accepted.")
JOBS_PROCESSED = Counter("jobs_processed", "Jobs that ended, by status.", ["status"])
REGION_QUEUE_DEPTH = Gauge(
    "region_queue_depth", "Region runs staged, not claimed; 10,000 means 10,000 or more.", ["region"]
)
REGION_WORKERS = Gauge("region_workers", "Live worker processes.", ["region"])
LEASES_EXPIRED = Counter("leases_expired", "Leases that ran out and were taken back.")
REGIONS_STAGED = Counter("regions_staged", "Regions staged again by the sweeper.", ["reason"])
ROWS_SET_ASIDE = Counter(
    "rows_set_aside", "Rows that a publisher leaves out for a while because they fail by themselves.", ["work"]
)

# Region runs. Buckets fit calls of seconds to minutes.
MINUTES = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200)
EXECUTION_DURATION = Histogram(
    "runner_execution_duration_seconds", "Duration of one model in one region.", ["region", "status"], buckets=MINUTES
)
RUNNER_FAILURES = Counter("runner_failures", "Failures of region runs.", ["region", "error_type", "component"])
QUEUE_LATENCY = Histogram(
    "runner_queue_latency_seconds",
    "Time from a job's acceptance to the first claim of a region.",
    ["region"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 600, 3600),
)
ANSWERS_DISCARDED = Counter("answers_discarded", "Paid answers that could not be stored.", ["reason"])
for _reason in ("answered_again", "region_closed", "stopped", "unwritable"):
    ANSWERS_DISCARDED.labels(_reason)
FENCED = Counter("runner_fenced", "Region runs whose lease was lost and whose result was refused.")
RUNS_IN_FLIGHT = Gauge("runner_region_runs_in_flight", "Region runs that this process holds.")

# HTTP and providers.
HTTP_REQUESTS = Counter("http_requests", "Requests served.", ["path", "method", "status"])
HTTP_DURATION = Histogram("http_request_duration_seconds", "Time to serve a request.", ["path", "method"])
PROVIDER_REQUESTS = Counter("provider_requests", "Calls to providers by outcome.", ["region", "provider", "code"])
PROVIDER_PAID = Counter(
    "provider_calls_paid",
    "Calls to providers by whether they were paid for: no, maybe, yes.",
    ["region", "provider", "paid"],
)
PROVIDER_TOKENS = Counter("provider_tokens", "Tokens by direction, input or output.", ["region", "model", "direction"])
BREAKER_OPEN = Gauge(
    "provider_breaker_open",
    "1 while this process pauses the calls to a model because its breaker is open or half open.",
    ["region", "provider", "model"],
)
CALLS_WAITING = Gauge(
    "provider_calls_waiting", "Calls of this process that are claimed and not sent.", ["region", "provider", "model"]
)

# Analyses of ended jobs. The gauge is read from the database by every analyst alike.
ANALYSES = Counter("analyses", "Analyses stored.", ["method"])
ANALYSIS_SECONDS = Histogram(
    "analysis_seconds",
    "Time to compute an analysis.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
)
ANALYSIS_FAILURES = Counter("analysis_failures", "Analyses that failed, and are tried again.")
ANALYSES_DUE = Gauge("analyses_due", "Ended jobs known to wait for their analysis, failed ones among them.")

# The state of the deployment.
REDIS_UNFIT = Gauge("redis_unfit", "1 while this process can't or may not use its Redis.", ["reason"])
OTHER_REGIONS_FILE = Gauge("processes_with_other_regions_file", "Processes whose regions file is not the API's.")

# The metrics of each kind of process. Other kinds do not export them, because a gauge that is never set would be 0.
_WRITES = (DB_WRITE_ERRORS, DB_WRITE_RETRIES, DB_WRITE_LATENCY, JOBS_PROCESSED)
MEASURED: dict[str, tuple[Counter | Gauge | Histogram, ...]] = {
    "api": (*_WRITES, JOBS_ENQUEUED, HTTP_REQUESTS, HTTP_DURATION),
    "publisher": (
        *_WRITES,
        *(OUTBOX_PUBLISHED, OUTBOX_PUBLISH_ERRORS, OUTBOX_UNPUBLISHED, OUTBOX_OLDEST, OUTBOX_DEAD),
        *(JOBS, JOBS_STUCK, JOBS_OVERDUE, REGION_QUEUE_DEPTH, REGION_WORKERS, LEASES_EXPIRED, REGIONS_STAGED),
        *(ROWS_SET_ASIDE, REDIS_UNFIT, OTHER_REGIONS_FILE),
    ),
    "worker": (
        *_WRITES,
        *(EXECUTION_DURATION, RUNNER_FAILURES, QUEUE_LATENCY, FENCED, ANSWERS_DISCARDED, RUNS_IN_FLIGHT),
        *(PROVIDER_REQUESTS, PROVIDER_PAID, PROVIDER_TOKENS, BREAKER_OPEN, CALLS_WAITING, REDIS_UNFIT),
    ),
    "analyst": (*_WRITES[:3], ANALYSES, ANALYSIS_SECONDS, ANALYSIS_FAILURES, ANALYSES_DUE),
}

M = TypeVar("M", Counter, Gauge, Histogram)


@cache
def series(metric: M, *labels: str) -> M:
    """Return `metric.labels(*labels)`, cached: the look-up takes longer than the count."""
    return metric.labels(*labels)


def begin_at_zero(
    region: str, providers: Mapping[str, Iterable[str]], codes: Iterable[str], paid: Iterable[str]
) -> None:
    """Create a worker's series that alerts read, with the value 0, before the first event.

    `providers`: the models of each provider; `codes`: calls' outcomes; `paid`: whether calls were paid for.
    """
    for status in ("completed", "failed"):
        series(EXECUTION_DURATION, region, status)
    known, payments = list(codes), list(paid)
    for provider, models in providers.items():
        for code in known:
            series(PROVIDER_REQUESTS, region, provider, code)
        for payment in payments:
            series(PROVIDER_PAID, region, provider, payment)
        for model in models:
            series(BREAKER_OPEN, region, provider, model)
            series(CALLS_WAITING, region, provider, model)


def registry(process: str) -> CollectorRegistry:
    """Return the metrics of a kind of process: api, publisher, worker or analyst."""
    made = CollectorRegistry()
    for metric in MEASURED[process]:
        made.register(metric)
    return made


# The fields that every log line of one piece of work shares: request_id, trace_id, job_id.
context: contextvars.ContextVar[Mapping[str, str] | None] = contextvars.ContextVar("log_context", default=None)


def trace_id(traceparent: str) -> str:
    """Return the trace id in a W3C traceparent; empty if there is none."""
    return traceparent[3:35]


def about(traceparent: str, **ids: str) -> dict[str, Mapping[str, str]]:
    """Return the argument `extra` for a log line about one job, in a thread that works for several jobs."""
    found = {**ids, "trace_id": trace_id(traceparent)}
    return {"about": {name: value for name, value in found.items() if value}}


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object: ts (RFC 3339, UTC), level, logger, process, message, and `context`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        line: dict[str, Any] = {
            "ts": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "process": self.process,
            "logger": record.name,
            "message": record.getMessage(),
            **(context.get() or {}),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line).decode()
        except TypeError:  # a lone surrogate
            return json.dumps(line)


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Format a Unix second as RFC 3339. Cached, because many log lines share a second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def setup_logging(
    process: str, *, as_json: bool, secret_names: Collection[str] = (), secret_values: Collection[str] = ()
) -> None:
    """Send all log lines of this process to stdout, as JSON or as text, without the environment's secrets.

    `secret_names` are further variables that hold secrets, whatever their names are; `secret_values` are secrets.
    """
    secrets = secrets_in(os.environ, secret_names, secret_values)
    guard_tracebacks(secrets)
    handler = logging.StreamHandler(sys.stdout)
    plain = logging.Formatter(f"%(asctime)s %(levelname)s {process} %(name)s: %(message)s")
    handler.setFormatter(RedactingFormatter(JsonFormatter(process) if as_json else plain, secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Do not collect facts that no line shows: advice of Python's logging HOWTO ("Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # documented on that page
    for chatty in ("httpx2", "httpcore2", "httpcore", "psycopg.pool"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
