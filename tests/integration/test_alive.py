"""Every place that says whether a process is alive says the same."""

import re
from typing import Any

import psycopg
import pytest

from outbox_publisher import gauges
from runner_cli.check_database import check_database
from runner_core import telemetry
from runner_core.queries import statements
from runner_core.statuses import ALIVE_SECONDS
from tests.integration.api_client import ADMIN_HEADER, Api
from tests.jobs import opened, settings_for


def seen_alive(api: Api, job_id: str) -> dict[str, bool]:
    """What each place says of the publisher and of the worker of US: true where it counts them as alive."""
    parts = {part["name"]: part["status"] for part in api.client.get("/health").get_json()["services"]}
    waiting = {one["subject"]: one["text"] for one in api.get(f"/jobs/{job_id}")["waiting"]}
    queues = {q["region"]: q for q in api.client.get("/admin/queues", headers=ADMIN_HEADER).get_json()["queues"]}
    page = api.client.get("/operations").text
    told = {found.subject: found.text for found in check_database(settings_for(api.owner_url), api.owner_url)}
    with opened(settings_for(api.owner_url), "publisher") as db:
        gauges.refresh(db)
    workers = {
        sample.labels["region"]: sample.value for sample in next(iter(telemetry.REGION_WORKERS.collect())).samples
    }
    return {
        "health: publisher": parts["publisher"] == "healthy",
        "health: worker": parts["worker:US"] == "healthy",
        "explain: worker": "no worker of US is alive" not in waiting["US"],
        "explain: publisher": "no publisher is alive" not in waiting["EU"],
        "admin/queues": queues["US"]["workers"] == 1,
        "operations: heartbeats": "silent for" not in page,
        "operations: queues": "runner_worker --region US" not in page,
        "gauges": workers.get("US") == 1,
        "doctor": "1 publisher, 1 worker" in told["connections"],
    }


@pytest.mark.parametrize(("silent", "alive"), [(1, True), (15, True), (ALIVE_SECONDS + 1, False)])
def test_a_silent_process_is_alive_everywhere_or_nowhere(
    api: Api, conn: "psycopg.Connection[Any]", silent: int, alive: bool
) -> None:
    """Fifteen seconds without a heartbeat is two missed ones, and not yet a dead process."""
    job_id = api.submit(constraints={"regions": ["US", "EU"]})
    conn.execute("UPDATE outbox SET processed_at = now() WHERE topic = 'beacon-us'")
    for kind, region in (("publisher", None), ("worker", "US")):
        conn.execute(
            "INSERT INTO processes (id, kind, region, host, pid, version, started_at, seen_at) VALUES"
            " (%s, %s, %s, 'h', 1, '0', now() - interval '1 hour', now() - make_interval(secs => %s))",
            (f"{kind}-h", kind, region, silent),
        )
    said = seen_alive(api, job_id)
    assert said == dict.fromkeys(said, alive)


def test_no_statement_has_a_number_of_its_own_for_it() -> None:
    """Where a heartbeat's time is compared, the parameter says with what; an hour is how long a row is kept."""
    compared = re.compile(r"seen_at [<>] \w+\(\)\s*-\s*(make_interval\(secs => %\(\w+\)s\)|interval '1 hour')")
    for statement in statements().values():
        text = statement.sql.decode()
        assert len(re.findall(r"seen_at [<>] \w+\(\)", text)) == len(compared.findall(text)), statement.name
