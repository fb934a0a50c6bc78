"""Cancelling and retrying: who may, what happens to results, what the other side of a race sees."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from werkzeug.test import TestResponse

from runner_api.verbs.actor import Actor
from runner_api.verbs.cancel import cancel_job
from runner_api.verbs.retry import Wanted, retry_job
from runner_core.keys import PrivateKey
from runner_core.signing import sign
from tests.integration.api_client import ADMIN_HEADER, Api, stamp
from tests.jobs import wait_until_blocked

TESTER = Actor("tester")


def act(api: Api, job_id: str, action: str, body: Any = None, **headers: str) -> TestResponse:
    sent: dict[str, Any] = {} if body is None else {"json": body}
    return api.client.post(f"/api/v1/jobs/{job_id}/{action}", headers=headers, **sent)


def signed(api: Api, job_id: str, action: str, key: PrivateKey | None = None, **fields: Any) -> dict[str, Any]:
    body = {"action": action, "job_id": job_id, "timestamp": stamp(), "nonce": uuid.uuid4().hex, **fields}
    return sign({name: value for name, value in body.items() if value is not None}, key or api.key)


def problem(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error_code"]


def events(api: Api, job_id: str, kind: str) -> list[dict[str, Any]]:
    return [e for e in api.get(f"/jobs/{job_id}/events")["events"] if e["type"] == kind]


def test_an_administrator_cancels(api: Api) -> None:
    job_id = api.submit(models=["m1", "m2"])
    api.finish(job_id, "US", {"m1": True, "m2": True})
    token = api.claim(job_id, "EU")
    answer = act(api, job_id, "cancel", **ADMIN_HEADER)
    body = answer.get_json()
    assert answer.status_code == 200
    assert body.pop("cancelled_at").endswith("Z")
    assert body == {
        "ok": True,
        "job_id": job_id,
        "previous_status": "running",
        "new_status": "cancelled",
        "executions_cancelled": 2,
    }
    job = api.get(f"/jobs/{job_id}")
    assert job["status"] == job["cross_region"]["status"] == "cancelled"
    assert (job["progress"]["completed"], job["progress"]["cancelled"]) == (2, 2)
    regions = api.get(f"/executions/{job_id}/cross-region")["region_results"]
    assert {r["region"]: (r["status"], r["error_message"]) for r in regions} == {
        "US": ("success", None),
        "EU": ("cancelled", "The job was cancelled."),
    }
    assert events(api, job_id, "cancel_requested")[0]["actor"] == "tester"
    assert api.sql("SELECT count(*) FROM outbox WHERE processed_at IS NULL") == [(0,)]
    # The worker that held the region comes too late, and changes nothing.
    api.record(job_id, "EU", token, {"m1": True, "m2": True})
    assert api.get(f"/jobs/{job_id}")["version"] == job["version"]


def test_a_job_that_has_ended_is_not_cancelled(api: Api) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    api.finish(job_id, "US", {"m1": True})
    before = api.get(f"/jobs/{job_id}")
    answer = act(api, job_id, "cancel", **ADMIN_HEADER)
    assert problem(answer) == (409, "conflict")
    assert "completed" in answer.get_json()["detail"]
    assert api.get(f"/jobs/{job_id}") == before


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_the_jobs_own_key_may(api: Api, action: str) -> None:
    job_id = api.submit(constraints={"regions": ["US"]})
    if action == "retry":
        api.finish(job_id, "US", {"m1": False})
    body = signed(api, job_id, action)
    assert act(api, job_id, action, body).status_code == (200 if action == "cancel" else 202)
    assert events(api, job_id, f"{action}_requested")[0]["actor"].startswith("key:")
    assert problem(act(api, job_id, action, body)) == (409, "replay_detected")


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_nobody_else_may(api: Api, action: str) -> None:
    job_id = api.submit()
    other_job = api.submit()
    stranger = PrivateKey.generate()
    before = api.counts()
    assert problem(act(api, job_id, action)) == (401, "unauthorized")
    assert problem(act(api, job_id, action, Authorization="Bearer x")) == (401, "unauthorized")
    assert problem(act(api, job_id, action, {"region": "US"})) == (401, "unauthorized")
    unknown = act(api, job_id, action, signed(api, job_id, action, stranger))
    assert problem(unknown) == (403, "trust_violation:unknown")
    api.trust(api.key, stranger)
    assert problem(act(api, job_id, action, signed(api, job_id, action, stranger))) == (403, "forbidden")
    forged = signed(api, job_id, action) | {"region": "US"}
    assert problem(act(api, job_id, action, forged)) == (400, "signature_mismatch")
    assert problem(act(api, job_id, action, signed(api, other_job, action))) == (422, "validation_error")
    assert problem(act(api, job_id, action, signed(api, job_id, "else"))) == (422, "validation_error")
    stale = signed(api, job_id, action, timestamp="2020-01-01T00:00:00Z")
    assert problem(act(api, job_id, action, stale)) == (400, "timestamp_invalid")
    assert problem(act(api, job_id, action, signed(api, job_id, action, nonce=None))) == (400, "missing_field:nonce")
    assert api.counts() == before
    assert problem(act(api, "nobody", action, **ADMIN_HEADER)) == (404, "not_found")
    assert problem(act(api, "nobody", action, signed(api, "nobody", action))) == (404, "not_found")


def test_a_retry_runs_what_failed_once_more(api: Api) -> None:
    job_id = api.submit(models=["m1", "m2"], constraints={"regions": ["US", "EU"], "min_regions": 2})
    api.finish(job_id, "US", {"m1": True, "m2": True})
    api.finish(job_id, "EU", {"m1": False, "m2": False})
    kept = {r["region"]: r for r in api.get(f"/jobs/{job_id}/executions/all")["executions"]}["US"]
    assert api.get(f"/jobs/{job_id}")["status"] == "failed"
    answer = act(api, job_id, "retry", {"region": "europe_west", "model_id": "m1"}, **ADMIN_HEADER)
    assert answer.status_code == 202
    assert answer.get_json()["retried"] == [{"region": "EU", "model_id": "m1"}]
    job = api.get(f"/jobs/{job_id}")
    assert (job["status"], job["completed_at"]) == ("running", None)
    assert job["progress"] == {
        "total": 4,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
        "running": 0,
        "pending": 1,
        "answers": {"total": 8, "done": 6, "calls": 8},
    }
    [event] = events(api, job_id, "retry_requested")
    assert event["actor"] == "tester"
    [unit] = event["detail"]["units"]
    assert (unit["region"], unit["model_id"], unit["earlier"]["status"]) == ("EU", "m1", "failed")
    assert unit["earlier"]["error"]["message"] == "the provider is away"
    answers = [(answer["question_id"], answer["error"]["message"]) for answer in unit["earlier"]["answers"]]
    assert answers == [(question, f"no answer to {question}") for question in ("q1", "q2")], (
        "the retry deletes the rows"
    )
    assert events(api, job_id, "region_staged")[0]["detail"] == {"reason": "retry"}
    assert api.sql("SELECT topic, payload ->> 'attempt' FROM outbox ORDER BY id DESC LIMIT 1") == [("beacon-eu", "1")]
    token = api.claim(job_id, "EU")
    api.answer(job_id, "EU", token, {("m1", "q1"): "now", ("m1", "q2"): "now"})
    api.record(job_id, "EU", token, {"m1": True})
    done = api.get(f"/jobs/{job_id}")
    assert done["status"] == "completed"
    after = {r["region"]: r for r in api.get(f"/jobs/{job_id}/executions/all")["executions"]}["US"]
    assert after == kept
    assert problem(act(api, job_id, "retry", {"region": "EU", "model_id": "m1"}, **ADMIN_HEADER)) == (409, "conflict")


def test_a_retry_of_everything_that_failed(api: Api) -> None:
    job_id = api.submit()
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": False})
    answer = act(api, job_id, "retry", **ADMIN_HEADER)
    assert {u["region"] for u in answer.get_json()["retried"]} == {"US", "EU"}
    assert api.sql("SELECT count(*) FROM outbox WHERE processed_at IS NULL") == [(4,)]


def test_nothing_to_retry(api: Api) -> None:
    job_id = api.submit()

    def refusal(**body: str) -> str:
        answer = act(api, job_id, "retry", body, **ADMIN_HEADER)
        assert problem(answer) == (409, "conflict")
        detail: str = answer.get_json()["detail"]
        return detail

    assert "have not ended: EU, US" in refusal()
    api.claim(job_id, "EU")
    api.finish(job_id, "US", {"m1": True})
    assert "have not ended: EU" in refusal()
    assert "no unit" in refusal(region="US")
    act(api, job_id, "cancel", **ADMIN_HEADER)
    assert "cancelled" in refusal()


@pytest.mark.parametrize(
    "body",
    [{"region": "ASIA"}, {"region": "MOON"}, {"model_id": "m2"}, {"question_id": "q9"}, {"region": 1}, {"region": ""}],
)
def test_a_retry_of_what_the_job_does_not_have(api: Api, body: dict[str, Any]) -> None:
    job_id = api.submit()
    assert problem(act(api, job_id, "retry", body, **ADMIN_HEADER)) == (422, "validation_error")


def test_a_verb_that_comes_again_after_a_lost_commit_finds_itself(api: Api) -> None:
    """COMMIT happened and the connection was lost before we were told: the same action once more changes nothing."""
    job_id = api.submit(constraints={"regions": ["US"]})
    owner = Actor("key:x", api.key.public_key, "a nonce")
    api.finish(job_id, "US", {"m1": False})
    first = retry_job(api.db, job_id, Wanted(), owner, "action-1")
    before = api.counts()
    assert retry_job(api.db, job_id, Wanted(), owner, "action-1") == first
    assert api.counts() == before
    cancelled = cancel_job(api.db, job_id, TESTER, "action-2")
    again = cancel_job(api.db, job_id, TESTER, "action-2")
    assert (again.previous_status, again.executions) == (cancelled.previous_status, cancelled.executions)


def test_of_two_cancellations_at_once_one_wins(api: Api) -> None:
    for _ in range(5):
        job_id = api.submit()
        barrier = threading.Barrier(2)

        def cancel(_: int, job_id: str = job_id, barrier: threading.Barrier = barrier) -> int:
            barrier.wait(10)
            return api.app.test_client().post(f"/api/v1/jobs/{job_id}/cancel", headers=ADMIN_HEADER).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(cancel, range(2))) == [200, 409]


def test_cancel_waits_for_the_finish_that_came_first(api: Api, conn: "psycopg.Connection[Any]") -> None:
    job_id = api.submit()
    with ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            conn.execute("SELECT FROM jobs WHERE id = %s FOR NO KEY UPDATE", (job_id,))
            waiting = pool.submit(cancel_job, api.db, job_id, TESTER, "a")
            wait_until_blocked(api.worker)
            conn.execute(
                "UPDATE jobs SET status = 'completed', completed_at = now(), version = version + 1 WHERE id = %s",
                (job_id,),
            )
        with pytest.raises(Exception, match="its status is completed"):
            waiting.result(10)
