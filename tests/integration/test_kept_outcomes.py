"""What an ended job keeps for lists: the same as is counted, gone with a retry, and of no weight while the job runs."""

import re
from typing import Any

import pytest

from tests.integration.api_client import ADMIN_HEADER, Api

KEPT = "outcome, completed_units, failed_units, cancelled_units"
FORGET = "UPDATE jobs SET outcome = NULL, completed_units = NULL, failed_units = NULL, cancelled_units = NULL"


def kept(api: Api, job_id: str) -> tuple[Any, ...]:
    return api.sql(f"SELECT {KEPT} FROM jobs WHERE id = %s", job_id)[0]  # noqa: S608 - ours


def listed(api: Api) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """The API's list, that of ended jobs, and the portal's page."""
    by_status = [
        row for status in ("completed", "failed", "cancelled") for row in api.get(f"/jobs?status={status}")["jobs"]
    ]
    page = api.client.get("/")
    assert page.status_code == 200
    return [shown(row) for row in api.get("/jobs")["jobs"]], [shown(row) for row in by_status], table(page.text)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """What a list says of a job, without the number of failed units, which is kept alone."""
    return {name: value for name, value in row.items() if name != "failed_units"}


def table(page: str) -> str:
    """The list on the page without its ages: a second may pass between two readings of the same jobs."""
    return re.sub(r"(<time [^>]*>)[^<]*(?=</time>)", r"\1", page.partition('id="jobs-region"')[2])


@pytest.fixture
def ended(api: Api) -> dict[str, str]:
    """A job of each outcome, by outcome; two regions with two models."""
    regions = {"regions": ["US", "EU"], "min_regions": 1}
    jobs = {name: api.submit(models=["m1", "m2"], constraints=regions) for name in ("completed", "partial", "failed")}
    good, mixed, bad = {"m1": True, "m2": True}, {"m1": True, "m2": False}, {"m1": False, "m2": False}
    for job_id, results in zip(jobs.values(), ((good, mixed), (mixed, bad), (bad, bad)), strict=True):
        for region, units in zip(("US", "EU"), results, strict=True):
            api.finish(job_id, region, units)
    jobs["cancelled"] = api.submit(models=["m1", "m2"], constraints=regions)
    api.finish(jobs["cancelled"], "US", mixed)
    assert api.client.post(f"/api/v1/jobs/{jobs['cancelled']}/cancel", headers=ADMIN_HEADER).status_code == 200
    return jobs


def test_an_ended_job_keeps_its_outcome_and_its_units(api: Api, ended: dict[str, str]) -> None:
    assert {name: kept(api, job_id) for name, job_id in ended.items()} == {
        "completed": ("completed", 3, 1, 0),
        "partial": ("partial", 1, 3, 0),
        "failed": ("failed", 0, 4, 0),
        "cancelled": ("cancelled", 1, 1, 2),
    }


def test_lists_show_what_is_kept_as_what_is_counted(api: Api, ended: dict[str, str]) -> None:
    """A job that ended before jobs kept anything looks the same."""
    api.submit()
    api.client.post("/login", data={"token": ADMIN_HEADER["Authorization"].partition(" ")[2]})
    of_kept = listed(api)
    assert [row["cross_region_status"] for row in of_kept[1]] == ["partial", "completed", "failed", "cancelled"]
    assert of_kept[2].count("/jobs/job-") >= 5
    api.sql(FORGET)
    assert listed(api) == of_kept


def test_a_retry_forgets_it_and_the_next_end_keeps_it_anew(api: Api, ended: dict[str, str]) -> None:
    job_id = ended["partial"]
    assert api.client.post(f"/api/v1/jobs/{job_id}/retry", headers=ADMIN_HEADER).status_code == 202
    assert kept(api, job_id) == (None, None, None, None)
    for region, units in (("US", {"m2": True}), ("EU", {"m1": True, "m2": True})):
        api.finish(job_id, region, units)
    assert kept(api, job_id) == ("completed", 4, 0, 0)


def test_what_a_process_of_the_release_before_left_counts_for_nothing(api: Api) -> None:
    """Its retry does not know the columns."""
    job_id = api.submit()
    api.sql("UPDATE jobs SET outcome = 'failed', completed_units = 0, failed_units = 2, cancelled_units = 0")
    assert [row["cross_region_status"] for row in api.get("/jobs")["jobs"]] == ["running"]
    api.client.post("/login", data={"token": ADMIN_HEADER["Authorization"].partition(" ")[2]})
    assert "0/2" in api.client.get("/").text.replace(" ", "")
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True})
    assert kept(api, job_id) == ("completed", 2, 0, 0)
