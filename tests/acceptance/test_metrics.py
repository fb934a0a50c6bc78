"""What Prometheus sees of every process: writes counted where they were made, failures by SQLSTATE, no ids."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runner_cli.local import Local, login_urls
from runner_core.failures import STATES
from tests.acceptance.sender import job, submit, wait_for_all
from tests.jobs import one, query, until
from tests.proxy import Proxy
from tests.scrape import pages, samples, total

if TYPE_CHECKING:
    from tests.conftest import Servers

Conn = psycopg.Connection[Any]
KINDS = ("api", "publisher", "worker", "analyst")
# The unit and the suffix are the names that clients already read; promtool would choose others.
KNOWN = {"db_write_latency_ms", "outbox_unpublished_count"}


@pytest.fixture
def local(stack: Callable[..., Local], conn: Conn) -> Local:
    """A stack that has done a job of two regions with two models, one of which is never called again."""
    local = stack(worker_asia=0, env={"PROMETHEUS_MULTIPROC_DIR": "/not/a/folder"})  # no process wants files
    submit(local, job(local, "US", "EU", models=("smollm2-135m", "sandbox-refuser")))
    wait_for_all(conn)
    until(lambda: total(pages(local)["publisher.1"], "jobs", status="completed") == 1)
    return local


def test_each_process_counts_the_writes_that_it_made_and_no_label_holds_an_id(local: Local, conn: Conn) -> None:
    found = pages(local)

    def writes(process: str, op: str) -> float:
        return total(found[process], "db_write_latency_ms_count", op=op)

    assert writes("api.1", "jobs.submit") == total(found["api.1"], "jobs_enqueued_total") == 1
    assert writes("publisher.1", "outbox.mark") >= 1
    assert total(found["publisher.1"], "outbox_published_total") == 2
    for worker in ("worker_us.1", "worker_eu.1"):
        assert writes(worker, "region_runs.claim") == 1
        assert writes(worker, "executions.record") >= 1
        assert writes(worker, "answers.finish") >= 1
        assert total(found[worker], "runner_execution_duration_seconds_count", status="completed") == 2
        assert total(found[worker], "runner_queue_latency_seconds_count") == 1
        assert total(found[worker], "provider_requests_total") == 2
    ended = sum(total(found[worker], "jobs_processed_total", status="completed") for worker in found)
    assert ended == 1
    assert total(found["api.1"], "http_requests_total", method="POST", path="/api/v1/jobs", status="202") == 1
    # Nobody counts what another has done.
    assert [name for name in found if writes(name, "jobs.submit")] == ["api.1"]
    assert [name for name in found if writes(name, "outbox.mark")] == ["publisher.1"]
    assert [name for name, page in found.items() if total(page, "db_write_errors_total")] == []
    check_labels(local, conn)


def test_counters_that_alerts_and_operators_read_are_0_before_the_first_event(stack: Callable[..., Local]) -> None:
    """An alert sees no increase in a series that begins with its first event, and a query nothing at all."""
    local = stack(worker_eu=0, worker_asia=0)
    found = until(lambda: pages(local) if len(pages(local)) == 4 else None)
    assert found
    for name, page in found.items():
        states = {s.labels["sqlstate"]: s.value for s in samples(page) if s.name == "db_write_errors_total"}
        assert states == dict.fromkeys(STATES, 0.0), name
        names = {sample.name for sample in samples(page)}
        kind = name.partition(".")[0].partition("_")[0]
        first = {"api": "jobs_enqueued_total", "publisher": "leases_expired_total", "worker": "runner_fenced_total"}
        first["analyst"] = "analysis_failures_total"
        assert {"db_write_retries_total", first[kind]} <= names, name
    worker = found["worker_us.1"]
    assert {s.labels["status"] for s in samples(worker) if s.name == "runner_execution_duration_seconds_count"} == {
        "completed",
        "failed",
    }
    codes = {s.labels["code"] for s in samples(worker) if s.name == "provider_requests_total"}
    assert {"ok", "read_timeout", "http_503"} <= codes
    assert total(worker, "provider_requests_total") == total(worker, "answers_discarded_total") == 0
    for gauge in ("provider_breaker_open", "provider_calls_waiting"):
        values = {(s.labels["region"], s.labels["model"]): s.value for s in samples(worker) if s.name == gauge}
        assert values["US", "sandbox-refuser"] == 0
        assert set(values.values()) == {0.0}


def check_labels(local: Local, conn: Conn) -> None:
    """No label holds the id of a job, a process or a request."""
    ids = {str(row["id"]) for row in query(conn, "SELECT id FROM jobs UNION ALL SELECT id FROM processes")}
    ids |= {row["request_id"] for row in query(conn, "SELECT request_id FROM jobs")}
    for page in pages(local).values():
        for sample in samples(page):
            for value in sample.labels.values():
                assert not any(one_id in value for one_id in ids), sample


def test_each_process_tells_what_it_measures_itself_and_nothing_else(local: Local) -> None:
    """A gauge that nobody sets would say 0: no job is stuck, no message waits."""
    writes = {"db_write_errors", "db_write_retries", "db_write_latency_ms"}
    own = {
        "api": {"jobs_processed", "jobs_enqueued", "http_requests", "http_request_duration_seconds"},
        "publisher": {
            "jobs_processed",
            *("outbox_published", "outbox_publish_errors", "outbox_unpublished_count"),
            *("outbox_oldest_unpublished_age_seconds", "outbox_dead_rows", "jobs", "jobs_stuck", "jobs_overdue"),
            *("region_queue_depth", "region_workers", "leases_expired", "regions_staged", "rows_set_aside"),
            *("redis_unfit", "processes_with_other_regions_file"),
        },
        "analyst": {"analyses", "analysis_seconds", "analysis_failures", "analyses_due"},
        "worker": {
            "jobs_processed",
            *("runner_execution_duration_seconds", "runner_failures", "runner_queue_latency_seconds", "runner_fenced"),
            *("runner_region_runs_in_flight", "provider_requests", "provider_calls_paid", "provider_tokens"),
            *("provider_breaker_open", "provider_calls_waiting", "redis_unfit", "answers_discarded"),
        },
    }
    for name, page in pages(local).items():
        told = {family.name for family in text_string_to_metric_families(page)}
        of_python = {family for family in told if family.startswith(("process_", "python_"))}
        assert told - of_python == writes | own[name.partition(".")[0].partition("_")[0]], name


@pytest.mark.needs("promtool")
def test_promtool_minds_two_names_and_nothing_else(local: Local) -> None:
    minded = set()
    for page in pages(local).values():
        done = subprocess.run(
            [str(shutil.which("promtool")), "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        minded |= {line.split()[0] for line in lines}
        assert len(lines) == len({line.split()[0] for line in lines})
    assert minded == KNOWN


@contextmanager
def stuck(conn: Conn, database_url: str) -> Iterator[list[int]]:
    """Every process waits for a lock in the middle of a write, its heartbeat; one backend of each login."""
    waiting = (
        "SELECT DISTINCT ON (usename) pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND query LIKE '-- name: processes.beat%' ORDER BY usename"
    )
    with psycopg.connect(database_url) as holder:
        holder.execute(b"LOCK TABLE processes IN ACCESS EXCLUSIVE MODE")
        yield until(lambda: [row["pid"] for row in pids] if len(pids := query(conn, waiting)) == len(KINDS) else [])


def kinds_with(local: Local, name: str, **labels: str) -> set[str]:
    """The kinds of processes where this counter is not zero."""
    return {
        name_.partition(".")[0].partition("_")[0] for name_, page in pages(local).items() if total(page, name, **labels)
    }


def test_a_failed_write_is_counted_by_its_sqlstate_in_the_process_that_made_it(
    stack: Callable[..., Local], home: Path, servers: "Servers", database_url: str, conn: Conn
) -> None:
    at = urlsplit(reached := servers.through_pooler(database_url))
    with ExitStack() as stop:
        proxy = stop.enter_context(Proxy(str(at.hostname), int(at.port or 5432)))
        through = reached.replace(f":{at.port}/", f":{proxy.port}/")
        local = stack(env=login_urls(home, through), worker_eu=0, worker_asia=0)
        stop.callback(local.stack.stop)  # while its way to the database is still there
        # A worker that probes whether it can begin writes once as well, and does not try again.
        until(lambda: {row["kind"] for row in query(conn, "SELECT kind FROM processes")} >= set(KINDS))

        with stuck(conn, database_url) as backends:
            for pid in backends:
                conn.execute(b"SELECT pg_cancel_backend(%s)", [pid])
            until(lambda: kinds_with(local, "db_write_errors_total", sqlstate="57014") == set(KINDS))

        # A connection that is cut has no SQLSTATE of its own: it is counted as 08006, connection_failure.
        with stuck(conn, database_url):
            proxy.cut()
            until(lambda: kinds_with(local, "db_write_errors_total", sqlstate="08006") == set(KINDS))
        until(lambda: kinds_with(local, "db_write_retries_total") == set(KINDS))

        submit(local, job(local, "US"))
        wait_for_all(conn)
        assert one(conn, "SELECT status FROM jobs") == "completed"
