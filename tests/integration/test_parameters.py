"""Jobs with parameters at the API: what is stored, what is refused and leaves nothing behind, what is told."""

from dataclasses import replace
from typing import Any

import pytest

from runner_api.http.services import NAME
from runner_core.jobspec import plan_job
from runner_core.signing import Verified, canonical, sign, signed_object
from tests.integration.api_client import ADMIN_HEADER, Api, stamp, unsigned
from tests.integration.submissions import CROSS, NOTHING, refused
from tests.unit import planning

ASKED = {"temperature": 0, "top_p": None, "stop": ["END"], "system_prompt": ""}


def signed_in(api: Api, form: str, **changes: Any) -> dict[str, Any]:
    """A job that is signed in this form."""
    spec = unsigned(**changes) | {"public_key": api.key.public_key}
    return spec | {"signature": api.key.sign(canonical(signed_object(spec, form)))}


def without(api: Api, *names: str, region: str) -> None:
    """Let the provider of a region take these parameters no more."""
    service = api.app.extensions[NAME]
    replace(service, catalogue=planning.without(service.catalogue, *names, region=region)).install(api.app)


def worker(api: Api, version: str, region: str = "US", age: str = "0 s", kind: str = "worker") -> None:
    api.sql(
        "INSERT INTO processes (id, kind, region, host, pid, version, seen_at)"
        " VALUES (%s, %s, %s, 'h', 1, %s, clock_timestamp() - %s::interval)",
        *(f"{kind}-{version}-{region}-{age}", kind, region, version, age),
    )


def test_what_is_asked_is_stored_with_its_nulls(api: Api) -> None:
    models = ["m1", {"id": "m2", "parameters": {"temperature": None, "max_tokens": 9.0}}]
    api.submit(parameters=ASKED, models=models)
    assert api.sql("SELECT parameters FROM jobs") == [
        ({"job": ASKED, "models": {"m2": {"temperature": None, "max_tokens": 9}}},)
    ]


@pytest.mark.parametrize("fields", [{}, {"parameters": {}}, {"models": [{"id": "m1", "parameters": {}}]}], ids=str)
def test_no_parameters_are_null(api: Api, fields: dict[str, Any]) -> None:
    api.submit(**fields)
    assert api.sql("SELECT parameters FROM jobs") == [(None,)]


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"parameters": {"temperature": 3}}, "parameters.temperature"),
        ({"parameters": {"temperature": "1"}}, "parameters.temperature"),
        ({"parameters": {"temperature": True}}, "parameters.temperature"),
        ({"parameters": {"tempurature": 1}}, "parameters.tempurature"),
        ({"parameters": []}, "parameters"),
        ({"models": ["m1", {"id": "m2", "parameters": {"top_k": 0}}]}, "models[1].parameters.top_k"),
        ({"models": ["m1", {"id": "m1", "parameters": {"top_k": 1}}]}, "models[1].parameters"),
        ({"models": None, "metadata": {"models": [{"id": "m1", "parameters": {"seed": -1}}]}}, "metadata.models[0]."),
    ],
)
def test_bad_values_are_refused_with_their_path_and_leave_nothing(
    api: Api, fields: dict[str, Any], path: str, cross: bool
) -> None:
    if "metadata" in fields:
        fields = fields | {"metadata": fields["metadata"] | {"timestamp": stamp(), "nonce": "n"}}
    spec = api.job(**fields)
    answer = api.post({"jobspec": spec}, CROSS) if cross else api.post(spec)
    assert refused(answer, 422, "validation_error").startswith(path)
    assert api.counts() == NOTHING


@pytest.mark.parametrize(
    ("raw", "status", "code", "detail"),
    [
        (b'{"parameters": {"seed": %s}}' % (b"7" * 40), 422, "validation_error", "parameters.seed: An integer"),
        (b'{"models": [{"parameters": {"top_k": 1e999}}]}', 422, "validation_error", "models[0].parameters.top_k: A"),
        (b'{"parameters": {"temperature": NaN}}', 400, "malformed_json", "NaN"),
        (b'{"parameters": {"seed": 1, "seed": 2}}', 400, "duplicate_key", "An object"),
    ],
)
def test_numbers_that_json_readers_see_differently(api: Api, raw: bytes, status: int, code: str, detail: str) -> None:
    assert refused(api.post(raw), status, code).startswith(detail)
    assert api.counts() == NOTHING


@pytest.mark.parametrize("form", ["C", "D"])
def test_a_form_that_does_not_sign_a_value_refuses_it(api: Api, form: str) -> None:
    for value in (None, 0, ""):
        spec = signed_in(api, form, parameters={"top_p": 0.5, "temperature": value})
        detail = refused(api.post(spec), 422, "validation_error")
        assert detail.startswith(f"parameters.temperature: signatures of form {form} do not cover null")
    assert api.counts() == NOTHING
    of_model = {"temperature": 0, "max_tokens": None, "system_prompt": ""}
    models = [{"id": "m1", "parameters": of_model}]
    # Without created_at the bytes of form C would be those of form B, which is tried first.
    spec = signed_in(api, form, parameters={"top_p": 0.5}, models=models, created_at=stamp())
    assert api.post(spec).status_code == 202
    assert api.sql("SELECT signature_form, parameters FROM jobs") == [
        (form, {"job": {"top_p": 0.5}, "models": {"m1": of_model}})
    ]


def test_what_is_added_to_a_signed_job_changes_nothing(api: Api) -> None:
    """Forms C and D verify with such a member, which somebody else may have added."""
    spec = signed_in(api, "C") | {"parameters": {"temperature": 0}}
    refused(api.post(spec), 422, "validation_error")
    assert api.counts() == NOTHING


def test_a_value_that_a_provider_does_not_take_is_refused(api: Api) -> None:
    without(api, "temperature", "seed", region="EU")
    detail = refused(api.post(api.job(parameters={"temperature": 1})), 422, "parameter_not_supported")
    assert detail.startswith("parameters.temperature: the provider sandbox-eu in EU does not take it.")
    assert api.counts() == NOTHING
    models = [{"id": "m1", "parameters": {"temperature": None}}]
    assert api.post(api.job(parameters={"temperature": 1}, models=models)).status_code == 202
    assert api.post(api.job()).status_code == 202, "defaults are left out"
    assert api.post(api.job(parameters={"seed": 3}, constraints={"regions": ["US"]})).status_code == 202


def test_other_parameters_are_another_request(api: Api) -> None:
    first = api.job(id="job-1", parameters={"temperature": 1})
    assert api.post(first).status_code == 202
    assert api.post(first).status_code == 200
    refused(api.post(api.job(id="job-1", parameters={"temperature": 1.5})), 409, "job_conflict")
    digests = {
        plan_job(Verified.of(first | {"parameters": parameters}, None), api.catalogue).digest
        for parameters in ({}, {"temperature": 1}, {"temperature": 2}, {"temperature": None})
    }
    assert len(digests) == 4


@pytest.mark.parametrize("cross", [False, True])
def test_members_that_look_like_parameters_are_told_also_in_a_replay(api: Api, cross: bool) -> None:
    spec = api.job(temperature=0.5, maxTokens=5, models=[{"id": "m1", "topP": 1}])
    told = ["maxTokens", "models[0].topP", "temperature"]
    body, path = ({"jobspec": spec, "seed": 1}, CROSS) if cross else (spec, "/api/v1/jobs")
    for status in (202, 200):
        answer = api.post(body, path)
        assert (answer.status_code, answer.get_json()["ignored"]) == (status, told + ["wrapper.seed"] * cross)
    assert "ignored" not in api.post(api.job(parameters={"temperature": 1})).get_json()


def test_the_page_of_a_job_tells_them(api: Api) -> None:
    job_id = api.submit(temperature=0.5, models=[{"id": "m1", "topP": 1}])
    assert "<dt>Ignored</dt><dd>models[0].topP, temperature <small>" in api.client.get(f"/jobs/{job_id}").text
    assert "<dt>Ignored</dt>" not in api.client.get(f"/jobs/{api.submit()}").text


class TestUpgrade:
    def test_a_worker_of_an_earlier_release_lets_no_job_with_parameters_in(self, api: Api) -> None:
        worker(api, "0.2.0")
        spec = api.job(parameters={"temperature": 1})
        answer = api.post(spec)
        assert "still serve US." in refused(answer, 503, "upgrade_in_progress")
        assert int(answer.headers["Retry-After"]) > 0
        assert api.counts() == NOTHING
        assert api.post(api.job()).status_code == 202, "a job without parameters is for every worker"
        api.sql("DELETE FROM processes")
        assert api.post(spec).status_code == 202
        worker(api, "0.1.0")
        assert api.post(spec).status_code == 200, "an accepted job is answered again"

    def test_a_retry_waits_as_well(self, api: Api) -> None:
        """The same nonce is good again: nothing is stored of a retry that is refused."""
        job_id = api.submit(parameters={"temperature": 1}, models=["m1"])
        plain = api.submit(models=["m1"])
        for job in (job_id, plain):
            api.finish(job, "US", {"m1": False})
            api.finish(job, "EU", {"m1": False})
        worker(api, "0.2.0", region="EU")
        before = api.counts()
        body = sign({"action": "retry", "job_id": job_id, "timestamp": stamp(), "nonce": "n-retry"}, api.key)
        answer = api.post(body, f"/api/v1/jobs/{job_id}/retry")
        assert "still serve EU." in refused(answer, 503, "upgrade_in_progress")
        assert api.counts() == before
        us = sign(body | {"region": "US", "nonce": "n-us"}, api.key)
        assert api.post(us, f"/api/v1/jobs/{job_id}/retry").status_code == 202, "no such worker serves this region"
        other = sign(body | {"job_id": plain, "nonce": "n-plain"}, api.key)
        assert api.post(other, f"/api/v1/jobs/{plain}/retry").status_code == 202
        (row,) = api.sql(
            "UPDATE outbox SET dead_at = now() WHERE job_id = %s AND topic = 'beacon-eu' RETURNING id", job_id
        )
        again = api.client.post(f"/admin/outbox/{row[0]}/republish", headers=ADMIN_HEADER)
        refused(again, 503, "upgrade_in_progress")
        api.sql("DELETE FROM processes")
        assert api.post(body, f"/api/v1/jobs/{job_id}/retry").status_code == 202

    def test_other_workers_do_not_count(self, api: Api) -> None:
        worker(api, "0.3.0")
        worker(api, "0.3.0.dev0")
        worker(api, "1.0.0")
        worker(api, "0.10.0")
        worker(api, "0.0.0")  # a checkout that is not installed
        worker(api, "0.2.0", region="ASIA")
        worker(api, "0.2.0", age="60 s")
        worker(api, "0.2.0", region="EU", kind="api")
        assert api.post(api.job(parameters={"temperature": 1})).status_code == 202
