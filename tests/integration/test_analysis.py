"""The analysis of a job as the API answers it: its states, its tag, and an analysis that a client names."""

from collections.abc import Callable
from typing import Any

import pytest

from runner_core.method_page import METHOD_ID
from tests.integration.analysed_jobs import add_label, analysed, ended, snapshot
from tests.integration.api_client import ADMIN_HEADER, Api

OTHER = {"method": "beacon-compare/0"}


def read(api: Api, job_id: str, query: str = "") -> Any:
    return api.get(f"/jobs/{job_id}/analysis{query}")


def test_a_job_that_runs_or_waits_for_its_analysis_has_no_number(api: Api) -> None:
    job_id = api.submit()
    running = read(api, job_id)
    assert (running["state"], running["previous"]) == ("pending", None)
    assert "still runs" in running["text"]
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})
    waiting = read(api, job_id)
    assert (waiting["state"], waiting["text"]) == ("pending", "The comparison is being computed.")
    assert set(waiting) == {"job_id", "state", "text", "job_version", "label_id", "previous"}


def test_a_ready_analysis_is_the_stored_result(api: Api) -> None:
    job_id = ended(api)
    result = analysed(api, job_id)
    found = read(api, job_id)
    assert {name: found[name] for name in result} == result
    assert (found["state"], found["current"], found["job_id"], found["method"]) == ("ready", True, job_id, METHOD_ID)
    assert (found["job_version"], found["label_id"]) == (snapshot(api, job_id).state.job_version, 0)
    assert found["computed_at"].endswith("Z")
    assert found["models"][0]["model_id"] == "m1"


def _one_region(api: Api) -> str:
    job_id = api.submit(constraints={"regions": ["US"]})
    api.finish(job_id, "US", {"m1": True})
    return job_id


def _one_region_each(api: Api) -> str:
    """Two regions, and no model that both have."""
    return api.submit(models=["m2", "llama3.2-1b"], constraints={"regions": ["US"]})


def _cancelled(api: Api) -> str:
    job_id = api.submit()
    answer = api.client.post(f"/api/v1/jobs/{job_id}/cancel", headers=ADMIN_HEADER)
    assert answer.status_code == 200
    return job_id


def _too_old(api: Api) -> str:
    job_id = ended(api)
    api.sql("UPDATE jobs SET completed_at = completed_at - interval '30 days' WHERE id = %s", job_id)
    return job_id


@pytest.mark.parametrize(
    ("made", "expected", "word"),
    [
        (_one_region, "one_region", "two regions"),
        (_one_region_each, "one_region", "two regions"),
        (_cancelled, "off", "cancelled"),
        (_too_old, "off", "before this database"),
    ],
)
def test_a_job_that_is_not_compared_says_why(api: Api, made: Callable[[Api], str], expected: str, word: str) -> None:
    found = read(api, made(api))
    assert found["state"] == expected
    assert word in found["text"]


def test_a_job_may_want_no_analysis(api: Api) -> None:
    job_id = ended(api)
    api.sql("UPDATE jobs SET enable_analysis = false WHERE id = %s", job_id)
    found = read(api, job_id)
    assert (found["state"], "enable_analysis" in found["text"]) == ("off", True)


def test_a_label_makes_the_analysis_pending_and_the_earlier_one_stays(api: Api) -> None:
    job_id = ended(api)
    first = analysed(api, job_id)
    add_label(api, job_id)
    found = read(api, job_id)
    assert (found["state"], "again" in found["text"]) == ("pending", True)
    assert found["previous"]["input_sha256"] == first["input_sha256"]
    earlier = api.client.get(found["previous"]["href"]).get_json()
    assert (earlier["state"], earlier["current"], earlier["headline"]) == ("ready", False, first["headline"])
    second = analysed(api, job_id)
    newest = read(api, job_id)
    assert (newest["state"], newest["input_sha256"]) == ("ready", second["input_sha256"])
    assert newest["label_id"] > 0
    assert newest["labels"]["human"] == 1
    assert newest["input_sha256"] != first["input_sha256"]
    assert read(api, job_id, f"?at={first['input_sha256']}")["current"] is False


def test_an_analysis_by_another_method_is_read_by_its_name(api: Api) -> None:
    job_id = ended(api)
    analysed(api, job_id, **OTHER)
    query = "?method=beacon-compare/0"
    assert read(api, job_id, query)["job_version"] == snapshot(api, job_id).state.job_version
    add_label(api, job_id)
    assert read(api, job_id, query)["state"] == "ready"
    assert read(api, job_id)["state"] == "pending"
    assert read(api, job_id)["previous"]["href"].endswith("&method=beacon-compare%2F0")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"?at={'0' * 64}", 404),
        ("?at=abc", 422),
        (f"?at={'A' * 64}", 422),
        ("?method=beacon-compare/7", 404),
        ("?method=%00", 422),
        ("?method=&at=", 200),
    ],
)
def test_what_a_client_may_name(api: Api, query: str, status: int) -> None:
    answer = api.client.get(f"/api/v1/jobs/{api.submit()}/analysis{query}")
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("plus", ["+", "%2B"])
def test_a_method_is_named_with_or_without_quoting(api: Api, plus: str) -> None:
    job_id = ended(api)
    query = f"?method={METHOD_ID}".replace("+", plus)
    assert api.client.get(f"/api/v1/jobs/{job_id}/analysis{query}").status_code == 404
    analysed(api, job_id)
    assert read(api, job_id, query)["method"] == METHOD_ID


def test_an_unknown_job_is_not_found(api: Api) -> None:
    assert api.client.get("/api/v1/jobs/nobody/analysis").status_code == 404


def test_a_client_that_has_it_gets_304_until_it_changes(api: Api) -> None:
    job_id = ended(api)
    path = f"/api/v1/jobs/{job_id}/analysis"
    tags = [api.client.get(path).headers["ETag"]]

    def again() -> int:
        return api.client.get(path, headers={"If-None-Match": tags[-1]}).status_code

    assert again() == 304
    analysed(api, job_id)
    assert again() == 200
    tags.append(api.client.get(path).headers["ETag"])
    assert again() == 304
    add_label(api, job_id)
    assert again() == 200
    assert len(set(tags)) == 2
