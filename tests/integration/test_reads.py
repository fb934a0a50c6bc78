"""Reading: each endpoint says what the tables say, in the contract's words."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner_core.queries import statements
from runner_core.store import answers
from runner_core.store.answers import Started
from tests.integration.api_client import ADMIN_HEADER, Api

ROW = {
    "id",
    "execution_id",
    "job_id",
    "region",
    "model_id",
    "question_id",
    "status",
    "provider_id",
    "started_at",
    "completed_at",
    "created_at",
    "duration_ms",
    "output",
    "error",
    "error_detail",
    "has_receipt",
    "retry_count",
}


def rows_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.get(f"/jobs/{job_id}/executions/all")["executions"]
    return sorted(rows, key=lambda r: (r["region"], r["model_id"], r["question_id"] or "", r.get("run_no", 1)))


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
    assert all(set(r) == ROW for r in rows.values())
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


def test_head_is_get_without_a_body(api: Api) -> None:
    job_id = api.submit()
    got, head = api.client.get(f"/api/v1/jobs/{job_id}"), api.client.head(f"/api/v1/jobs/{job_id}")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(got.data))


def test_jobs_are_listed_newest_first_and_paged_by_place(api: Api) -> None:
    ids = [api.submit() for _ in range(5)]
    api.claim(ids[1], "US")
    first = api.get("/jobs?limit=2")
    assert [j["id"] for j in first["jobs"]] == [ids[4], ids[3]]
    assert set(first["jobs"][0]) == {
        "id",
        "status",
        "cross_region_status",
        "created_at",
        "updated_at",
        "regions",
        "models",
    }
    assert sorted(first["jobs"][0]["regions"]) == ["EU", "US"]
    assert first["jobs"][0]["models"] == ["m1"]
    api.submit()  # what comes meanwhile moves nothing
    second = api.get(f"/jobs?limit=2&cursor={first['next_cursor']}")
    assert [j["id"] for j in second["jobs"]] == [ids[2], ids[1]]
    third = api.get(f"/jobs?limit=2&cursor={second['next_cursor']}")
    assert ([j["id"] for j in third["jobs"]], third["next_cursor"]) == ([ids[0]], None)
    assert [j["id"] for j in api.get("/jobs?status=running")["jobs"]] == [ids[1]]
    assert api.get("/jobs?status=failed") == {"jobs": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "limit=-1", "limit=", "limit=1e2", f"limit={'9' * 40}"),
        *("status=done", "cursor=x", f"cursor={'A' * 99}"),
        *(
            f"cursor={b64encode(place).decode()}"
            for place in (b"2026-99-99T00:00:00Z a", b"0001-01-01T00:00:00+23:00 a")
        ),
    ],
)
def test_a_list_asked_for_wrongly(api: Api, query: str) -> None:
    answer = api.client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "validation_error")


def test_executions_of_all_jobs(api: Api) -> None:
    job_id = api.submit(models=["m1", "m2"])
    api.finish(job_id, "US", {"m1": True, "m2": False})
    listed = api.get("/executions?limit=1&offset=1")
    assert (len(listed["executions"]), listed["limit"], listed["offset"]) == (1, 1, 1)
    both = api.get("/executions")["executions"]
    assert {(r["model_id"], r["status"]) for r in both} == {("m1", "completed"), ("m2", "failed")}
    assert all(set(r) == ROW for r in both)
    assert api.client.get("/api/v1/executions?offset=-1").status_code == 422


def test_executions_are_read_on_with_a_cursor(api: Api) -> None:
    """Page by page every execution comes once, newest first, and what ends meanwhile moves no page."""
    jobs = [api.submit(constraints={"regions": ["US"]}) for _ in range(5)]
    for job_id in jobs:
        api.finish(job_id, "US", {"m1": True})
    everything = [row["id"] for row in api.get("/executions")["executions"]]
    assert len(everything) == 5
    assert api.get("/executions")["next_cursor"] is None
    first = api.get("/executions?limit=2")
    api.finish(api.submit(constraints={"regions": ["US"]}), "US", {"m1": True})
    second = api.get(f"/executions?limit=2&cursor={first['next_cursor']}")
    third = api.get(f"/executions?limit=2&cursor={second['next_cursor']}")
    assert [row["id"] for page in (first, second, third) for row in page["executions"]] == everything
    assert third["next_cursor"] is None
    skipped = api.get(f"/executions?limit=2&offset=1&cursor={first['next_cursor']}")
    assert [row["id"] for row in skipped["executions"]] == everything[3:5]


@pytest.mark.parametrize("offset", ["10001", "1000000", "9" * 30])
def test_a_large_offset_is_refused_with_the_way_out(api: Api, offset: str) -> None:
    answer = api.client.get(f"/api/v1/executions?offset={offset}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (400, "offset_too_large")
    assert "next_cursor" in answer.get_json()["detail"]
    assert api.get("/executions?offset=10000")["executions"] == []


@pytest.mark.parametrize(
    "query",
    ["offset=-1", "offset=x", "offset=1e3", "cursor=x", f"cursor={b64encode(b'2026-01-01T00:00:00Z job').decode()}"],
)
def test_executions_asked_for_wrongly(api: Api, query: str) -> None:
    """A cursor of the list of jobs is none of this list."""
    answer = api.client.get(f"/api/v1/executions?{query}")
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "validation_error")


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


def test_the_catalogue(api: Api) -> None:
    assert {"id": "q1", "text": "What is one?"} in api.get("/questions")["questions"]
    models = {m["id"]: m for m in api.get("/models")["models"]}
    assert models["m1"] == {"id": "m1", "regions": ["US", "EU", "ASIA"], "default": True}
    regions = {r["name"]: r for r in api.get("/regions")["regions"]}
    assert "us-east" in regions["US"]["aliases"]
    assert regions["ASIA"]["models"] == ["m1"]


def test_readers_need_a_token_where_that_is_configured(make_api: Callable[..., Api]) -> None:
    token = "a-reader's-token-that-is-long-enough-012345"
    api = make_api(READ_TOKENS=f"portal:{token}")
    job_id = api.submit()
    path = f"/api/v1/jobs/{job_id}"
    refused = api.client.get(path)
    assert (refused.status_code, refused.get_json()["error_code"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert api.client.head(path).status_code == 401
    assert api.client.get(path, headers={"Authorization": f"Bearer {token[:-1]}"}).status_code == 401
    assert api.client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert api.client.get(path, headers=ADMIN_HEADER).status_code == 200
    assert api.client.get("/health/live").status_code == 200


def test_a_request_has_an_id(api: Api) -> None:
    assert api.client.get("/health/live", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    for malformed in ("", "a b", "x" * 129, "é"):
        sent = api.client.get("/health/live", headers={"X-Request-ID": malformed}).headers["X-Request-ID"]
        assert len(sent) == 32


def test_other_origins_only_where_allowed(make_api: Callable[..., Api]) -> None:
    origin = {"Origin": "https://portal.example"}
    assert "Access-Control-Allow-Origin" not in make_api().client.get("/health/live", headers=origin).headers
    api = make_api(CORS_ORIGINS="https://portal.example")
    answer = api.client.get("/health/live", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://portal.example"
    assert "Origin" in answer.headers["Vary"]
    other = api.client.get("/health/live", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    preflight = api.client.options("/api/v1/jobs", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]


def test_a_job_tells_what_it_waits_for(api: Api) -> None:
    def waiting() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"/jobs/{job_id}")["waiting"]
        return found

    job_id = api.submit(constraints={"regions": ["US"]})
    assert "no publisher is alive" in waiting()[0]["text"]
    for kind, region in (("publisher", None), ("worker", "US")):
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES (%s, %s, %s, 'h', 1, '0')",
            kind,
            kind,
            region,
        )
    assert "a publisher is about to send it" in waiting()[0]["text"]
    # A Redis that is away counts against no message: workers are not to blame.
    api.sql("UPDATE outbox SET created_at = now() - interval '2 minutes'")
    late = waiting()[0]
    assert late["text"].endswith("though a publisher is alive: Redis may be away.")
    assert (late["subject"], late["remedy"], late["serious"]) == ("US", "beacon doctor", True)
    api.sql("UPDATE outbox SET processed_at = now()")
    assert "1 worker is alive and busy or about to take it" in waiting()[0]["text"]
    api.finish(job_id, "US", {"m1": False})
    assert sorted((one["subject"], one["text"]) for one in waiting()) == [
        ("http_503", "m1 in US: no answer to q1"),
        ("http_503", "m1 in US: no answer to q2"),
    ]


def test_a_late_job_names_who_is_silent_and_who_does_not_answer(api: Api) -> None:
    def waiting() -> dict[str, str]:
        return {one["subject"]: one["text"] for one in api.get(f"/jobs/{job_id}")["waiting"]}

    def process(name: str, pid: int, started: int, seen: int) -> None:
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version, started_at, seen_at) VALUES"
            " (%s, 'worker', 'EU', 'h', %s, '0', now() - make_interval(secs => %s), now() - make_interval(secs => %s))",
            *(name, pid, started, seen),
        )

    job_id = api.submit(constraints={"regions": ["US", "EU"], "min_regions": 2})
    api.sql("UPDATE outbox SET processed_at = now()")
    process("long gone", 1, 900, 600)
    process("silent", 2, 300, 79)
    assert waiting()["EU"].endswith("and no worker of EU is alive: process 2 on h has been silent for 79 s.")
    remedy = api.get(f"/jobs/{job_id}")["waiting"][1]["remedy"]
    assert remedy.startswith("kill -9 2 if it hangs")
    assert remedy.endswith("python -m runner_worker --region EU")
    process("its heir", 3, 60, 1)
    assert "1 worker is alive" in waiting()["EU"], "who was replaced is not told of"

    token = api.claim(job_id, "US")
    with api.worker.transaction() as conn:
        answers.start(conn, [Started(job_id, "US", "m1", "q1", 1, "slow-us", token)]).fetchall()
    assert waiting()["US"] == "0 of 2 calls are done after 0 s."
    api.sql("UPDATE answers SET started_at = now() - interval '64 seconds'")
    asked = "slow-us has not answered for 64 s; a call is given up after 5 min."
    assert waiting()["US"] == f"0 of 2 calls are done after 0 s. {asked}"

    api.finish(job_id, "EU", {"m1": False})
    told = waiting()
    assert told["EU"] == "It failed: http_503."
    assert told["Job"] == "2 regions must succeed, and only 1 still can: it will end as failed."


def test_both_cross_region_views_agree(api: Api) -> None:
    job_id = api.submit()
    for claimed in (False, True):
        if claimed:
            api.finish(job_id, "US", {"m1": True})
        in_job = api.get(f"/jobs/{job_id}")["cross_region"]
        by_itself = api.get(f"/executions/{job_id}/cross-region")["cross_region_execution"]
        assert in_job == {name: by_itself[name] for name in in_job}


def test_no_address_and_no_method(api: Api) -> None:
    nowhere = api.client.get("/nowhere/<script>")
    assert (nowhere.status_code, nowhere.get_json()["error_code"]) == (404, "not_found")
    assert "<" not in nowhere.get_json()["instance"]
    wrong = api.client.delete("/api/v1/jobs")
    assert (wrong.status_code, wrong.get_json()["error_code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    assert wrong.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "index", "values"),
    [
        ("reads.jobs", "jobs_created_idx", {}),
        ("reads.jobs_by_status", "jobs_by_status_idx", {"status": "queued"}),
        ("reads.jobs_by_status", "jobs_by_status_idx", {"status": "completed"}),
    ],
)
def test_a_page_of_jobs_comes_from_an_index(
    conn: "psycopg.Connection[Any]", name: str, index: str, values: dict[str, str]
) -> None:
    """However many jobs there are, a page reads as many as it shows."""
    conn.execute(
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, digest, spec, spec_raw, status, completed_at, created_at)"
        " SELECT 'old-' || n, '{\"US\": [\"m1\"]}', '[]', 1, 1, 1, 1, now(), '', '{}', '', 'completed', now(),"
        " now() - make_interval(secs => n) FROM generate_series(1, 3000) n"
    )
    conn.execute("ANALYZE jobs")
    statement = statements()[name].sql
    place = {"before": "infinity", "before_id": "", "page": 50, "progress": True}
    plan = [line for (line,) in conn.execute(b"EXPLAIN " + statement, {**place, **values}).fetchall()]
    limit = next(number for number, line in enumerate(plan) if "Limit" in line)
    assert f"{index} on jobs" in plan[limit + 1], plan


@pytest.mark.parametrize("name", ["reads.outbox_counts", "metrics.outbox"])
def test_the_outbox_is_counted_from_its_indexes(conn: "psycopg.Connection[Any]", name: str) -> None:
    """Whatever a year of processed messages left behind, only what waits or is dead is read."""
    job = (
        "INSERT INTO jobs (id, plan, questions, min_regions, min_success_rate, timeout_seconds,"
        " provider_timeout_seconds, queued_until, digest, spec, spec_raw)"
        " VALUES ('j', '{\"US\": [\"m1\"]}', '[]', 1, 1, 1, 1, now(), '', '{}', '')"
    )
    conn.execute(job)
    conn.execute(
        "INSERT INTO outbox (job_id, topic, payload, created_at, processed_at, dead_at)"
        " SELECT 'j', 'beacon-us', '{}', now() - interval '1 hour', CASE WHEN n > 7 THEN now() END,"
        " CASE WHEN n <= 2 OR n > 2990 THEN now() END FROM generate_series(1, 3000) n"
    )
    conn.execute("ANALYZE outbox")
    statement = statements()[name].sql
    most = {"most": 1000}
    plan = "\n".join(line for (line,) in conn.execute(b"EXPLAIN " + statement, most).fetchall())
    assert "outbox_unprocessed_idx" in plan
    assert "outbox_dead_idx" in plan
    assert "Seq Scan" not in plan
    found = conn.execute(statement, most).fetchall()[0]
    assert found[:2] == (5, 2)
    assert 3600 <= found[2] < 3700
    assert conn.execute(statement, {"most": 3}).fetchall()[0][:2] == (3, 2), "counted no further than that"
