"""The operators' endpoints: closed by default, and sending again what was given up."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.integration.api_client import ADMIN, ADMIN_HEADER, Api

PATHS = ["/admin/outbox", "/admin/queues", "/admin/stuck", "/admin/processes", "/admin/dead"]


def read(api: Api, path: str) -> dict[str, list[dict[str, object]]]:
    answer = api.client.get(path, headers=ADMIN_HEADER)
    assert answer.status_code == 200, answer.text
    body: dict[str, list[dict[str, object]]] = answer.get_json()
    return body


def republish(api: Api, what: str) -> TestResponse:
    return api.client.post(f"/admin/{what}/republish", headers=ADMIN_HEADER)


def outbox_id(api: Api, job_id: str, topic: str) -> int:
    found: int = api.sql("SELECT max(id) FROM outbox WHERE job_id = %s AND topic = %s", job_id, topic)[0][0]
    return found


@pytest.mark.parametrize("path", [*PATHS, "/admin/outbox/1/republish", "/admin/jobs/x/republish"])
def test_only_administrators(api: Api, make_api: Callable[..., Api], path: str) -> None:
    send = api.client.post if path.endswith("republish") else api.client.get
    for header in ("", "Bearer", f"Basic {ADMIN}", f"Bearer {ADMIN}x", f"Bearer {ADMIN[:-1]}", "Bearer é"):
        answer = send(path, headers={"Authorization": header})
        assert (answer.status_code, answer.get_json()["error_code"]) == (401, "unauthorized")
    closed = make_api(ADMIN_TOKENS="").client
    answer = (closed.post if path.endswith("republish") else closed.get)(path, headers=ADMIN_HEADER)
    assert (answer.status_code, answer.get_json()["error_code"]) == (503, "admin_disabled")


def test_what_waits_and_what_runs(api: Api) -> None:
    job_id = api.submit()
    waiting = read(api, "/admin/outbox")
    assert waiting["waiting"] == 2
    assert [r["job_id"] for r in waiting["rows"]] == [job_id, job_id]
    api.claim(job_id, "US")
    queues = {q["region"]: q for q in read(api, "/admin/queues")["queues"]}
    assert (queues["US"]["depth"], queues["US"]["running"]) == (0, 1)
    assert (queues["EU"]["depth"], queues["EU"]["running"]) == (1, 0)
    assert queues["ASIA"]["queue"] == "beacon-asia"
    assert read(api, "/admin/stuck") == {"jobs": []}
    api.sql("UPDATE jobs SET status = 'queued', created_at = now() - interval '11 minutes'")
    assert read(api, "/admin/stuck")["jobs"][0]["reason"] == "queued"
    api.sql("UPDATE jobs SET status = 'running'")
    api.sql("UPDATE region_runs SET deadline = now() - interval '1 hour'")
    assert read(api, "/admin/stuck")["jobs"][0]["reason"] == "overdue"


def test_processes(api: Api) -> None:
    api.sql("INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'EU', 'h', 1, '0')")
    assert [p["id"] for p in read(api, "/admin/processes")["processes"]] == ["w"]
    queues = {q["region"]: q["workers"] for q in read(api, "/admin/queues")["queues"]}
    assert queues == {"US": 0, "EU": 1, "ASIA": 0}


def test_a_dead_message_whose_region_has_not_ended(api: Api) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    row = outbox_id(api, job_id, "beacon-us")
    api.sql("UPDATE outbox SET dead_at = now(), attempts = 10, last_error = 'no'")
    assert [r["id"] for r in read(api, "/admin/dead")["rows"]] == [row]
    answer = republish(api, f"outbox/{row}")
    assert (answer.status_code, answer.get_json()["regions"]) == (202, ["US"])
    assert read(api, "/admin/dead") == {"rows": []}
    assert outbox_id(api, job_id, "beacon-us") > row
    assert read(api, "/admin/outbox")["waiting"] == 1


def test_a_dead_message_whose_region_ended_with_it(api: Api) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    row = outbox_id(api, job_id, "beacon-us")
    api.sql("UPDATE outbox SET dead_at = now()")
    reason = '{"code": "undeliverable", "message": "It could not be delivered."}'
    api.sql("SELECT * FROM end_units(ARRAY[%s], ARRAY['US'], 'failed', ARRAY[%s::jsonb])", job_id, reason)
    api.sql("SELECT * FROM close_regions(ARRAY[%s])", job_id)
    api.sql("SELECT * FROM close_jobs(ARRAY[%s])", job_id)
    assert api.get(f"/jobs/{job_id}")["status"] == "failed"
    assert republish(api, f"outbox/{row}").status_code == 202
    assert api.get(f"/jobs/{job_id}")["status"] == "running"
    assert read(api, "/admin/dead") == {"rows": []}
    timeline = api.get(f"/jobs/{job_id}/events")["events"]
    retry = next(e for e in timeline if e["type"] == "retry_requested")
    assert (retry["actor"], retry["detail"]["units"][0]["earlier"]["error"]["code"]) == ("tester", "undeliverable")
    api.finish(job_id, "US", {"m1": True})
    assert api.get(f"/jobs/{job_id}")["status"] == "completed"


def test_messages_that_need_no_second_sending(api: Api) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    row = outbox_id(api, job_id, "beacon-us")
    assert republish(api, f"outbox/{row}").status_code == 409
    api.sql("UPDATE outbox SET processed_at = now()")
    assert republish(api, f"outbox/{row}").status_code == 202
    api.sql("UPDATE outbox SET processed_at = now()")
    api.claim(job_id, "US")
    assert republish(api, f"outbox/{row}").status_code == 409
    assert republish(api, f"jobs/{job_id}").status_code == 409
    assert republish(api, "outbox/999999").status_code == 404
    assert republish(api, f"outbox/{2**63}").status_code == 404
    assert republish(api, "jobs/nobody").status_code == 404


def test_a_whole_job_is_sent_again(api: Api) -> None:
    job_id = api.submit()
    api.sql("UPDATE outbox SET processed_at = now()")
    api.claim(job_id, "US")
    answer = republish(api, f"jobs/{job_id}")
    assert (answer.status_code, answer.get_json()["regions"]) == (202, ["EU"])
    assert [r["topic"] for r in read(api, "/admin/outbox")["rows"]] == ["beacon-eu"]
    api.client.post(f"/api/v1/jobs/{job_id}/cancel", headers=ADMIN_HEADER)
    assert republish(api, f"jobs/{job_id}").status_code == 409
