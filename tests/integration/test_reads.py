"""Reading: each endpoint says what the tables say, in the contract's words."""

import json
from typing import Any

import pytest

from tests.integration.api_client import Api
from tests.integration.result_rows import CALL, rows_of


def test_a_job_from_its_submission_to_its_end(api: Api) -> None:
    spec = api.job(models=["m1", "m2"])
    api.post(spec)
    job_id = spec["id"]
    planned = api.get(f"/jobs/{job_id}")
    assert planned["status"] == "queued"
    assert planned["job"] == spec
    assert planned["cross_region"]["status"] == "running"
    assert planned["progress"] == {
        "total": 4,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
        "running": 0,
        "pending": 4,
        "answers": {"total": 8, "done": 0, "calls": 0},
    }
    assert [r["status"] for r in rows_of(api, job_id)] == ["pending"] * 8

    token = api.claim(job_id, "US")
    api.answer(job_id, "US", token, {("m1", "q1"): "one", ("m1", "q2"): None})
    running = api.get(f"/jobs/{job_id}")
    assert running["status"] == "running"
    assert running["started_at"]
    assert running["progress"]["running"] == 2
    assert running["progress"]["answers"]["done"] == 2
    rows = {(r["region"], r["model_id"], r["question_id"]): r for r in rows_of(api, job_id)}
    assert all(set(r) == CALL for r in rows.values())
    assert rows["EU", "m1", "q1"]["status"] == "pending"
    waiting = rows["US", "m2", "q1"]
    assert (waiting["status"], waiting["id"], waiting["output"]) == ("running", None, None)
    good, bad = rows["US", "m1", "q1"], rows["US", "m1", "q2"]
    assert (good["status"], good["output"]["response"], good["error"]) == ("completed", "one", None)
    assert good["id"] is not None
    assert good["execution_id"] is None
    assert good["provider_id"] == "sandbox-us"
    assert (bad["status"], bad["error"], bad["error_detail"]["code"]) == ("failed", "no answer to q2", "http_503")

    api.answer(job_id, "US", token, {("m2", "q1"): None, ("m2", "q2"): None})
    api.record(job_id, "US", token, {"m1": True, "m2": False}, receipt=True)
    api.finish(job_id, "EU", {"m1": True, "m2": True})
    ended = api.get(f"/jobs/{job_id}?include=executions")
    assert ended["status"] == "completed"
    assert ended["completed_at"].endswith("Z")
    assert ended["progress"]["completed"] == 3
    assert ended["progress"]["failed"] == 1
    assert ended["cross_region"]["status"] == "completed"
    assert (ended["cross_region"]["success_count"], ended["cross_region"]["total_regions"]) == (2, 2)
    rows = {(r["region"], r["model_id"], r["question_id"]): r for r in ended["executions"]}
    assert rows["US", "m1", "q1"]["has_receipt"] is True
    assert rows["US", "m1", "q1"]["execution_id"] != rows["US", "m1", "q1"]["id"]
    assert rows["EU", "m1", "q1"]["has_receipt"] is False
    newest = [r["created_at"] for r in ended["executions"]]
    assert newest == sorted(newest, reverse=True)


def test_a_job_without_questions_has_one_row_a_model(api: Api) -> None:
    benchmark = {
        "name": "one prompt",
        "container": {"image": "i"},
        "input": {"data": {"prompt": "Who are you?"}, "hash": "sha256:placeholder"},
    }
    job_id = api.submit(questions=None, benchmark=benchmark)
    api.finish(job_id, "US", {"m1": True})
    rows = rows_of(api, job_id)
    assert [(r["region"], r["question_id"], r["status"]) for r in rows] == [
        ("EU", None, "pending"),
        ("US", None, "completed"),
    ]
    assert rows[1]["output"]["response"] == "m1 says prompt"
    assert all("run_no" not in r for r in rows)


def test_runs_are_numbered_when_there_are_several(api: Api) -> None:
    rows = rows_of(api, api.submit(runs=3, questions=["q1"], constraints={"regions": ["US"]}))
    assert [r["run_no"] for r in rows] == [1, 2, 3]


def test_a_unit_that_ended_without_an_answer_says_how(api: Api) -> None:
    job_id = api.submit(questions=["q1", "q2"], models=["m1", "m2"], constraints={"regions": ["US"]})
    token = api.claim(job_id, "US")
    api.answer(job_id, "US", token, {("m1", "q1"): "in time"})
    reason = json.dumps({"code": "timeout", "message": "The region's time is over."})
    api.sql("SELECT * FROM end_units(ARRAY[%s], ARRAY['US'], 'failed', ARRAY[%s::jsonb])", job_id, reason)
    shown = {(r["model_id"], r["question_id"]): (r["status"], r["error"]) for r in rows_of(api, job_id)}
    late = ("failed", "The region's time is over.")
    assert shown == {("m1", "q1"): ("completed", None), ("m1", "q2"): late, ("m2", "q1"): late, ("m2", "q2"): late}
    assert all(r["id"] is not None for r in rows_of(api, job_id))


def without_kept_outcomes(api: Api) -> list[dict[str, Any]]:
    """The list of jobs as it is for those that ended before jobs kept their outcome."""
    api.sql("UPDATE jobs SET outcome = NULL, completed_units = NULL, failed_units = NULL, cancelled_units = NULL")
    listed: list[dict[str, Any]] = api.get("/jobs")["jobs"]
    return listed


@pytest.mark.parametrize(
    ("good", "rate", "min_regions", "cross", "job"),
    [
        (3, 0.67, 1, "completed", "completed"),
        (2, 0.67, 1, "partial", "completed"),
        (2, 0.66, 1, "completed", "completed"),
        (2, 0.67, 3, "failed", "failed"),
        (0, 0, 1, "failed", "failed"),
    ],
)
def test_the_cross_region_status(api: Api, good: int, rate: float, min_regions: int, cross: str, job: str) -> None:
    job_id = api.submit(
        constraints={"regions": ["US", "EU", "ASIA"], "min_success_rate": rate, "min_regions": min_regions}
    )
    for number, region in enumerate(["US", "EU", "ASIA"]):
        api.finish(job_id, region, {"m1": number < good})
    by_job = api.get(f"/executions/{job_id}/cross-region")
    assert by_job["cross_region_execution"]["status"] == cross
    assert api.get(f"/jobs/{job_id}")["status"] == job
    assert by_job == api.get(f"/executions/{by_job['cross_region_execution']['id']}/cross-region")
    execution = by_job["cross_region_execution"]
    assert execution["jobspec_id"] == job_id
    assert (execution["total_regions"], execution["success_count"], execution["failure_count"]) == (3, good, 3 - good)
    assert (execution["min_regions_required"], execution["min_success_rate"]) == (min_regions, rate)
    assert execution["duration_ms"] >= 0
    results = {r["region"]: r for r in by_job["region_results"]}
    assert [results[r]["status"] for r in ("US", "EU", "ASIA")] == ["success"] * good + ["failed"] * (3 - good)
    failed = [r for r in results.values() if r["status"] == "failed"]
    assert all(r["error_message"] == "the provider is away" for r in failed)
    assert results["US"]["metadata"] == {"attempts": 1, "models": ["m1"]}
    summary = by_job["summary"]
    assert (summary["completed_units"], summary["failed_units"], summary["answers"]) == (good, 3 - good, 2 * good)
    assert cross in summary["text"]
    assert [listed["cross_region_status"] for listed in api.get("/jobs")["jobs"]] == [cross]
    assert [listed["cross_region_status"] for listed in without_kept_outcomes(api)] == [cross]


def test_a_region_pends_runs_and_waits_again(api: Api) -> None:
    job_id = api.submit()
    api.claim(job_id, "US")

    def statuses() -> dict[str, str]:
        found = api.get(f"/executions/{job_id}/cross-region")["region_results"]
        return {r["region"]: r["status"] for r in found}

    assert statuses() == {"EU": "pending", "US": "running"}
    api.sql("UPDATE region_runs SET lease_token = NULL, lease_expires_at = NULL")
    assert statuses() == {"EU": "pending", "US": "pending"}


def test_the_version_is_the_etag(api: Api) -> None:
    job_id = api.submit()
    first = api.client.get(f"/api/v1/jobs/{job_id}")
    tag = first.headers["ETag"]
    assert tag == 'W/"1"'
    same = api.client.get(f"/api/v1/jobs/{job_id}", headers={"If-None-Match": tag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", tag)
    token = api.claim(job_id, "US")
    moved = api.client.get(f"/api/v1/jobs/{job_id}", headers={"If-None-Match": tag})
    assert moved.status_code == 200
    rows = api.client.get(f"/api/v1/jobs/{job_id}?include=executions").headers["ETag"]
    api.answer(job_id, "US", token, {("m1", "q1"): "one"})
    with_rows = api.client.get(f"/api/v1/jobs/{job_id}?include=executions", headers={"If-None-Match": rows})
    assert with_rows.status_code == 200, "an answer changes the rows, not the job"
    without = api.client.get(f"/api/v1/jobs/{job_id}", headers={"If-None-Match": moved.headers["ETag"]})
    assert without.status_code == 304


def test_details_and_receipt_by_either_id(api: Api) -> None:
    job_id = api.submit()
    token = api.claim(job_id, "US")
    api.answer(job_id, "US", token, {("m1", "q1"): "one"})
    open_id = next(r["id"] for r in rows_of(api, job_id) if r["id"])
    running = api.get(f"/executions/{open_id}/details")
    assert (running["status"], running["execution_id"], len(running["answers"])) == ("running", None, 1)
    assert api.client.get(f"/api/v1/executions/{open_id}/receipt").status_code == 404
    api.answer(job_id, "US", token, {("m1", "q2"): None})
    api.record(job_id, "US", token, {"m1": True}, receipt=True)
    row = next(r for r in rows_of(api, job_id) if r["question_id"] == "q1" and r["region"] == "US")
    assert row["id"] != row["execution_id"]
    by_answer, by_execution = (api.get(f"/executions/{row[name]}/details") for name in ("id", "execution_id"))
    assert by_answer == by_execution
    assert by_answer["status"] == "completed"
    assert by_answer["parameters"] == {"temperature": 0.1}
    assert [(a["question_id"], a["status"], a["calls"]) for a in by_answer["answers"]] == [
        ("q1", "ok", 1),
        ("q2", "failed", 1),
    ]
    assert by_answer["receipt"] == api.get(f"/executions/{row['id']}/receipt") == {"job_id": job_id, "signature": "s"}


@pytest.mark.parametrize("result_id", ["0", "999", "x", "-1", "1.5", "9" * 18, "9" * 30])
def test_an_execution_that_is_not_there(api: Api, result_id: str) -> None:
    for what in ("details", "receipt", "cross-region"):
        answer = api.client.get(f"/api/v1/executions/{result_id}/{what}")
        assert (answer.status_code, answer.get_json()["error_code"]) == (404, "not_found")


def test_the_timeline(api: Api) -> None:
    job_id = api.submit()
    api.finish(job_id, "US", {"m1": True})
    api.finish(job_id, "EU", {"m1": False})
    found = api.get(f"/jobs/{job_id}/events")
    assert [e["type"] for e in found["events"]] == [
        "submitted",
        "region_claimed",
        "execution_recorded",
        "region_finished",
        "region_claimed",
        "execution_recorded",
        "region_finished",
        "job_completed",
    ]
    assert [e["seq"] for e in found["events"]] == list(range(1, 9))
    assert found["version"] == 8
    later = api.get(f"/jobs/{job_id}/events?after=6&limit=1")["events"]
    assert [e["seq"] for e in later] == [7]


def test_an_unknown_job(api: Api) -> None:
    for path in ("", "/executions/all", "/events", "?include=executions"):
        for name in ("nobody", "%00", "a%20b", "x" * 300):
            answer = api.client.get(f"/api/v1/jobs/{name}{path}")
            assert (answer.status_code, answer.get_json()["error_code"]) == (404, "not_found"), (name, path)


def test_both_cross_region_views_agree(api: Api) -> None:
    job_id = api.submit()
    for claimed in (False, True):
        if claimed:
            api.finish(job_id, "US", {"m1": True})
        in_job = api.get(f"/jobs/{job_id}")["cross_region"]
        by_itself = api.get(f"/executions/{job_id}/cross-region")["cross_region_execution"]
        assert in_job == {name: by_itself[name] for name in in_job}
