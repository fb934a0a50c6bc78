"""What a request is sent: model before job before defaults, null for nothing, and a seed for each call."""

import hashlib
from typing import Any

import pytest

from runner_core.parameters import effective, recorded, seed_of, system_prompt_for, values_to_send
from runner_core.upstreams import PARAMETERS, UpstreamModel

EVERYTHING = UpstreamModel("upstream", max_tokens=300)
JOB = {"job": {"temperature": 1, "top_p": None, "seed": 5}, "models": {"m1": {"temperature": None, "top_p": 0.5}}}


def takes(*names: str) -> UpstreamModel:
    return UpstreamModel("upstream", takes=frozenset(names))


def test_the_models_parameters_come_before_the_jobs_member_by_member() -> None:
    assert effective(JOB, "m1") == {"temperature": None, "top_p": 0.5, "seed": 5}
    assert effective(JOB, "m2") == JOB["job"]
    assert effective(None, "m1") == {}


def test_without_parameters_the_defaults_are_sent_in_the_order_of_old() -> None:
    sent = values_to_send({}, EVERYTHING, 7)
    assert list(sent.items()) == [("temperature", 0.1), ("max_tokens", 300), ("seed", 7)]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"temperature": 0}, {"temperature": 0, "max_tokens": 300, "seed": 7}),
        ({"temperature": None}, {"max_tokens": 300, "seed": 7}),
        ({"temperature": None, "max_tokens": None, "seed": None}, {}),
        ({"seed": 0, "max_tokens": 9}, {"temperature": 0.1, "max_tokens": 9, "seed": 0}),
        (
            {"stop": ["x"], "top_k": 4, "reasoning_effort": "low", "system_prompt": "Be brief."},
            {"temperature": 0.1, "top_k": 4, "max_tokens": 300, "stop": ["x"], "reasoning_effort": "low", "seed": 7},
        ),
    ],
)
def test_a_value_is_sent_instead_of_its_default_and_null_sends_nothing(
    asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert list(values_to_send(asked, EVERYTHING, 7).items()) == list(sent.items())


def test_what_the_provider_does_not_take_is_left_out() -> None:
    assert values_to_send({}, takes("max_tokens"), 7) == {"max_tokens": 500}
    assert values_to_send({"top_p": 1}, takes("temperature"), 7) == {"temperature": 0.1}
    assert values_to_send({}, takes(), 7) == {}


def test_the_system_prompt_is_the_jobs_else_the_regions() -> None:
    assert system_prompt_for({}, EVERYTHING, "of the region") == "of the region"
    assert system_prompt_for({"system_prompt": "of the job"}, EVERYTHING, "of the region") == "of the job"
    for none in ("", None):
        assert system_prompt_for({"system_prompt": none}, EVERYTHING, "of the region") == ""
    assert system_prompt_for({}, takes("seed"), "of the region") == ""


def test_a_seed_is_the_documented_one_and_another_in_every_call() -> None:
    digest = hashlib.sha256(b"job-1/US/m1/prompt/1").digest()
    assert seed_of("job-1", "US", "m1", "prompt", 1) == int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
    seeds = {
        seed_of("job-1", region, model, question, run)
        for region in ("US", "EU")
        for model in ("m1", "m2")
        for question in ("q1", "q2", "q3", "q4", "q5")
        for run in range(1, 11)
    }
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)


class TestRecorded:
    def test_without_parameters_it_is_as_before(self) -> None:
        assert recorded({}, EVERYTHING, region_prompt="of the region", regions_sha256="abc") == {
            "temperature": 0.1,
            "max_tokens": 300,
            "system_prompt": "of the region",
            "upstream_model": "upstream",
            "regions_sha256": "abc",
        }

    def test_a_model_without_a_provider(self) -> None:
        found = recorded({}, None, region_prompt="", regions_sha256="abc")
        assert (found["upstream_model"], found["max_tokens"], found["temperature"]) == ("", 500, 0.1)

    def test_what_is_asked_and_the_constant_body_are_kept(self) -> None:
        asked = {"temperature": None, "system_prompt": "of the job"}
        upstream = UpstreamModel("u", takes=frozenset(PARAMETERS) - {"max_tokens"}, body={"provider": {"only": ["x"]}})
        assert recorded(asked, upstream, region_prompt="of the region", regions_sha256="abc") == {
            "temperature": None,
            "max_tokens": None,
            "system_prompt": "of the job",
            "upstream_model": "u",
            "regions_sha256": "abc",
            "parameters": asked,
            "body": {"provider": {"only": ["x"]}},
        }
