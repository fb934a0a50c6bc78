"""Retry and cancel for many jobs at once: asked first, one by one, stopped and gone on with, and never twice."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runner_api.portal import selected
from runner_core.store import job_lists
from tests.integration.api_client import Api
from tests.integration.portal_pages import get, log_in

FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


def fields(page: str) -> dict[str, Any]:
    """The hidden fields of a page's form; those of one name as a list."""
    found: dict[str, Any] = {}
    for name, value in FIELD.findall(page.partition("<main")[2]):
        found[name] = [*found.get(name, []), value]
    return {name: values if name == "refused" else values[0] for name, values in found.items()}


def ask(client: FlaskClient, do: str, path: str = "/", jobs: tuple[str, ...] = ()) -> str:
    """Press a button of the list; returns the page that asks."""
    answer = client.post("/selected", data={**fields(client.get(path).text), "do": do, "job": list(jobs)})
    assert answer.status_code == 200, answer.text
    return answer.text


def confirm(client: FlaskClient, page: str) -> TestResponse:
    answer = client.post("/selected/run", data=fields(page))
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return log_in(api)


def half(api: Api) -> str:
    """A job of four units, two of them failed."""
    job_id = api.submit(models=["m1", "m2"])
    for region in ("US", "EU"):
        api.finish(job_id, region, {"m1": True, "m2": False})
    return job_id


def status(api: Api, job_id: str) -> str:
    return str(api.get(f"/jobs/{job_id}")["status"])


def test_the_selected_jobs_are_retried(api: Api, client: FlaskClient) -> None:
    bad, other, whole = half(api), half(api), api.submit()
    page = ask(client, "retry", jobs=(bad, whole, "nobody"))
    assert "Retry the failed units of 1 job?" in page
    assert "1 other job of the 2 has no failed unit to retry" in page
    assert "At most 4 calls" in page
    assert "Each call is paid for." in page
    assert status(api, bad) == "completed", "nothing happens before it is confirmed"
    assert "1 job run again." in confirm(client, page).text
    assert (status(api, bad), status(api, other)) == ("running", "completed")


def test_all_that_match_are_those_at_the_click(api: Api, client: FlaskClient) -> None:
    old = [half(api) for _ in range(3)]
    page = ask(client, "retry-all", "/?status=partial&model=m2")
    assert "Retry the failed units of 3 jobs?" in page
    later = half(api)
    assert "3 jobs run again." in confirm(client, page).text
    assert [status(api, job_id) for job_id in [*old, later]] == [*["running"] * 3, "completed"]


def test_a_form_that_is_sent_twice_acts_once(api: Api, client: FlaskClient) -> None:
    bad = half(api)
    page = ask(client, "retry", jobs=(bad,))
    for _ in range(2):
        assert "1 job run again." in confirm(client, page).text
    assert api.sql("SELECT count(*) FROM job_events WHERE type = 'retry_requested'") == [(1,)]


def test_open_jobs_are_cancelled_and_a_refusal_names_its_job(api: Api, client: FlaskClient) -> None:
    first, second, ended = api.submit(), api.submit(), half(api)
    page = ask(client, "cancel-all")
    assert "Cancel 2 jobs?" in page
    assert ended not in page
    api.client.post(f"/api/v1/jobs/{first}/cancel", headers={"Authorization": "Bearer " + api.env["ADMIN_TOKENS"][7:]})
    said = confirm(client, page).text
    assert "1 job cancelled, 1 refused." in said
    assert "The job has ended already" in said
    assert f'href="/jobs/{first}"' in said
    assert status(api, second) == "cancelled"


def test_it_goes_on_where_it_stopped(api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has no more time leaves the rest to the next one; each button press does some."""
    monkeypatch.setattr(selected, "SECONDS", 0.0)
    jobs = [api.submit() for _ in range(3)]
    page = ask(client, "cancel-all")
    page = confirm(client, page).text
    assert "1 job cancelled; 2 of 3 left." in page
    assert 'id="stop"' in page
    assert sorted(status(api, job_id) for job_id in jobs) == ["cancelled", "queued", "queued"], "one job a transaction"
    page = confirm(client, page).text
    page = confirm(client, page).text
    assert "3 jobs cancelled." in page
    assert 'id="goes-on"' not in page


def test_one_confirmation_has_a_limit(api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected, "MAX_JOBS", 2)
    for _ in range(3):
        api.submit()
    page = ask(client, "cancel-all")
    assert "Cancel 2 jobs?" in page
    assert "Older jobs may match too." in page
    form = fields(page)
    assert client.post("/selected/run", data={**form, "jobs": "a b c"}).status_code == 422


def further(client: FlaskClient, page: str) -> str:
    """Press the button that goes on with older jobs."""
    form = page.partition('id="look-further"')[0].rpartition("<form")[2]
    return client.post("/selected", data=dict(FIELD.findall(form))).text


def test_a_search_goes_on_where_it_stopped(api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none of the newest jobs matches, the older ones are still reached; and every job is found once."""
    monkeypatch.setattr(selected, "MAX_LOOKS", 1)
    monkeypatch.setattr(selected, "MAX_JOBS", 2)
    jobs = [api.submit() for _ in range(5)]
    running = jobs[2]
    api.claim(running, "US")
    page = ask(client, "cancel-all")
    found = [fields(page.partition("look-further")[0])["jobs"].split()]
    while "look-further" in page:
        page = further(client, page)
        found += [fields(page.partition("look-further")[0]).get("jobs", "").split()]
    assert found[0] == [jobs[4], jobs[3]]
    assert sorted(job_id for some in found for job_id in some) == sorted(jobs)
    monkeypatch.setattr(job_lists, "MAX_LOOKED", 2)
    monkeypatch.setattr(job_lists, "MAX_FEW", 0)
    asked = {**fields(client.get("/").text), "status": "queued", "q": jobs[0], "do": "cancel-all"}
    page = client.post("/selected", data=asked).text
    assert "Nothing to cancel yet" in page
    while "look-further" in page and "Cancel 1 job?" not in page:
        page = further(client, page)
    assert f'value="{jobs[0]}"' in page


def test_only_an_administrator_may_and_only_by_the_own_form(api: Api, client: FlaskClient) -> None:
    api.submit()
    assert 'name="job"' not in get(api, "/")
    assert api.client.post("/selected", data={"do": "cancel-all"}).status_code == 401
    form = fields(client.get("/").text)
    for path in ("/selected", "/selected/run"):
        assert client.post(path, data={**form, "do": "cancel", "csrf": "x"}).status_code == 403
    assert client.post("/selected", data={**form, "do": "drop"}).status_code == 422


def test_nothing_selected_is_said(api: Api, client: FlaskClient) -> None:
    api.submit()
    assert "No job was selected, or none matches." in ask(client, "retry")
    assert "Nothing to retry" in ask(client, "retry-all")
