"""One model of a provider fails: its neighbour goes on, and all places name the open breaker while its worker lives."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from runner_cli.local import Local
from runner_core.statuses import ALIVE_SECONDS
from tests.acceptance.fault_site import Build
from tests.acceptance.sender import act, job, submit, wait_for_all
from tests.http_requests import request
from tests.jobs import one, until
from tests.scrape import pages, total

SECONDS = 10.0  # the longest time until an open breaker is told everywhere
QUESTIONS = tuple(f"q{n}" for n in range(1, 9))
SANDBOX = """
default_model = "well"
[regions.US]
display = "US"
[[providers]]
id = "sandbox-us"
region = "US"
kind = "sandbox"
max_concurrency = 16
[providers.models]
well = "well"
half = { upstream = "half", options = { fail = "http_500" } }
[questions]
"""


def explained(local: Local, job_id: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runner_cli", "explain", job_id, "--json", "--url", local.api_url],
        env=local.env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return str(json.loads(done.stdout)["explanation"])


def page(local: Local, path: str) -> str:
    """The words of a page, without tags."""
    asked = urllib.request.Request(  # noqa: S310 - our own server
        f"{local.api_url}{path}", headers={"Accept": "text/html"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as answer:
        return " ".join(re.sub(r"<[^>]*>", " ", answer.read().decode()).split())


def paused(local: Local) -> list[tuple[str, str]]:
    """The providers and models with an open breaker, as administrators read them."""
    headers = {"Authorization": f"Bearer {local.admin_token}"}
    _, answer = request("GET", f"{local.api_url}/admin/processes", headers=headers)
    states: list[dict[str, Any]] = [it for process in answer["processes"] for it in process["providers"] or []]
    return [(state["provider"], state["model"]) for state in states if state["open_until"]]


def measured(local: Local, provider: str, model: str) -> tuple[bool, bool]:
    """Whether the worker's gauges say that the breaker is open, and that calls wait."""
    found = pages(local)["worker_us.1"]
    labels = {"region": "US", "provider": provider, "model": model}
    return total(found, "provider_breaker_open", **labels) == 1, total(found, "provider_calls_waiting", **labels) > 0


def check_that_all_name_it(local: Local, job_id: str, provider: str, model: str, width: int) -> None:
    sentence = re.compile(
        rf"{provider} is paused for {model} until \d\d:\d\d:\d\d UTC after \d+ failures \(last http_500\); "
        r"\d+ calls? waits?\."
    )
    until(lambda: sentence.search(explained(local, job_id)), SECONDS)
    until(lambda: sentence.search(page(local, f"/jobs/{job_id}")), SECONDS)
    row = (
        rf"US {provider} {model} \d+ of {width} \d+ open until \d\d:\d\d:\d\d UTC after \d+ failures in a row http_500"
    )
    until(lambda: re.search(row, page(local, "/operations")), SECONDS)
    until(lambda: measured(local, provider, model) == (True, True), SECONDS)
    assert paused(local) == [(provider, model)]
    assert "has not answered" not in explained(local, job_id)


def test_a_failing_model_stops_nobody_and_is_named_everywhere(build: Build) -> None:
    with build(worker_us=1) as it:
        it.provider.add_rule(fault="status", status=500, match={"model": "m2"})
        job_id = it.submit(questions=QUESTIONS, models=2, timeout_seconds=300)
        until(lambda: paused(it.local))
        completed = "SELECT count(*) FROM executions WHERE model_id = 'm1' AND status = 'completed'"
        until(lambda: one(it.conn, completed) == 1)
        assert it.ended(it.submit(questions=QUESTIONS), SECONDS)["status"] == "completed"
        check_that_all_name_it(it.local, job_id, "provider-us", "m2", 64)
        assert measured(it.local, "provider-us", "m1") == (False, False)
        it.cancel(job_id)
        it.ended(job_id)


def test_a_killed_worker_is_believed_no_longer_than_it_lives(build: Build) -> None:
    """Its lease is longer than a silent process counts as alive. Its supervisor starts another worker at once."""
    with build({"LEASE_SECONDS": "300", "HEARTBEAT_SECONDS": "1"}, worker_us=1) as it:
        it.provider.add_rule(fault="status", status=500)
        job_id = it.submit(questions=QUESTIONS, timeout_seconds=300)
        until(lambda: paused(it.local))
        killed = it.holder(job_id)
        os.kill(killed, signal.SIGKILL)
        until(lambda: one(it.conn, "SELECT count(*) FROM processes WHERE kind = 'worker' AND pid <> %s", killed) == 1)
        it.conn.execute("UPDATE processes SET seen_at = now() WHERE pid = %s", [killed])
        assert paused(it.local) == [("provider-us", "m1")], "a worker that was seen a moment ago is believed"
        silent = "UPDATE processes SET seen_at = seen_at - make_interval(secs => %s), started_at = %s WHERE pid = %s"
        it.conn.execute(silent, [ALIVE_SECONDS, datetime(2026, 1, 1, tzinfo=UTC), killed])
        it.conn.execute("UPDATE answers SET started_at = started_at - interval '1 minute'")
        it.conn.execute("UPDATE region_runs SET lease_expires_at = now() + interval '300 seconds'")
        gone = "Its worker is not alive; the region is sent again when its lease runs out, in 5 min."
        for said in (explained(it.local, job_id), page(it.local, f"/jobs/{job_id}")):
            assert gone in said
            assert "paused" not in said
            assert "has not answered" not in said
        assert "provider-us" not in page(it.local, "/operations")
        assert paused(it.local) == []
        it.provider.set_rules([])
        it.conn.execute("UPDATE region_runs SET lease_expires_at = now()")
        assert it.ended(job_id)["status"] == "completed"


def test_the_sandbox_shows_it_without_a_provider(
    stack: Callable[..., Local], home: Path, conn: "psycopg.Connection[Any]"
) -> None:
    regions = home / "regions.toml"
    regions.write_text(SANDBOX + "".join(f'{question} = "What is {question}?"\n' for question in QUESTIONS))
    local = stack(env={"REGIONS_FILE": str(regions)}, worker_eu=0, worker_asia=0)
    spec = job(local, "US", models=("well", "half"), questions=list(QUESTIONS))
    job_id = submit(local, spec)
    until(lambda: paused(local))
    until(lambda: one(conn, "SELECT model_id FROM executions WHERE status = 'completed'") == "well")
    check_that_all_name_it(local, job_id, "sandbox-us", "half", 16)
    act(local, job_id, "cancel")
    wait_for_all(conn)
