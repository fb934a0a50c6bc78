"""The parameters of a job reach its providers and its executions; each call has a seed of its own."""

from typing import Any

import psycopg

from runner_core.db import Database
from runner_core.parameters import seed_of
from runner_core.regions import Catalogue
from tests.engine import Start
from tests.jobs import one, query, submission, submit
from tests.provider_server import ProviderServer

Conn = psycopg.Connection[Any]
PARAMETERS = {
    "job": {"temperature": 0.7, "top_p": None, "stop": ["END"], "system_prompt": "Be brief."},
    "models": {"m2": {"temperature": None, "max_tokens": 9, "seed": 4}},
}


def test_the_models_parameters_come_before_the_jobs_and_these_before_the_defaults(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    job_id = submit(db, submission(regions=("US", "EU"), models=("m1", "m2"), parameters=PARAMETERS)).job_id
    start(loopback).run((job_id, "US"), (job_id, "EU"))
    found = {(call.path.split("/")[1], call.body["model"]): call.body for call in server.calls}
    assert len(found) == 4
    for region in ("US", "EU"):
        first, second = found[region, "m1"], found[region, "m2"]
        assert first["messages"][0] == second["messages"][0] == {"role": "system", "content": "Be brief."}
        assert {name: value for name, value in first.items() if name not in ("messages", "model", "stream")} == {
            "temperature": 0.7,
            "max_tokens": 500,
            "stop": ["END"],
            "seed": seed_of(job_id, region, "m1", "q1", 1),
        }
        assert {name: value for name, value in second.items() if name not in ("messages", "model", "stream")} == {
            "max_tokens": 9,
            "stop": ["END"],
            "seed": 4,
        }
    kept = {
        (row["region"], row["model_id"]): row["parameters"]
        for row in query(conn, "SELECT region, model_id, parameters FROM executions")
    }
    assert kept["EU", "m2"] == {
        "temperature": None,
        "max_tokens": 9,
        "system_prompt": "Be brief.",
        "upstream_model": "m2",
        "regions_sha256": loopback.sha256,
        "parameters": PARAMETERS["job"] | PARAMETERS["models"]["m2"],
    }
    assert kept["US", "m1"]["parameters"] == PARAMETERS["job"]


def test_a_system_prompt_of_none_is_not_sent(
    db: Database, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    for given in ("", None):
        parameters = {"job": {"system_prompt": given}, "models": {}}
        job_id = submit(db, submission(regions=("US",), parameters=parameters)).job_id
        start(loopback).run((job_id, "US"))
    assert [[message["role"] for message in call.body["messages"]] for call in server.calls] == [["user"], ["user"]]


def test_a_job_without_parameters_is_asked_and_kept_as_before(
    db: Database, conn: Conn, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    """The API of the release before leaves the column null too."""
    job_id = submit(db, submission(regions=("US",))).job_id
    assert one(conn, "SELECT parameters FROM jobs") is None
    start(loopback).run((job_id, "US"))
    assert server.calls[0].body["messages"][0]["content"] == "You are in US."
    assert one(conn, "SELECT parameters FROM executions") == {
        "temperature": 0.1,
        "max_tokens": 500,
        "system_prompt": "You are in US.",
        "upstream_model": "m1",
        "regions_sha256": loopback.sha256,
    }


def test_every_try_of_a_call_sends_the_same_request_and_another_call_another_seed(
    db: Database, loopback: Catalogue, server: ProviderServer, start: Start
) -> None:
    server.add_rule(fault="status", status=503, times=2)
    job_id = submit(db, submission(regions=("US",), questions=("q1",), runs=1)).job_id
    start(loopback, provider_max_tries=3).run((job_id, "US"))
    tries = [call.body for call in server.calls]
    assert len(tries) == 3
    assert tries[0] == tries[1] == tries[2]
    assert tries[0]["seed"] == seed_of(job_id, "US", "m1", "q1", 1)
    again = submit(db, submission(regions=("US",), questions=("q1", "q2"), runs=5)).job_id
    start(loopback, "worker-2").run((again, "US"))
    assert len({call.body["seed"] for call in server.calls}) == 11
