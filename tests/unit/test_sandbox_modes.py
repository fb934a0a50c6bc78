"""The sandbox's modes: options per model, refused parameters, places, words that vary."""

import asyncio
import time
from typing import Any

import pytest

from runner_core.regions import Provider
from runner_core.upstreams import PARAMETERS, UpstreamModel
from runner_worker.providers import Answer, Ask, TryFailed
from runner_worker.providers.sandbox import Sandbox


def provider(options: dict[str, Any] | None = None, **models: UpstreamModel) -> Provider:
    models = models or {"m1": UpstreamModel("simulated")}
    return Provider("p", "US", "sandbox", "", "", 8, models, options=options or {})


def ask(made: Provider, model_id: str = "m1", **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "region": "US",
        "model_id": model_id,
        "upstream": made.models[model_id],
        "prompt": "Who?",
        "question_id": "q1",
        "deadline": time.monotonic() + 5,
        "parameters": {"temperature": 0.1, "max_tokens": 500, "seed": 7},
    }
    return asyncio.run(Sandbox(made).send(Ask(**(values | changes))))


def refused(made: Provider, **changes: Any) -> TryFailed:
    with pytest.raises(TryFailed) as caught:
        ask(made, **changes)
    return caught.value


def test_without_options_the_answer_is_todays() -> None:
    answer = ask(provider())
    assert answer.text.startswith("Simulated answer from US. ")
    assert (answer.simulated, answer.served) == (True, {"model": "simulated"})


def test_a_models_options_come_before_the_providers() -> None:
    made = provider(
        {"fail": "http_503"},
        good=UpstreamModel("g", options={"fail": ""}),
        bad=UpstreamModel("b", options={"fail": "http_401"}),
        other=UpstreamModel("o"),
    )
    assert ask(made, "good").text
    assert refused(made, model_id="bad").code == "http_401"
    assert refused(made, model_id="other").code == "http_503"


@pytest.mark.parametrize("name", ["temperature", "seed", "max_tokens"])
def test_a_strict_model_refuses_a_parameter(name: str) -> None:
    made = provider({"refuse_parameters": [name]})
    failed = refused(made)
    assert (failed.code, failed.http_status) == ("http_400", 400)
    assert f"'{name}'" in failed.words
    omitted = provider({"refuse_parameters": [name]}, m1=UpstreamModel("s", takes=frozenset(PARAMETERS) - {name}))
    assert ask(omitted).text


def test_a_strict_model_refuses_a_system_prompt_but_before_the_question() -> None:
    made = provider({"refuse_parameters": ["system_prompt"]})
    assert refused(made, system_prompt="Be short.").code == "http_400"
    assert ask(made).text
    user = provider({"refuse_parameters": ["system_prompt"]}, m1=UpstreamModel("s", system_role="user"))
    assert ask(user, system_prompt="Be short.").text


def test_words_vary_with_the_seed_alone() -> None:
    made = provider({"vary": 0.5})
    texts = [ask(made, region=region, parameters={"seed": seed}).text for region in ("US", "EU") for seed in (1, 2)]
    assert texts[:2] == texts[2:]
    assert texts[0] != texts[1]
    assert ask(provider({"vary": 0.5, "shift": 1}), parameters={"seed": 1}).text != texts[0]


def test_an_answer_may_name_a_place() -> None:
    assert ask(provider({"geography": "us"})).served == {"model": "simulated", "geography": "us"}
    assert ask(provider({"geography": "u\0s"})).served["geography"] == "u\ufffds", "PostgreSQL can't store U+0000"


MISTAKES: dict[str, dict[str, Any]] = {
    "delay_seconds must be a number of seconds": {"delay_seconds": "long"},
    "refuse must be true or a list of question ids": {"refuse": [1]},
    "hang must be true or false": {"hang": 1},
    "vary must be a number from 0 to 1": {"vary": 1.5},
    "shift must be a number from 0 to 1": {"shift": True},
    "geography must be a text": {"geography": 1},
    "fial is not an option of a sandbox": {"fial": "x"},
}


@pytest.mark.parametrize(("told", "options"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes_are_told(told: str, options: dict[str, Any]) -> None:
    assert Sandbox.mistakes(provider(options)) == [told]
    assert Sandbox.mistakes(provider({}, m1=UpstreamModel("s", options=options))) == [f"models.m1: {told}"]
    with pytest.raises(ValueError, match=told.partition(" ")[0]):
        Sandbox(provider(options))


def test_long_lists_are_told_too() -> None:
    for options in ({"fail": "sometimes"}, {"refuse_parameters": ["heat"]}):
        (told,) = Sandbox.mistakes(provider(options))
        assert told.startswith(next(iter(options)))
