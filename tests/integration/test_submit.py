"""Submitting: what is accepted once, what is answered again, what is refused and leaves nothing behind."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.cells import CELL
from tests.integration.api_client import Api, unsigned
from tests.integration.submissions import CROSS, NOTHING, VECTORS, refused


def test_a_job_becomes_its_rows_in_one_transaction(api: Api) -> None:
    spec = api.job()
    answer = api.post(spec, X_Request_ID="request-1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert answer.status_code == 202
    body = answer.get_json()
    assert body["id"] == body["job_id"] == spec["id"]
    assert body["status"] == "queued"
    assert answer.headers["Location"] == body["links"]["self"] == f"/api/v1/jobs/{spec['id']}"
    assert answer.headers["X-Request-ID"] == "request-1"
    assert api.counts() == NOTHING | {"jobs": 1, "idempotency_keys": 1, "nonces": 1, "outbox": 2, "job_events": 1}
    [row] = api.sql(
        "SELECT j.status, j.spec_raw, j.plan, j.request_id, j.traceparent, j.cross_region_execution_id::text,"
        " j.signature_form, k.key, e.type, e.actor FROM jobs j JOIN idempotency_keys k ON k.job_id = j.id"
        " JOIN job_events e ON e.job_id = j.id"
    )
    assert row[0] == "queued"
    assert bytes(row[1]) == json.dumps(spec).encode()
    assert row[2:] == (
        {"US": ["m1"], "EU": ["m1"]},
        "request-1",
        f"00-{'a' * 32}-{'b' * 16}-01",
        body["cross_region_execution_id"],
        "jcs",
        f"job:{spec['id']}",
        "submitted",
        "k0",
    )
    outbox = api.sql("SELECT topic, payload FROM outbox ORDER BY topic")
    assert [topic for topic, _ in outbox] == ["beacon-eu", "beacon-us"]
    for _, payload in outbox:
        enqueued = payload.pop("enqueued_at")
        assert payload == {"id": spec["id"], "attempt": 0, "request_id": "request-1"}
        assert datetime.now(UTC) - datetime.fromisoformat(enqueued) < timedelta(minutes=1)


def test_a_job_without_an_id_gets_one(api: Api) -> None:
    answer = api.post(api.job(id=None))
    assert answer.status_code == 202
    assert answer.get_json()["id"].startswith("job-")


def test_the_cross_region_wrapper_narrows(api: Api) -> None:
    spec = api.job(constraints={"regions": ["US", "EU", "APAC"]})
    answer = api.post(
        {"jobspec": spec, "target_regions": ["europe_west", "US"], "min_regions": 2, "enable_analysis": True}, CROSS
    )
    body = answer.get_json()
    assert answer.status_code == 202
    assert body["id"] == body["job_id"] == body["jobspec_id"] == spec["id"]
    assert (body["total_regions"], body["min_regions"], body["status"]) == (2, 2, "queued")
    assert body["enable_analysis"] is True
    assert body["submitted_at"].endswith("Z")
    assert api.sql("SELECT plan, min_regions, enable_analysis, spec_raw FROM jobs")[0][:3] == (
        {"US": ["m1"], "EU": ["m1"]},
        2,
        True,
    )
    assert json.loads(api.sql("SELECT spec_raw FROM jobs")[0][0]) == spec


@pytest.mark.parametrize("form", ["A", "B", "C", "D"])
def test_the_incidents_job_in_every_form(make_api: Callable[..., Api], form: str) -> None:
    api = make_api(FRESHNESS_ENFORCE="0")
    api.keys_file.write_text(json.dumps([{"kid": "portal", "public_key": VECTORS["public_key"], "status": "active"}]))
    spec = VECTORS["spec"] | {"public_key": VECTORS["public_key"], "signature": VECTORS["forms"][form]["signature"]}
    first = api.post(spec)
    assert (first.status_code, first.get_json()["id"]) == (202, "bias-detection-1760288315095")
    again = api.post({"jobspec": spec, "target_regions": ["US", "EU"]}, CROSS)
    assert again.status_code == 200
    assert again.get_json()["cross_region_execution_id"] == first.get_json()["cross_region_execution_id"]
    assert api.sql("SELECT signature_form, plan FROM jobs") == [
        ("jcs" if form == "A" else form, {"US": ["llama3.2-1b"], "EU": ["llama3.2-1b"]})
    ]


def test_unsigned_jobs_only_where_that_is_allowed(make_api: Callable[..., Api]) -> None:
    api = make_api()
    refused(api.post(unsigned()), 400, "missing_field:signature")
    assert api.counts() == NOTHING
    open_api = make_api(ALLOW_UNSIGNED="1")
    assert open_api.post(unsigned()).status_code == 202
    refused(open_api.post(unsigned(public_key="x")), 400, "missing_field:signature")


def test_the_publisher_is_woken_after_the_commit(api: Api, conn: "psycopg.Connection[Any]") -> None:
    conn.execute(f"LISTEN {CELL.channel('outbox')}".encode())
    job_id = api.submit()
    [notice] = conn.notifies(timeout=10, stop_after=1)
    assert notice.channel == CELL.channel("outbox")
    assert conn.execute("SELECT count(*) FROM outbox WHERE job_id = %s", (job_id,)).fetchone() == (2,)
